"""A person labels pictures that have no labels yet: from nothing, without a test set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dal_core.cli import main
from dal_core.data import catalogue
from dal_core.data.base import ImageDataset
from dal_core.data.own.files import file_names
from dal_core.data.own.importing import Wanted, add
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.protocol.parameters import Protocol, ProtocolError, make_protocol, override
from dal_core.protocol.presets import PRESETS, preset, with_dataset
from dal_core.protocol.run_spec import RunSpec
from dal_core.run import stop_rules
from dal_core.run.events import Answer, Query
from dal_core.run.rows import Mode
from dal_core.run.splits import make_split
from dal_core.run.state import RunState
from dal_core.store.opening import open_store
from tests.data.own.folders import COLOURS, by_class, flat

CLASSES = tuple(COLOURS)
SHORT = {"n_epochs": 30, "num_mc_samples": 4, "n_acquisition_steps": 3, "n_samples_to_acquire": 6}


def unlabelled(tmp_path: Path, home: Path, n: int = 20) -> ImageDataset:
    """The colours without labels, at 28 pixels."""
    add(home, flat(tmp_path / "in", n), Wanted("colours", CLASSES, size=28))
    return catalogue.load("colours")


def short(base: str = "quick", dataset: str = "colours", **changes: object) -> Protocol:
    return override(with_dataset(preset(base), dataset), {**SHORT, **changes})


class Person:
    """Answers right, by the colour in the file's name."""

    def __init__(self, home: Path, protocol: Protocol, acquisition: str, mode: Mode) -> None:
        self.store, self.data = open_store(home), catalogue.load("colours")
        names = file_names(home, "colours")
        self.truth = [CLASSES.index(one.split("-")[-1].removesuffix(".png")) for one in names]
        spec = RunSpec(self.data.fingerprint, protocol, acquisition, seed=1)
        self.run = control.create_run(self.store, self.data, spec, person=True, mode=mode)
        self.bench = Workbench(self.store)

    def asked(self) -> Query:
        """The query that the worker asks next."""
        list(advance(self.bench, self.run.run_id))
        query = self.log.open_query
        assert query is not None
        return query

    def answer(self, query: Query) -> None:
        answers = [Answer(i, self.truth[i]) for i in query.shown()]
        self.store.submit(query.query_id, answers, annotator="Ann", source="person")

    @property
    def log(self) -> RunState:
        return self.store.log(self.run.run_id)


@pytest.mark.parametrize("mode", ["strict", "continuous"])
@pytest.mark.parametrize("acquisition", ["bald", "random", "bald_coverage"])
def test_a_run_starts_without_labels_and_learns(
    tmp_path: Path, dal_home: Path, acquisition: str, mode: Mode
) -> None:
    unlabelled(tmp_path, dal_home)
    person = Person(dal_home, short(n_epochs=100), acquisition, mode)
    assert person.run.n_initial == 0 and not person.run.has_test_set
    for n_labelled in (0, 6, 12):
        query = person.asked()
        assert query.n_labelled == n_labelled
        person.answer(query)
    list(advance(person.bench, person.run.run_id))
    log = person.log
    assert stop_rules.finished(log) == "all 3 acquisition steps are done"
    assert log.n_labelled == 18 and {step.accuracy for step in log.steps} == {None}
    assert log.steps[-1].train_loss < np.log(3)
    fitted = person.bench.warm(person.run).fitted
    learner = person.bench.warm(person.run).learner
    assert fitted is not None
    rest = np.setdiff1d(np.arange(60), [image_id for image_id, _ in log.labels()])
    predicted = learner.inspect(fitted, rest.tolist()).mean(0).argmax(1)
    assert (predicted == np.array(person.truth)[rest]).mean() > 0.9


def test_the_first_batch_covers_what_there_is(tmp_path: Path, dal_home: Path) -> None:
    unlabelled(tmp_path, dal_home)
    person = Person(dal_home, short(), "bald", "strict")
    first = person.asked().shown()
    assert {person.truth[image_id] for image_id in first} == {0, 1, 2}
    (step,) = person.log.steps
    assert (step.n_labelled, step.accuracy) == (0, None)
    assert step.train_loss == pytest.approx(np.log(3))
    again = Person(dal_home, short(), "bald_coverage", "strict")
    assert again.asked().shown() == first


def test_before_the_first_label_every_class_is_equally_likely(
    tmp_path: Path, dal_home: Path
) -> None:
    unlabelled(tmp_path, dal_home)
    person = Person(dal_home, short(), "bald", "strict")
    person.asked()
    warm = person.bench.warm(person.run)
    assert warm.fitted is not None
    assert np.allclose(warm.learner.inspect(warm.fitted, [0, 5]), 1 / 3)
    restored = Workbench(person.store)
    assert restored.fitted(person.run, restored.labelled(person.log)) is not None


