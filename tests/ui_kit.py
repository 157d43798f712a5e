"""What the tests of the pages share: a store with a fast run, and workers that work in place."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance, recompute_weights
from dal_core.run.events import Query
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_ui.components.grid.submission import GridSubmission
from dal_ui.label import actions
from tests import fast


class InlineWorkers:
    """Stands in for `Workers`: notes what was asked for, and does it when told to."""

    def __init__(self, store: Store) -> None:
        self.bench = Workbench(store)
        self.home = store.home
        self.asked: dict[str, bool] = {}
        self.asked_weights: list[tuple[str, int]] = []
        self.problems: dict[tuple[str, int], str] = {}
        self.failures: dict[str, str] = {}

    def ask(self, run_id: str, *, person_waits: bool, rank: int = 0, n_labelled: int = 0) -> None:
        self.asked[run_id] = person_waits

    def ask_weights(self, run_id: str, after: int) -> None:
        self.problems.pop((run_id, after), None)
        self.asked_weights.append((run_id, after))

    def unstored_failure(self, run_id: str) -> str | None:
        return self.failures.get(run_id)

    def person_goes_first(self) -> bool:
        return False

    def is_active(self, run_id: str) -> bool:
        return run_id in self.asked

    def weights_active(self, run_id: str, after: int) -> bool:
        return (run_id, after) in self.asked_weights

    def weights_problem(self, run_id: str, after: int) -> str | None:
        return self.problems.get((run_id, after))

    def refuse(self, problem: str) -> None:
        """What was asked for last is not computed."""
        self.problems[self.asked_weights.pop()] = problem

    def warm_up(self) -> None:
        """There is no process to start."""

    def work(self, *run_ids: str) -> None:
        """Bring the runs up to their directives; without names, all that were asked for."""
        while self.asked_weights:
            recompute_weights(self.bench, *self.asked_weights.pop())
        for run_id in run_ids or tuple(self.asked):
            self.asked.pop(run_id, None)
            for _ in advance(self.bench, run_id):
                pass


def new_run(store: Store, dataset: ImageDataset, acquisition: str = "bald", **changes: Any) -> str:
    """A person's run under the fast protocol, nothing done yet."""
    return actions.start_run(store, dataset, fast.protocol(**changes), acquisition, 1, "Ann")


def asked_run(store: Store, dataset: ImageDataset, **changes: Any) -> tuple[str, InlineWorkers]:
    """A person's run whose first query is open and whose first step is measured."""
    run_id, workers = new_run(store, dataset, **changes), InlineWorkers(store)
    workers.work(run_id)
    return run_id, workers


def resumed_elsewhere(store: Store, dataset: ImageDataset) -> tuple[str, str]:
    """A run whose step at 30 labels was measured with another torch; its id and what differed."""
    run_id, _ = asked_run(store, dataset)
    query = open_query(store.log(run_id))
    actions.take(store, run_id, submission(query, right_labels(query, dataset)), "Ann")
    log = store.log(run_id)
    here = log.steps[0].environment
    assert here is not None
    result = replace(log.steps[0], step=1, n_labelled=30, after=log.after)
    assert store.add_step(run_id, replace(result, environment=replace(here, torch="0.9")))
    return run_id, f"torch {here.torch} then, 0.9 now"


def submission(
    query: Query, labels: Mapping[int, int], skipped: tuple[int, ...] = ()
) -> GridSubmission:
    return GridSubmission(uuid.uuid4().hex, query.query_id, dict(labels), skipped, {})


def right_labels(
    query: Query, dataset: ImageDataset, skipped: tuple[int, ...] = ()
) -> dict[int, int]:
    """What the data set says of the images shown."""
    return {i: int(dataset.labels[i]) for i in query.shown(skipped)}


def open_query(log: RunState) -> Query:
    assert log.open_query is not None
    return log.open_query
