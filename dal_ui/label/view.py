"""What the labelling page reads of a run, without drawing: the run, its baseline, what is new."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import Query, StepResult, Submission
from dal_core.run.next_task import NextTask, next_task
from dal_core.run.rows import RunNotFound, why_read_only
from dal_core.run.state import RunState
from dal_core.store.base import Store

POLL_SECONDS = 0.02  # between two reads of the store while a page listens

Pulse = tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]  # of the run, of its baseline


@dataclass(frozen=True)
class View:
    """One reading of a run and its random baseline; the page draws nothing else.

    `pulse` was read just before: once `read_pulse` differs from it, there is something new.

    Attributes:
        experiments: ids of the experiments that the run belongs to.
    """

    log: RunState
    next_task: NextTask
    baseline: RunState | None
    pulse: Pulse
    experiments: tuple[str, ...] = ()

    @property
    def read_only(self) -> str | None:
        """Why people may not change the run, in one line; None if they may."""
        return why_read_only(self.log.run, self.experiments)

    @property
    def baseline_works(self) -> bool:
        """Whether the baseline still has to reach the run's number of labels."""
        return self.baseline is not None and next_task(self.baseline).has_work

    @property
    def has_test_set(self) -> bool:
        """Whether there are test images to measure on."""
        return self.log.run.has_test_set

    @property
    def latest(self) -> StepResult | None:
        """The newest measured step."""
        return self.log.steps[-1] if self.log.steps else None

    @property
    def random_beside(self) -> StepResult | None:
        """The baseline's step with as many labels as the newest measured step."""
        if self.latest is None or self.baseline is None:
            return None
        n = self.latest.n_labelled
        return next((step for step in self.baseline.steps if step.n_labelled == n), None)


def read_view(store: Store, run_id: str) -> View:
    """Read a run and its baseline, if it has one. Raises RunNotFound."""
    base = store.find_oracle_run(random_spec(store.run(run_id).spec))
    base_id = None if base is None or base.run_id == run_id else base.run_id
    pulse = read_pulse(store, run_id, base_id)
    log = store.log(run_id)
    baseline = store.log(base_id) if base_id else None
    return View(log, next_task(log), baseline, pulse, tuple(store.experiments.of_run(run_id)))


def find_view(store: Store, run_id: str) -> View | None:
    """`read_view`, or None for a run that does not exist."""
    try:
        return read_view(store, run_id)
    except RunNotFound:
        return None


def read_pulse(store: Store, run_id: str, baseline_id: str | None) -> Pulse:
    """A value that changes whenever the page must be redrawn; cheap enough for polling."""
    return store.pulse(run_id), store.pulse(baseline_id) if baseline_id else None


def has_moved(
    store: Store, run_id: str, baseline_id: str | None, seen: Pulse, patience: float
) -> bool:
    """Whether the pulse differs from `seen`; polls for up to `patience` seconds.

    A read costs a millisecond, a redraw by the page about twenty times that. Polling between two
    redraws shows a person the next batch at once.
    """
    until = time.monotonic() + patience
    while read_pulse(store, run_id, baseline_id) == seen:
        if time.monotonic() >= until:
            return False
        time.sleep(POLL_SECONDS)
    return True


def batch_on_screen(log: RunState) -> tuple[Query, Submission | None] | None:
    """What the grid shows: the open query, else the last answered one until the next comes."""
    if log.open_query is not None:
        return log.open_query, None
    if log.submissions:
        last = log.submissions[-1]
        return log.queries[last.query_id], last
    return None


def random_spec(spec: RunSpec) -> RunSpec:
    """The spec of the random baseline: everything else is the same, the oracle's noise too."""
    return replace(spec, acquisition="random")