def test_what_is_labelled_already_is_learnt_from_the_start(tmp_path: Path, dal_home: Path) -> None:
    folder = by_class(tmp_path / "in", n=20)
    for path in sorted(folder.glob("blue/*"))[:15]:
        path.rename(folder / f"{path.stem}-blue.png")
    add(dal_home, folder, Wanted("some", CLASSES, size=28))
    data = catalogue.load("some")
    protocol = short(dataset="some")
    assert (protocol.initial_set, protocol.train_size, protocol.val_size) == ("known", 0, 0)
    split = make_split(data, protocol, seed=1)
    assert split.sizes() == {"initial": 45, "validation": 0, "pool": 15, "test": 0}
    assert data.labels[split.initial].tolist() == [0] * 20 + [1] * 20 + [2] * 5
    store = open_store(dal_home)
    spec = RunSpec(data.fingerprint, protocol, "bald", seed=1)
    run = control.create_run(store, data, spec, person=True)
    assert (run.n_initial, run.max_labels) == (45, 45 + 3 * 6)
    list(advance(Workbench(store), run.run_id))
    query = store.log(run.run_id).open_query
    assert query is not None and set(query.ranking) == set(split.pool.tolist())


def test_an_oracle_can_start_from_nothing_where_labels_are_known(
    tmp_path: Path, dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(dal_home, by_class(tmp_path / "in", n=20), Wanted("colours", size=28))
    sets = {**SHORT, "n_acquisition_steps": 2, "initial_set": "empty", "train_size": 0}
    command = ["run", "--dataset", "colours", "--json"]
    assert main([*command, *(f"--set={key}={value}" for key, value in sets.items())]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [step["n_labelled"] for step in steps] == [0, 6, 12]
    assert steps[-1]["accuracy"] > 0.8


def test_an_experiment_can_start_from_nothing_also_in_lockstep(
    tmp_path: Path, dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(dal_home, by_class(tmp_path / "in", n=20), Wanted("colours", size=28))
    sets = {**SHORT, "n_epochs": 3, "n_acquisition_steps": 1, "initial_set": "empty"}
    command = ["reproduce", "--dataset", "colours", "--acquisitions", "bald,random", "--seeds", "1"]
    command += ["--protocol", "quick", "--no-full-data", "--lockstep", "--json"]
    command += [f"--set={key}={value}" for key, value in {**sets, "train_size": 0}.items()]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["complete"]
    assert main(["report", found["id"], "--out", str(tmp_path / "report")]) == 0


def test_an_oracle_is_refused_where_nothing_is_known(
    tmp_path: Path, dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unlabelled(tmp_path, dal_home)
    for command in (["run"], ["reproduce", "--seeds", "1"]):
        assert main([*command, "--dataset", "colours"]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("dal: --dataset is 'colours', which has no labels for the oracle")
    assert open_store(dal_home).runs() == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"initial_set": "empty"}, "train_size is 20; allowed: 0, since initial_set is 'empty'"),
        ({"train_size": 0}, "train_size is 0; allowed: a whole number, at least 10"),
        ({"val_size": 0}, "val_size is 0; allowed: a whole number, at least 1"),
        (
            {"initial_set": "known", "train_size": 0, "val_size": 0},
            "weights is 'best'; allowed: last, since val_size is 0",
        ),
        ({"initial_set": "none"}, "initial_set is 'none'; allowed: balanced, known, empty"),
    ],
)
def test_an_initial_set_that_contradicts_its_size_is_refused(
    changes: dict[str, object], why: str
) -> None:
    with pytest.raises(ProtocolError, match=why):
        make_protocol({**PRESETS["report"].model_dump(), **changes})


def test_a_balanced_initial_set_is_not_written_so_that_stored_keys_stay() -> None:
    for name in PRESETS:
        assert "initial_set" not in preset(name).model_dump()
    assert short_of("empty").model_dump()["initial_set"] == "empty"


def short_of(initial_set: str) -> Protocol:
    return override(preset("quick"), {"initial_set": initial_set, "train_size": 0})


def test_a_protocol_can_move_on_to_a_data_set_with_labels(tmp_path: Path, dal_home: Path) -> None:
    unlabelled(tmp_path, dal_home)
    there = with_dataset(preset("report"), "colours")
    assert there.weights == "last"
    back = with_dataset(there, "mnist5k")
    assert (back.initial_set, back.train_size, back.val_size) == ("balanced", 20, 500)


@pytest.mark.parametrize("size", [28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_lenet5_adapts_to_the_size_and_channels_of_the_pictures(
    tmp_path: Path, dal_home: Path, size: int, channels: int
) -> None:
    classes = (*CLASSES, *(f"other {number}" for number in range(97)))
    folder = flat(tmp_path / "in", 4)
    add(dal_home, folder, Wanted("colours", classes, size=size, channels=channels))
    person = Person(dal_home, short(n_epochs=3), "bald", "strict")
    person.answer(person.asked())
    query = person.asked()
    assert query.n_labelled == 6 and len(query.ranking) == 6
    warm = person.bench.warm(person.run)
    assert warm.fitted is not None
    probs = warm.learner.inspect(warm.fitted, [0, 1])
    assert probs.shape == (4, 2, 100) and np.allclose(probs.sum(-1), 1, atol=1e-5)
