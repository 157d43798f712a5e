"""A measurement that was passed by is made up from the labels, when nobody waits for the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.run.events import Answer, Query, StepResult
from dal_core.run.next_task import Task, next_task
from dal_core.store.base import Store
from dal_core.store.home import run_dir
from dal_core.store.opening import open_store
from dal_core.store.sqlite.commands import SqliteStore
from tests.experiment_kit import measures, new_run, numbers


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def label(store: Store, run_id: str) -> None:
    """A person labels each image with its id's last digit."""
    query = store.log(run_id).open_query
    assert query is not None
    answers = [Answer(image_id, image_id % 10) for image_id in query.shown()]
    store.submit(query.query_id, answers, annotator="ann", source="person")


def work(store: Store, run_id: str, wait: Callable[[], None] = lambda: None) -> list[int]:
    """Do all that the run needs; the labels of each measured step, in order."""
    return [step.n_labelled for step in advance(Workbench(store), run_id, wait)]


def undisturbed(store: Store, dataset: ImageDataset, correct_at: int = 0) -> str:
    """A whole run whose person waits for every measurement."""
    run_id = new_run(store, dataset, person=True).run_id
    for n_labelled in (20, 30):
        work(store, run_id)
        if correct_at == n_labelled:
            correct(store, run_id)
        label(store, run_id)
    work(store, run_id)
    return run_id


def correct(store: Store, run_id: str) -> None:
    """Correct the first image that was labelled."""
    image_id, label = store.log(run_id).labels()[0]
    store.correct(run_id, image_id, (label + 1) % 10, annotator="ann")


def quick_person(monkeypatch: pytest.MonkeyPatch, and_then: Callable[[str], Any]) -> None:
    """From now on every query is answered before the model that asked it is measured."""
    ask = SqliteStore.add_query

    def asked_and_answered(self: SqliteStore, run_id: str, query: Query, probs: Any) -> bool:
        asked = ask(self, run_id, query, probs)
        if asked and self.log(run_id).is_asked:
            if query.n_labelled == 30:
                and_then(run_id)
            label(self, run_id)
        return asked

    monkeypatch.setattr(SqliteStore, "add_query", asked_and_answered)


def record(store: Store, run_id: str) -> dict[str, Any]:
    return numbers(run_dir(store.home, run_id) / "record.yaml")


@pytest.mark.parametrize("corrected", [False, True])
def test_a_person_faster_than_the_measurements_gets_the_same_curve(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch, corrected: bool
) -> None:
    whole = undisturbed(store, mnist5k, correct_at=30 if corrected else 0)
    run_id = new_run(store, mnist5k, person=True).run_id
    quick_person(monkeypatch, lambda r: correct(store, r) if corrected else None)
    assert work(store, run_id) == [40, 20, 30]  # the newest first, then the earlier ones
    assert measures(store, run_id) == measures(store, whole)
    assert [step.step for step in store.log(run_id).steps] == [0, 1, 2]
    assert record(store, run_id) == record(store, whole)
    assert next_task(store.log(run_id)).task is Task.NOTHING
    weights = run_dir(store.home, run_id) / "weights.safetensors"
    newest = store.log(run_id)
    bench = Workbench(store)
    kept = bench.fitted(newest.run, bench.labelled(newest))
    assert weights.is_file() and kept is not None and kept.n_labelled == 40


def passed_by(store: Store, dataset: ImageDataset) -> str:
    """A run with an open query at 30 labels whose first model was not measured."""
    run_id = new_run(store, dataset, person=True, n_epochs=5).run_id
    with pytest.MonkeyPatch.context() as patch:
        quick_person(patch, lambda _: None)
        patch.setattr(SqliteStore, "add_step", stop)
        with pytest.raises(KeyboardInterrupt):
            work(store, run_id)
    log = store.log(run_id)
    store.undo(run_id, log.after)
    assert (log.n_labelled, store.log(run_id).unmeasured) == (40, ((0, 0),))
    return run_id


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_making_up_is_given_up_at_once_when_the_person_answers(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = passed_by(store, mnist5k)
    calls: list[Task] = []

    def answer_while_it_is_made_up() -> None:
        calls.append(next_task(store.log(run_id)).task)
        if calls[-1] is Task.MAKE_UP and store.log(run_id).n_labelled == 30:
            label(store, run_id)

    bench = Workbench(store)
    steps: list[StepResult] = []
    while not calls or calls[-1] is not Task.MAKE_UP:
        steps += advance(bench, run_id, answer_while_it_is_made_up, max_steps=1)
    # Given up in the background: what is next has a person waiting, so another worker takes it.
    assert [step.n_labelled for step in steps] == [30] and next_task(store.log(run_id)).has_work
    assert calls.count(Task.MAKE_UP) == 1
    assert work(store, run_id) == [40, 20]


def test_a_measurement_being_made_up_shows_its_own_number_of_labels_and_stops_on_pause(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = passed_by(store, mnist5k)
    seen: list[tuple[str, int | None]] = []

    def pause() -> None:
        now = store.progress(run_id)
        if next_task(store.log(run_id)).task is Task.MAKE_UP and now is not None:
            seen.append((now.part, now.n_labelled))
            if now.part == "train" and now.n_labelled == 20:
                store.set_directives(run_id, paused=True)

    assert work(store, run_id, pause) == [30]
    assert seen[-1] == ("train", 20)
    store.set_directives(run_id, paused=False)
    assert work(store, run_id) == [20]
