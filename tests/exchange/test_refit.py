"""Labels out and in again: an export fitted anew gives the curve that the labels gave."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dal_core.cli import main
from dal_core.data.base import ImageDataset
from dal_core.exchange import labels_out
from dal_core.execution.job import Workbench, advance
from dal_core.run.events import Answer
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from tests import experiment_kit
from tests.cli.test_cli import read_until, start


def settings(**changes: Any) -> list[str]:
    """Options that make a refit fast, each parameter once."""
    return [f"--set={key}={value}" for key, value in {**experiment_kit.FAST, **changes}.items()]


STEPS = 2


def finish(store: Store, run_id: str) -> list[int]:
    return [step.n_labelled for step in advance(Workbench(store), run_id)]


def right(dataset: ImageDataset) -> Callable[[int], int]:
    return lambda image_id: int(dataset.labels[image_id])


def label_all(store: Store, dataset: ImageDataset, seed: int, **changes: Any) -> str:
    """A person's whole run: right labels but for a wrong one and a skipped image in each batch."""
    run_id = experiment_kit.new_run(store, dataset, seed=seed, person=True, **changes).run_id
    while finish(store, run_id) and (query := store.log(run_id).open_query) is not None:
        skipped = query.ranking[2]
        shown = query.shown([skipped])
        said = {i: int(dataset.labels[i]) for i in shown}
        said[shown[0]] = (said[shown[0]] + 1) % 10
        answers = [Answer(i, label, 1.25) for i, label in reversed(said.items())]
        answers.append(Answer(skipped, None, 3.0))
        store.submit(query.query_id, answers, annotator="=Ann", source="person")
    return run_id


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labelled")


@pytest.fixture(scope="module")
def labelled(home: Path, mnist5k: ImageDataset) -> RunState:
    """A person's finished run."""
    store = open_store(home)
    log = store.log(label_all(store, mnist5k, seed=3))
    assert [step.n_labelled for step in log.steps] == [20, 30, 40]
    store.close()
    return log


def export_to(log: RunState, dataset: ImageDataset, path: Path) -> Path:
    form = path.suffix[1:]
    path.write_bytes(labels_out.render(log, dataset, form).encode())
    return path


def replay(*arguments: str | Path, code: int = 0) -> None:
    assert main(["replay", *map(str, arguments), "--seed", "3", *settings()]) == code


def newest(home: Path) -> RunState:
    store = open_store(home, create=False)
    log = store.log(store.runs()[0].run_id)
    store.close()
    return log


def curve(log: RunState) -> list[tuple[Any, ...]]:
    return [
        (s.step, s.n_labelled, s.accuracy, s.mutual_information, s.train_loss) for s in log.steps
    ]


@pytest.mark.parametrize("name", ["labels.csv", "labels.jsonl"])
def test_an_export_replayed_gives_the_same_curve_to_the_last_bit(
    labelled: RunState, mnist5k: ImageDataset, tmp_path: Path, dal_home: Path, name: str
) -> None:
    replay(export_to(labelled, mnist5k, tmp_path / name))
    again = newest(dal_home)
    assert curve(again) == curve(labelled)
    assert again.labels() == labelled.labels()
    assert again.skipped == labelled.skipped
    for one, other in zip(again.submissions, labelled.submissions, strict=True):
        assert (one.annotator, one.source, one.at) == (other.annotator, other.source, other.at)
        assert sorted(one.answers, key=lambda a: a.image_id) == sorted(
            other.answers, key=lambda a: a.image_id
        )
    assert again.run.title == f"replay of {name}"


