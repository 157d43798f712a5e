"""The work on one run: in which order, given up when, taken up where."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import delete

from dal_core.data.base import ImageDataset
from dal_core.execution import worker_process
from dal_core.execution.job import Workbench, advance
from dal_core.learner.bayesian_cnn import BayesianCNNLearner
from dal_core.models.networks import BayesianCNN
from dal_core.record_file.io import read_record
from dal_core.record_file.schema import curves
from dal_core.record_file.sync import write_run_record
from dal_core.run.environment import changes
from dal_core.run.events import Answer
from dal_core.run.next_task import Task, next_task
from dal_core.run.rows import RunNotFound
from dal_core.store.base import Store
from dal_core.store.home import run_dir
from dal_core.store.opening import open_store
from dal_core.store.run_lock import RunBusy, run_lock
from dal_core.store.sqlite import schema
from dal_core.store.sqlite.commands import SqliteStore
from dal_core.store.versions import current_versions
from dal_core.training import loop
from tests.experiment_kit import measures, new_run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def finish(store: Store, run_id: str) -> list[int]:
    return [step.n_labelled for step in advance(Workbench(store), run_id)]


def label(store: Store, run_id: str) -> None:
    """A person says 7 to everything."""
    query = store.log(run_id).open_query
    assert query is not None
    answers = [Answer(image_id, 7) for image_id in query.shown(())]
    store.submit(query.query_id, answers, annotator="ann", source="person")


def test_each_step_says_where_it_was_computed_also_after_a_resume_elsewhere(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = new_run(store, mnist5k).run_id
    list(advance(Workbench(store), run_id, max_steps=1))
    here = current_versions()
    monkeypatch.setattr(
        "dal_core.execution.environment.current_versions", lambda kind: here | {"torch": "9.9"}
    )
    finish(store, run_id)
    first, *others = (step.environment for step in store.log(run_id).steps)
    assert first is not None and others
    assert (first.torch, first.device, first.data) == (here["torch"], "cpu", mnist5k.fingerprint)
    assert first.cpu_capability == torch.backends.cpu.get_cpu_capability()
    assert all(one is not None and one.torch == "9.9" for one in others)
    assert changes([first, *others]) == [(1, [f"torch {here['torch']} then, 9.9 now"])]


def at_call(number: int, act: Callable[[], object]) -> Callable[[], None]:
    """A `wait` that does something the n-th time it is called (epochs first, then chunks)."""
    calls = iter(range(1, 10_000))

    def wait() -> None:
        if next(calls) == number:
            act()

    return wait


def test_an_oracle_run_is_measured_from_its_first_labels_to_its_last(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = new_run(store, mnist5k).run_id
    assert finish(store, run_id) == [20, 30, 40]
    log = store.log(run_id)
    assert [len(one.answers) for one in log.submissions] == [10, 10]
    assert log.open_query is None  # nothing is asked after the last step
    progress = store.progress(run_id)
    assert progress is not None and progress.part == "idle"
    (curve,) = curves(read_record(run_dir(store.home, run_id) / "record.yaml"))
    assert curve.accuracy == tuple(step.accuracy for step in log.steps)


def test_a_person_gets_the_query_before_the_measurement_and_the_oracle_after(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    for name in ("query", "evaluate"):
        method = getattr(BayesianCNNLearner, name)

        def spy(
            self: BayesianCNNLearner, *a: object, name: str = name, method: Callable = method
        ) -> object:
            order.append(name)
            return method(self, *a)

        monkeypatch.setattr(BayesianCNNLearner, name, spy)
    finish(store, new_run(store, mnist5k, person=True).run_id)
    assert order == ["query", "evaluate"]
    order.clear()
    finish(store, new_run(store, mnist5k, n_acquisition_steps=1).run_id)
    assert order == ["evaluate", "query", "evaluate"]


def test_a_fit_whose_labels_are_taken_back_is_dropped(store: Store, mnist5k: ImageDataset) -> None:
    run_id = new_run(store, mnist5k, person=True).run_id
    assert finish(store, run_id) == [20]
    label(store, run_id)
    undo = at_call(1, lambda: store.undo(run_id))
    assert list(advance(Workbench(store), run_id, undo)) == []
    log = store.log(run_id)
    assert (log.n_labelled, [step.n_labelled for step in log.steps]) == (20, [20])
    assert log.open_query is not None and log.n_retracted == 1


def test_a_paused_run_gives_up_its_fit_and_goes_on_later(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = new_run(store, mnist5k).run_id
    pause = at_call(1, lambda: store.set_directives(run_id, paused=True))
    assert list(advance(Workbench(store), run_id, pause)) == []
    assert not (run_dir(store.home, run_id) / "weights.safetensors").exists()
    store.set_directives(run_id, paused=False)
    assert finish(store, run_id) == [20, 30, 40]


def test_a_run_that_vanishes_while_it_is_worked_on_is_reported(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = new_run(store, mnist5k).run_id

    def vanish() -> None:
        with SqliteStore(store.home)._writing.begin() as connection:
            connection.execute(delete(schema.runs).filter_by(run_id=run_id))

    with pytest.raises(RunNotFound, match=run_id):
        list(advance(Workbench(store), run_id, at_call(1, vanish)))


def test_a_number_of_steps_can_be_asked_for(store: Store, mnist5k: ImageDataset) -> None:
    run_id = new_run(store, mnist5k).run_id
    bench = Workbench(store)
    assert [s.n_labelled for s in advance(bench, run_id, max_steps=1)] == [20]
    assert [s.n_labelled for s in advance(bench, run_id, max_steps=1)] == [30]
    whole = new_run(store, mnist5k).run_id
    finish(store, whole)
    finish(store, run_id)
    assert measures(store, run_id) == measures(store, whole)


def test_a_model_on_disk_is_not_fitted_again(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def kill() -> None:
        raise Killed

    run_id = new_run(store, mnist5k, n_acquisition_steps=0).run_id
    with pytest.raises(Killed):  # after two epochs, at the first chunk of test images
        list(advance(Workbench(store), run_id, at_call(3, kill)))
    whole = new_run(store, mnist5k, n_acquisition_steps=0).run_id
    finish(store, whole)
    monkeypatch.setattr(
        BayesianCNNLearner, "fit", lambda *_: pytest.fail("it was fitted a second time")
    )
    assert finish(store, run_id) == [20]
    assert measures(store, run_id) == measures(store, whole)


def test_a_run_that_somebody_else_works_on_is_busy(store: Store, mnist5k: ImageDataset) -> None:
    run_id = new_run(store, mnist5k).run_id
    with run_lock(store.home, run_id), pytest.raises(RunBusy):
        list(advance(Workbench(store), run_id))
    assert store.log(run_id).steps == ()


def test_a_stopped_run_begins_nothing(store: Store, mnist5k: ImageDataset) -> None:
    run_id = new_run(store, mnist5k).run_id
    store.set_directives(run_id, oracle_until=None)
    assert finish(store, run_id) == []


def test_a_step_that_cannot_be_computed_again_is_no_failure_of_its_run(
    store: Store,
    mnist5k: ImageDataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_id = new_run(store, mnist5k).run_id
    finish(store, run_id)

    def fail(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(worker_process, "recompute_weights", fail)
    job = {"do": "weights", "run": run_id, "after": 0}
    worker_process.do(Workbench(store), job, lambda: None)
    progress = store.progress(run_id)
    assert progress is not None and progress.part == "idle"
    (event,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (event["event"], event["message"]) == ("failed", "OSError: the disk is full")


@pytest.mark.parametrize("person", [False, True])
def test_a_training_that_diverges_fails_its_run_in_one_line_and_stores_nothing(
    store: Store,
    mnist5k: ImageDataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    person: bool,
) -> None:
    run_id = new_run(store, mnist5k, person=person).run_id
    monkeypatch.setattr(loop, "_train_epoch", diverge)
    job = {"do": "work", "run": run_id, "steps": None}
    worker_process.do(Workbench(store), job, lambda: None)
    log = store.log(run_id)
    assert (log.steps, log.open_query) == ((), None)
    assert log.failure is not None
    what = "a score" if person else "train loss"  # a person is asked first
    reason = f"Diverged: the training on 20 labels diverged: {what} is nan"
    assert log.failure.reason == reason and next_task(log).task is Task.NOTHING


def diverge(model: BayesianCNN, *_: object) -> float:
    with torch.no_grad():
        for weights in model.parameters():
            weights.fill_(torch.nan)
    return float("nan")


def test_a_diverged_step_of_an_earlier_version_is_left_out_of_the_record(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = new_run(store, mnist5k).run_id
    finish(store, run_id)
    log = store.log(run_id)
    nan: Any = dict.fromkeys(("accuracy", "mutual_information", "train_loss"), float("nan"))
    store.add_step(run_id, dataclasses.replace(log.steps[1], **nan))
    (curve,) = curves(read_record(write_run_record(store, run_id)))
    assert curve.n_labelled == (20, 40)
    assert curve.accuracy == (log.steps[0].accuracy, log.steps[2].accuracy)
