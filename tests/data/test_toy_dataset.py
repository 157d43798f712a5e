"""A data set unlike MNIST, registered only by a test, works in all of `dal`."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from dal_core.cli import main
from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.experiments.stacked_runs import conduct
from dal_core.experiments.status import status
from dal_core.protocol.parameters import override
from dal_core.protocol.presets import PRESETS, with_dataset
from dal_core.protocol.run_spec import RunSpec
from dal_core.record_file.schema import bounds, curves
from dal_core.record_file.sync import experiment_record
from dal_core.results import run_history
from dal_core.run import stop_rules
from dal_core.run.events import Answer
from dal_core.run.next_task import next_task
from dal_core.run.rows import Mode
from dal_core.run.rules import AnswerError
from dal_core.run.splits import make_split, split_of
from dal_core.store.opening import open_store
from tests import toys


def on_toy(**changes: Any) -> list[str]:
    """The options that make a run on the toy a short one."""
    settings = {**toys.SETTINGS, **changes}
    sets = [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]
    return ["--protocol", "quick", *sets, "--seed", "1"]


def run_on_toy(acquisition: str = "bald", **changes: Any) -> list[str]:
    return ["run", *on_toy(**changes), "--acquisition", acquisition]


@pytest.fixture(autouse=True)
def toy() -> Iterator[ImageDataset]:
    with toys.registered() as dataset:
        yield dataset


def dal(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """Standard output of a command, or its last line of error."""
    capsys.readouterr()
    assert main(list(arguments)) == code
    out, err = capsys.readouterr()
    return err.splitlines()[-1] if code else out


@pytest.fixture
def finished(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """`dal run` to its end, as `--json` prints it."""
    run: dict[str, Any] = json.loads(dal(capsys, *run_on_toy(), "--json"))
    return run


@pytest.mark.parametrize("model", ["lenet5", "gal_cnn"])
@pytest.mark.parametrize("weights", ["best", "last"])
def test_a_run_completes_without_accuracy(
    capsys: pytest.CaptureFixture[str], model: str, weights: str
) -> None:
    run = json.loads(dal(capsys, *run_on_toy(which_model=model, weights=weights), "--json"))
    assert [step["n_labelled"] for step in run["steps"]] == [6, 11, 16]
    assert all(step.keys() == {"step", "n_labelled", "seconds"} for step in run["steps"])


def test_what_is_shown_of_a_run_leaves_accuracy_out(
    capsys: pytest.CaptureFixture[str], finished: dict[str, Any]
) -> None:
    shown = dal(capsys, "show", finished["id"])
    assert "16" in shown and "train" in shown
    assert "accuracy" not in shown and "mutual information" not in shown and "nan" not in shown
    (row,) = json.loads(dal(capsys, "runs", "--json"))
    assert (row["dataset"], row["n_labelled"], row["accuracy"]) == ("toy", 16, None)
    line = dal(capsys, *run_on_toy("random")).splitlines()[-1]
    assert line == "16 labels (no test set)"


def test_what_the_store_keeps_is_absent_and_not_nan(
    dal_home: Path, finished: dict[str, Any]
) -> None:
    store = open_store(dal_home)
    log = store.log(finished["id"])
    (summary,) = store.summaries([finished["id"]])
    assert not log.run.has_test_set
    assert {(s.accuracy, s.mutual_information, s.confusion) for s in log.steps} == {(None,) * 3}
    assert summary.steps == log.steps


def test_exported_labels_are_classes_of_the_toy_and_can_be_refitted(
    capsys: pytest.CaptureFixture[str], finished: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "labels.csv"
    dal(capsys, "export", finished["id"], "--format", "csv", "--out", str(path))
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    truth = toys.truth()
    assert len(rows) == 10
    assert all(int(row["label"]) == truth[int(row["image_id"])] for row in rows)
    assert [row["class_name"] for row in rows] == [
        toys.CLASS_NAMES[int(row["label"])] for row in rows
    ]
    refit = ["replay", str(path), *on_toy(), "--acquisition", "bald"]
    again = json.loads(dal(capsys, *refit, "--json"))
    assert [step["n_labelled"] for step in again["steps"]] == [6, 11, 16]

    path.write_text(path.read_text().replace(f",{rows[0]['label']},", ",3,", 1))
    error = dal(capsys, *refit, code=2)
    assert "label is '3'; allowed: 0 to 2, or empty for a skipped image" in error


def test_the_record_holds_no_measurement_and_the_number_of_classes(
    capsys: pytest.CaptureFixture[str], finished: dict[str, Any]
) -> None:
    record = yaml.safe_load(dal(capsys, "export", finished["id"], "--format", "yaml", "--out", "-"))
    assert record["params"]["exp"]["dataset"] == "toy"
    assert record["params"]["exp"]["n_classes"] == 3
    entry = record["results"]["acq"]["mutual_information"]
    assert (entry["test_acc"], entry["test_inf"]) == ([[]], [[]])


def test_an_exported_model_names_the_classes(
    capsys: pytest.CaptureFixture[str],
    finished: dict[str, Any],
    toy: ImageDataset,
    tmp_path: Path,
) -> None:
    out, picture = tmp_path / "model.safetensors", tmp_path / "sign.png"
    dal(capsys, "export", finished["id"], "--format", "safetensors", "--out", str(out))
    Image.fromarray(toy.images[1]).save(picture)
    said = subprocess.run(
        [sys.executable, "-I", "predict.py", out, picture],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout
    name = said.removeprefix(f"{picture}: ").split(" (")[0]
    assert name in toys.CLASS_NAMES


def test_a_noisy_oracle_answers_with_classes_of_the_toy(
    capsys: pytest.CaptureFixture[str], dal_home: Path
) -> None:
    noisy = [*run_on_toy(), "--noise", "1", "--json"]
    labels = open_store(dal_home).log(json.loads(dal(capsys, *noisy))["id"]).labels()
    truth = toys.truth()
    assert len(labels) == 10 and {label for _, label in labels} <= {0, 1, 2}
    assert all(label != truth[image_id] for image_id, label in labels)


@pytest.mark.parametrize("stacked", [False, True])
def test_an_experiment_is_complete_without_a_test_set(
    toy: ImageDataset, dal_home: Path, stacked: bool
) -> None:
    store, protocol = open_store(dal_home), override(PRESETS["quick"], toys.SETTINGS)
    made = control.create_experiment(store, toy, protocol, ["bald", "random"], [1], full_data=True)
    if stacked:
        conduct(store, made.experiment_id, torch.device("cpu"), lambda _: None)
    else:
        bench = Workbench(store)
        for log, _ in store.experiments.summaries(made.experiment_id):
            list(advance(bench, log.run.run_id))
    assert status(store, made.experiment_id).is_complete
    logs = [log for log, _ in store.experiments.summaries(made.experiment_id)]
    record = experiment_record(made, logs)
    assert curves(record) == bounds(record) == []


def test_every_preset_can_be_moved_to_the_toy(toy: ImageDataset) -> None:
    for name, preset in PRESETS.items():
        protocol = with_dataset(preset, toys.NAME)
        assert (protocol.test_size, protocol.train_size) == (None, 21), name
        sizes = make_split(toy, protocol, seed=1).sizes()
        assert sizes["validation"] == 12 and sizes["test"] == 0


def test_a_target_accuracy_is_refused_where_nothing_measures_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = dal(capsys, *run_on_toy(), "--until-accuracy", "0.9", code=2)
    assert error == (
        "dal: --until-accuracy is '0.9'; allowed: with a data set that has a test set, "
        "and toy has none"
    )


def test_the_store_refuses_a_target_accuracy_too(toy: ImageDataset, dal_home: Path) -> None:
    store, protocol = open_store(dal_home), override(PRESETS["quick"], toys.SETTINGS)
    spec = RunSpec(toy.fingerprint, protocol, "bald", seed=1)
    words = "until_accuracy is 0.9; allowed: None, since this data set has no test set"
    with pytest.raises(ValueError, match=words):
        control.create_run(store, toy, spec, until_accuracy=0.9)
    assert store.runs() == []
    run = control.create_run(store, toy, spec)
    with pytest.raises(ValueError, match=words):
        store.set_directives(run.run_id, until_accuracy=0.9)


def test_answers_beyond_the_classes_of_the_toy_are_refused(
    toy: ImageDataset, dal_home: Path
) -> None:
    store, protocol = open_store(dal_home), override(PRESETS["quick"], toys.SETTINGS)
    spec = RunSpec(toy.fingerprint, protocol, "random", seed=1)
    run = control.create_run(store, toy, spec, person=True)
    list(advance(Workbench(store), run.run_id))
    query = store.log(run.run_id).open_query
    assert query is not None
    answers = [Answer(image_id, 3) for image_id in query.shown()]
    with pytest.raises(AnswerError, match="is 3; allowed: 0 to 2, or None"):
        store.submit(query.query_id, answers, annotator="Ann", source="person")


def test_the_oracle_stops_in_one_line_where_it_does_not_know_the_label(
    capsys: pytest.CaptureFixture[str],
) -> None:
    partly = run_on_toy("random", dataset=toys.PARTLY, n_samples_to_acquire=100)
    error = dal(capsys, *partly, code=1)
    assert error.startswith("dal: the oracle cannot answer for image ")
    assert error.endswith("toy-partly has no sign for it; allowed: a run that a person answers")


@pytest.mark.parametrize("mode", ["strict", "continuous"])
def test_a_person_labels_images_that_the_data_set_does_not_know(dal_home: Path, mode: Mode) -> None:
    partly, store = toys.dataset(toys.PARTLY), open_store(dal_home)
    protocol = override(PRESETS["quick"], {**toys.SETTINGS, "dataset": toys.PARTLY})
    spec = RunSpec(partly.fingerprint, protocol, "random", seed=1)
    run = control.create_run(store, partly, spec, person=True, mode=mode)
    bench, truth = Workbench(store), toys.truth()
    for _ in range(protocol.n_acquisition_steps):
        list(advance(bench, run.run_id))
        query = store.log(run.run_id).open_query
        assert query is not None
        answers = [Answer(i, int(truth[i])) for i in query.shown()]
        store.submit(query.query_id, answers, annotator="Ann", source="person")
    list(advance(bench, run.run_id))
    log = store.log(run.run_id)
    assert stop_rules.finished(log) is not None and not next_task(log).has_work
    assert log.steps[-1].n_labelled == 16 and log.steps[-1].accuracy is None
    asked = [image_id for image_id, _ in log.labels()]
    assert not partly.known[asked].all()

    moments, split = run_history.moments(log), split_of(spec, partly)
    assert run_history.n_wrong(log, moments[-1], partly) == 0
    assert not any(image.is_wrong for image in run_history.asked_images(moments[0], partly))
    labelled, pool = run_history.class_counts(log, moments[-1], partly, split)
    left = np.setdiff1d(split.pool, asked)
    assert labelled.sum() == 16 and pool.sum() == partly.known[left].sum()