def test_a_stored_run_is_replayed_under_its_own_parameters(
    home: Path, labelled: RunState, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", labelled.run.run_id, "--home", str(home), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    again = newest(home)
    assert result["id"] == again.run.run_id != labelled.run.run_id
    assert again.run.spec == labelled.run.spec
    assert curve(again) == curve(labelled)


def test_corrected_labels_give_the_whole_curve_anew(
    mnist5k: ImageDataset, tmp_path: Path, dal_home: Path
) -> None:
    """As a run that had the right labels for the same images from the start."""
    store = open_store(tmp_path / "corrected")
    run_id = label_all(store, mnist5k, seed=3)
    before = store.log(run_id)
    wrong = [(i, right(mnist5k)(i)) for i, label in before.labels() if label != right(mnist5k)(i)]
    assert len(wrong) == STEPS
    for image_id, label in wrong:
        store.correct(run_id, image_id, label, annotator="ann")
    assert finish(store, run_id) == [40]
    log = store.log(run_id)
    replay(export_to(log, mnist5k, tmp_path / "labels.csv"))
    again = newest(dal_home)

    fresh = open_store(tmp_path / "right")
    other = experiment_kit.new_run(fresh, mnist5k, seed=3, person=True, n_acquisition_steps=1)
    finish(fresh, other.run_id)
    query = fresh.log(other.run_id).open_query
    assert query is not None
    skipped = query.ranking[2]
    answers = [Answer(i, right(mnist5k)(i)) for i in query.shown([skipped])]
    fresh.submit(query.query_id, [*answers, Answer(skipped, None)], annotator="a", source="person")
    finish(fresh, other.run_id)
    assert curve(again)[:2] == curve(fresh.log(other.run_id))
    assert curve(again)[2] == curve(log)[2]  # measured once more after the correction
    assert curve(again)[1] != curve(before)[1]
    assert not again.corrections


def test_a_killed_replay_goes_on_where_it_was(
    labelled: RunState, mnist5k: ImageDataset, tmp_path: Path
) -> None:
    path, home = export_to(labelled, mnist5k, tmp_path / "labels.csv"), tmp_path / "home"
    slow: list[str | Path] = [*settings(n_epochs=300), "--seed", "3", "--home", home]
    process = start("replay", path, *slow)
    read_until(process, "20 labels")
    process.kill()
    process.communicate()
    killed = newest(home)
    assert 0 < len(killed.steps) < STEPS + 1
    assert main(["replay", str(path), *map(str, slow)]) == 0
    again = newest(home)
    assert again.run.run_id == killed.run.run_id
    assert again.steps[: len(killed.steps)] == killed.steps
    whole = tmp_path / "whole"
    assert main(["replay", str(path), *map(str, slow[:-1]), str(whole)]) == 0
    assert curve(newest(whole)) == curve(again)


def test_an_interrupted_replay_says_how_to_go_on(
    labelled: RunState, mnist5k: ImageDataset, tmp_path: Path
) -> None:
    path = export_to(labelled, mnist5k, tmp_path / "labels.csv")
    process = start("replay", path, *settings(n_epochs=300), "--seed", "3")
    read_until(process, "20 labels")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "stopped; the same command continues" in err


def test_a_finished_replay_is_shown_again_and_one_that_was_touched_begins_anew(
    labelled: RunState, mnist5k: ImageDataset, tmp_path: Path, dal_home: Path
) -> None:
    path = export_to(labelled, mnist5k, tmp_path / "labels.csv")
    replay(path)
    replay(path)
    store = open_store(dal_home)
    (run,) = store.runs()
    image_id, label = store.log(run.run_id).labels()[0]
    store.correct(run.run_id, image_id, (label + 1) % 10, annotator="ann")
    replay(path)
    assert len(store.runs()) == 2
    replay(path, "--title", "mine")
    assert next(one.title for one in store.runs()) == "mine"
    store.close()


def test_rows_sorted_otherwise_are_put_in_the_order_of_training(
    labelled: RunState, mnist5k: ImageDataset, tmp_path: Path, dal_home: Path
) -> None:
    """As a spreadsheet may leave them: sorted, with a mark in front and semicolons."""
    path = export_to(labelled, mnist5k, tmp_path / "labels.csv")
    header, *lines = list(csv.reader(path.open(newline="")))
    lines.sort(key=lambda cells: cells[2])
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=";").writerows([header, *lines])
    replay(path)
    assert curve(newest(dal_home)) == curve(labelled)


def test_the_least_a_file_needs_is_image_hash_label_and_step(
    labelled: RunState, mnist5k: ImageDataset, tmp_path: Path, dal_home: Path
) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [
        {name: getattr(row, name) for name in ("image_id", "image_sha256", "label", "step")}
        for row in labels_out.label_rows(labelled, mnist5k)
    ]
    rows[0]["annotator"] = " "  # what an editor may leave of an empty cell
    path.write_text("\n".join(map(json.dumps, rows)))
    replay(path)
    again = newest(dal_home)
    assert curve(again) == curve(labelled)
    assert {one.annotator for one in again.submissions} == {"unknown"}


# What is refused


def changed(rows: list[dict[str, Any]], line: int, **values: Any) -> list[dict[str, Any]]:
    rows = [dict(row) for row in rows]
    rows[line - 1].update(values)
    return rows


