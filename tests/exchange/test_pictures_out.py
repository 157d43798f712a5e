"""Labels of a person's own pictures go out by file name, and predictions for the rest."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dal_core.cli import main
from dal_core.data import catalogue
from dal_core.data.own.importing import Wanted, add
from dal_core.exchange.folders_out import folder_name
from dal_core.execution.job import advance
from tests.data.own.folders import COLOURS, coloured
from tests.data.own.test_labelling import CLASSES, Person, short, unlabelled

N = 20  # pictures of each colour


@pytest.fixture
def labelled(tmp_path: Path, dal_home: Path) -> Person:
    """A run with twelve labels and a model of them; one picture is skipped."""
    unlabelled(tmp_path, dal_home, N)
    person = Person(dal_home, short(n_epochs=100), "bald", "strict")
    person.answer(person.asked())
    person.answer(person.asked())
    list(advance(person.bench, person.run.run_id))
    return person


def dal(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    """Standard output of a command, or its last line of error."""
    capsys.readouterr()
    assert main([str(one) for one in arguments]) == code
    out, err = capsys.readouterr()
    return err.splitlines()[-1] if code else out


def export(capsys: pytest.CaptureFixture[str], person: Person, form: str, *more: str) -> str:
    return dal(capsys, "export", person.run.run_id, "--format", form, "--out", "-", *more)


def colour(name: str) -> str:
    return name.split("-")[-1].removesuffix(".png")


@pytest.mark.parametrize("form", ["metadata-csv", "metadata-jsonl"])
def test_labels_go_out_by_file_name_and_come_in_again(
    capsys: pytest.CaptureFixture[str],
    labelled: Person,
    tmp_path: Path,
    dal_home: Path,
    form: str,
) -> None:
    text = export(capsys, labelled, form)
    if form == "metadata-csv":
        rows = list(csv.DictReader(io.StringIO(text)))
    else:
        rows = [json.loads(line) for line in text.splitlines()]
    assert len(rows) == 12
    assert all(row["label"] == colour(row["file_name"]) for row in rows)
    assert {(row["source"], row["by"]) for row in rows} == {("person", "Ann")}
    labels = tmp_path / f"labels.{form.split('-')[1]}"
    labels.write_text(text)
    _, report = add(dal_home, tmp_path / "in", Wanted("again", CLASSES, labels, size=28))
    assert (report.n_taken, report.n_known, report.unused) == (3 * N, 12, [])


def test_the_rest_is_predicted_and_told_apart_from_what_a_person_said(
    capsys: pytest.CaptureFixture[str], labelled: Person
) -> None:
    rows = list(csv.DictReader(io.StringIO(export(capsys, labelled, "metadata-csv", "--rest"))))
    machine = [row for row in rows if row["source"] == "model"]
    assert len(rows) == 3 * N and len(machine) == 3 * N - 12
    assert {row["by"] for row in machine} == {labelled.run.run_id}
    right = np.mean([row["label"] == colour(row["file_name"]) for row in machine])
    assert right > 0.9
    chances = [float(row["probability"]) for row in machine]
    assert chances == sorted(chances, reverse=True)
    assert all(row["probability"] == "" for row in rows if row["source"] == "person")


def test_predictions_have_the_probability_of_every_class(
    capsys: pytest.CaptureFixture[str], labelled: Person
) -> None:
    rows = list(csv.DictReader(io.StringIO(export(capsys, labelled, "predictions"))))
    assert len(rows) == 3 * N - 12
    for row in rows:
        chances = [float(row[f"p({name})"]) for name in CLASSES]
        assert sum(chances) == pytest.approx(1, abs=1e-5)
        assert row["label"] == CLASSES[int(np.argmax(chances))]


def test_label_studio_gets_annotations_and_predictions(
    capsys: pytest.CaptureFixture[str], labelled: Person, tmp_path: Path, dal_home: Path
) -> None:
    text = export(capsys, labelled, "label-studio", "--rest")
    tasks = json.loads(text)
    annotated = [task for task in tasks if task["annotations"]]
    assert len(annotated) == 12 and len(tasks) == 3 * N
    assert all(bool(t["annotations"]) != bool(t["predictions"]) for t in tasks)
    (result,) = annotated[0]["annotations"][0]["result"]
    assert result["value"]["choices"] == [colour(annotated[0]["data"]["image"])]
    labels = tmp_path / "tasks.json"
    labels.write_text(text)
    _, report = add(dal_home, tmp_path / "in", Wanted("again", CLASSES, labels, size=28))
    assert report.n_known == 12


@pytest.mark.parametrize("link", [False, True])
def test_a_folder_for_each_class_holds_the_originals(
    capsys: pytest.CaptureFixture[str], labelled: Person, tmp_path: Path, link: bool
) -> None:
    (tmp_path / "in" / "000-red.png").unlink()
    coloured("blue", 77).save(tmp_path / "in" / "001-red.png")  # no longer what was labelled
    out = tmp_path / "out"
    command = ["export", labelled.run.run_id, "--format", "image-folder", "--rest", "--out", out]
    dal(capsys, *command, *(["--link"] if link else []))
    found = sorted(out.rglob("*.png"))
    assert len(found) == 3 * N - 2 and all(path.is_symlink() == link for path in found)
    assert {path.parent.name for path in found} == set(COLOURS)
    for path in found:
        assert path.read_bytes() == (tmp_path / "in" / path.name).read_bytes()
    assert "which exists; allowed: a new or empty folder" in dal(capsys, *command, code=2)


def test_files_of_one_name_do_not_replace_each_other(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, dal_home: Path
) -> None:
    for place, name in enumerate(("a", "b")):
        (tmp_path / "in" / name).mkdir(parents=True)
        for number in range(12):
            coloured("red", 50 * place + number).save(tmp_path / "in" / name / f"{number}.png")
    labels = tmp_path / "labels.csv"
    rows = [f"{c}/{n}.png,{'xy'[n % 2]}" for c in "ab" for n in range(12)]
    labels.write_text("\n".join(["file_name,label", *rows]))
    add(dal_home, tmp_path / "in", Wanted("colours", labels=labels, size=28))
    sets = {"n_epochs": 1, "num_mc_samples": 2, "n_acquisition_steps": 0, "train_size": 4}
    run = ["run", "--dataset", "colours", "--json", *(f"--set={k}={v}" for k, v in sets.items())]
    run_id = json.loads(dal(capsys, *run))["id"]
    dal(capsys, "export", run_id, "--format", "image-folder", "--out", tmp_path / "out")
    found = list((tmp_path / "out").rglob("*.png"))
    assert len(found) == 24
    assert {Image.open(path).size for path in found} == {(48, 36)}


def test_what_cannot_be_exported_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, dal_home: Path
) -> None:
    unlabelled(tmp_path, dal_home)
    person = Person(dal_home, short(), "bald", "strict")
    run = ("export", person.run.run_id, "--out", "-", "--format")
    assert "has no usable model" in dal(capsys, *run, "predictions", code=2)
    person.asked()
    assert "has no model yet" in dal(capsys, *run, "predictions", code=2)
    assert "has no model yet: it has no labels" in dal(capsys, *run, "safetensors", code=2)
    assert "--rest is given with --format csv" in dal(capsys, *run, "csv", "--rest", code=2)
    assert "--link is given with --format csv" in dal(capsys, *run, "csv", "--link", code=2)
    sets = ("n_epochs=1", "num_mc_samples=2", "n_acquisition_steps=0")
    made = dal(capsys, "run", "--json", *(f"--set={one}" for one in sets))
    digits = ("export", json.loads(made)["id"], "--out", "-", "--format", "metadata-csv")
    error = dal(capsys, *digits, code=2)
    assert error.endswith("mnist5k has no picture files; allowed: pictures of your own")
    assert len(catalogue.load("colours")) == 60


@pytest.mark.parametrize(
    ("label", "folder"),
    [("cat", "cat"), ("T-shirt/top", "T-shirt_top"), ("..", "_."), (".x", "_x"), ("a\\b", "a_b")],
)
def test_a_class_becomes_a_folder_inside_the_export(label: str, folder: str) -> None:
    assert folder_name(label) == folder