@pytest.mark.parametrize(
    ("line", "values", "message"),
    [
        (2, {"image_sha256": "0" * 64}, "line 2: image_sha256 is '000000000000...'; allowed: "),
        (2, {"image_id": 5000}, "line 2: image_id is 5000; allowed: 0 to 4999 of mnist5k"),
        (2, {"image_id": "x"}, "line 2: image_id is 'x'; allowed: a whole number from 0"),
        (2, {"image_id": -1}, "line 2: image_id is -1; allowed: a whole number from 0"),
        (3, {"label": 10}, "line 3: label is 10; allowed: 0 to 9, or empty for a skipped image"),
        (3, {"label": 1.5}, "line 3: label is 1.5; allowed: 0 to 9, or empty"),
        (3, {"label": True}, "line 3: label is True; allowed: 0 to 9, or empty"),
        (3, {"seconds": -1}, "line 3: seconds is -1; allowed: a number from 0"),
        (3, {"seconds": 10**400}, "line 3: it has a number of 401 digits; allowed: 18"),
        (3, {"at": "noon"}, "line 3: at is 'noon'; allowed: a time such as"),
        (3, {"source": "cat"}, "line 3: source is 'cat'; allowed: person or oracle"),
        (3, {"annotator": "Bea"}, "line 3: annotator is 'Bea'; allowed: '=Ann', as in the rest"),
        (14, {"step": 0, "position": 99}, "line 14: step is 0; allowed: 1 or more"),
    ],
)
def test_a_row_that_cannot_be_is_named_in_one_line_and_nothing_is_written(
    labelled: RunState,
    mnist5k: ImageDataset,
    tmp_path: Path,
    dal_home: Path,
    capsys: pytest.CaptureFixture[str],
    line: int,
    values: dict[str, Any],
    message: str,
) -> None:
    text = labels_out.render(labelled, mnist5k, "jsonl")
    rows = changed([json.loads(line) for line in text.splitlines()], line, **values)
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    replay(path, code=2)
    err = capsys.readouterr().err
    assert err.startswith(f"dal: LABELS is '{path}': {message}") and err.count("\n") == 1
    assert list(dal_home.iterdir()) == []


def test_labels_of_another_seeds_pool_are_refused(
    labelled: RunState,
    mnist5k: ImageDataset,
    tmp_path: Path,
    dal_home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = labels_out.label_rows(labelled, mnist5k)[0]
    initial = int(mnist5k.labels.argmax())
    path = tmp_path / "labels.jsonl"
    lines = []
    for image_id in range(initial, initial + 300):  # some of them are of no pool
        values = {**vars(row), "image_id": image_id}
        values["image_sha256"] = labels_out.image_sha256(mnist5k.images[image_id])
        lines.append(json.dumps({**values, "position": image_id}))
    path.write_text("\n".join(lines))
    replay(path, code=2)
    assert "allowed: an image of the seed's pool; this one is" in capsys.readouterr().err
    assert list(dal_home.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file holds no labels"),
        (b"\xff\xfe\x00", "the file is not text (UTF-8)"),
        (b"image_id,label\n1,2\n", "line 2 has no column image_sha256; needed: image_id, "),
        (b"image_id,image_sha256,label,step\n1,2\n", "line 2 has a different number of cells"),
        (b'{"image_id": 1\n', "line 1 is not a JSON object"),
        (b"{}\n[1]\n", "line 1 has no column image_id"),
        (b'\n{"image_id": 1}\n', "line 2 has no column image_sha256"),
    ],
)
def test_a_file_that_is_none_of_labels_is_one_line(
    tmp_path: Path, dal_home: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    path = tmp_path / "labels"
    path.write_bytes(content)
    replay(path, code=2)
    err = capsys.readouterr().err
    assert f"LABELS is '{path}': {message}" in err and err.count("\n") == 1
    assert list(dal_home.iterdir()) == []


def test_more_steps_than_the_protocol_has_are_refused(
    labelled: RunState, mnist5k: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = export_to(labelled, mnist5k, tmp_path / "labels.csv")
    replay(path)  # two steps, as many as the protocol has
    assert main(["replay", str(path), "--seed", "3", *settings(n_acquisition_steps=1)])
    assert "labels of 2 steps; allowed: 1" in capsys.readouterr().err


def test_what_is_neither_a_file_nor_a_run_is_one_line(
    home: Path, labelled: RunState, dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "labels.csv"]) == 2
    assert "LABELS is 'labels.csv', which is not a file; allowed: a file of labels" in (
        capsys.readouterr().err
    )
    assert main(["replay", "labels.csv", "--home", str(home)]) == 2
    assert "allowed: a file of labels (CSV or JSON lines), or the id of a run" in (
        capsys.readouterr().err
    )
    assert list(dal_home.iterdir()) == []
