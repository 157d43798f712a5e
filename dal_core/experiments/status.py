"""The progress, state and estimated time left of an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dal_core.experiments.forecast import seconds_left
from dal_core.protocol.run_spec import FULL_DATA
from dal_core.run.next_task import next_task
from dal_core.run.rows import Progress, RunRow
from dal_core.run.summary import RunSummary
from dal_core.store.base import Store
from dal_core.store.experiments import ExperimentRow

PARTS = {"train": "training", "score": "scoring", "evaluate": "testing"}  # of a step, in words


class State(Enum):
    """The state of an experiment, or of one of its runs."""

    COMPLETE = "complete"  # every step is measured
    UNFINISHED = "unfinished"  # work is left, running or queued
    FAILED = "failed"  # all unfinished work has failed
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True)
class RunStatus:
    """Progress of one run.

    Attributes:
        n_steps: steps of the complete run; 1 for a full-data bound.
        progress: what a worker is doing now; None if nothing was stored yet.
        has_work: whether work is left that is not paused, stopped or failed.
        seconds_left: estimated seconds left on one core; None before the first measurement.
    """

    log: RunSummary
    n_steps: int
    progress: Progress | None
    has_work: bool
    seconds_left: float | None

    @property
    def n_done(self) -> int:
        """Number of measured steps."""
        return len(self.log.steps)

    @property
    def state(self) -> State:
        """The state of the run."""
        if self.is_complete:
            return State.COMPLETE
        if self.failure is not None:
            return State.FAILED
        if self.has_work:
            return State.UNFINISHED
        run = self.log.run
        return State.PAUSED if run.paused and run.oracle_until is not None else State.STOPPED

    @property
    def is_complete(self) -> bool:
        """Whether every step is measured, or as many steps as the pool has images for."""
        return self.n_done >= self.n_steps or _has_used_its_pool(self.log)

    @property
    def failure(self) -> str | None:
        """Why the last work on the run failed; None if it did not. `resume` tries again."""
        failure = self.log.failure
        return None if failure is None or self.is_complete else failure.reason

    def doing(self, is_worked_on: bool) -> str:
        """What is done for the run now, in a few words.

        Args:
            is_worked_on: whether a worker has the run.
        """
        if self.is_complete:
            return "done"
        if self.failure is not None or not (self.has_work or is_worked_on):
            return self.state.value
        now = self.progress
        if not is_worked_on:
            return "waiting"
        if now is None or now.part not in PARTS or not now.n_epochs:
            return "starting"
        if now.part == "train":
            return f"training, epoch {now.epoch} of {now.n_epochs}"
        return f"{PARTS[now.part]}, {(now.epoch or 0) / now.n_epochs:.0%}"

    @property
    def accuracy(self) -> float | None:
        """Test accuracy of the newest step, 0 .. 1; None before it or without a test set."""
        return self.log.steps[-1].accuracy if self.log.steps else None

    @property
    def seconds_spent(self) -> float:
        """Seconds that the measured steps took."""
        return sum(sum(step.seconds.values()) for step in self.log.steps)


@dataclass(frozen=True)
class ExperimentStatus:
    """Progress of an experiment; `runs` are in the order of the experiment."""

    experiment: ExperimentRow
    runs: tuple[RunStatus, ...]

    @property
    def n_done(self) -> int:
        """Number of measured steps over all runs."""
        return sum(run.n_done for run in self.runs)

    @property
    def n_steps(self) -> int:
        """Number of steps of all complete runs."""
        return sum(run.n_steps for run in self.runs)

    @property
    def state(self) -> State:
        """The state of the experiment as a whole."""
        if self.is_complete:
            return State.COMPLETE
        if self.has_work:
            return State.UNFINISHED
        if self.failures:
            return State.FAILED
        return State.PAUSED if self.is_paused else State.STOPPED

    @property
    def has_work(self) -> bool:
        """Whether work is left that is not paused, stopped or failed."""
        return any(run.has_work for run in self.runs)

    @property
    def is_complete(self) -> bool:
        """Whether every run is complete."""
        return all(run.is_complete for run in self.runs)

    @property
    def is_paused(self) -> bool:
        """Whether all unfinished runs are paused and at least one is not stopped."""
        left = [run.log.run for run in self.runs if not run.is_complete]
        is_wanted = any(run.oracle_until is not None for run in left)
        return is_wanted and all(run.paused for run in left)

    @property
    def failures(self) -> tuple[RunStatus, ...]:
        """The runs that failed."""
        return tuple(run for run in self.runs if run.failure is not None)

    def seconds_left(self, n_workers: int) -> float | None:
        """Estimated seconds to the end on `n_workers` cores; None before a step is measured.

        A run that has not begun is estimated as the average of those that have, and a bound as
        the average of the measured bounds. Before a bound is measured, the estimate is a step's
        training time per image times the bound's images.
        """
        left = [self._left(run) for run in self.runs if not run.is_complete]
        known = [seconds for seconds in left if seconds is not None]
        if len(known) < len(left):
            return None
        # Two workers never share a run, so the longest run decides the end.
        return max(sum(known) / max(n_workers, 1), max(known, default=0.0))

    def _left(self, run: RunStatus) -> float | None:
        if run.seconds_left is not None:
            return run.seconds_left
        totals = [
            other.seconds_spent + other.seconds_left
            for other in self.runs
            if is_bound(other.log.run) is is_bound(run.log.run) and other.seconds_left is not None
        ]
        if totals:
            return sum(totals) / len(totals)
        return self._bound_by_images(run) if is_bound(run.log.run) else None

    def _bound_by_images(self, run: RunStatus) -> float | None:
        """Estimate for a bound: the same number of epochs, whose time grows with the images."""
        steps = [other.log.steps[-1] for other in self.runs if other.log.steps]
        if not steps:
            return None
        largest = max(steps, key=lambda step: step.n_labelled)
        return largest.seconds["train"] / largest.n_labelled * run.log.n_labelled


def status(store: Store, experiment_id: str) -> ExperimentStatus:
    """Read the state of all runs; cheap enough to call every second.

    Damaged runs are left out.

    Raises:
        ExperimentNotFound: there is no such experiment.
        ExperimentDamaged: its definition cannot be read.
    """
    experiment = store.experiments.get(experiment_id)
    return ExperimentStatus(experiment, run_statuses(store, experiment_id))


def run_statuses(store: Store, experiment_id: str) -> tuple[RunStatus, ...]:
    """The state of the experiment's runs; the definition of the experiment is not read."""
    return tuple(_run_status(*one) for one in store.experiments.summaries(experiment_id))


def is_bound(run: RunRow) -> bool:
    """Whether the run is a full-data bound, which has no acquisition function."""
    return run.spec.acquisition == FULL_DATA


def _run_status(log: RunSummary, progress: Progress | None) -> RunStatus:
    n_steps = 1 if is_bound(log.run) else log.run.spec.protocol.n_acquisition_steps + 1
    return RunStatus(
        log=log,
        n_steps=n_steps,
        progress=progress,
        has_work=next_task(log).has_work,
        seconds_left=_seconds_left(log, progress, n_steps),
    )


def _seconds_left(log: RunSummary, progress: Progress | None, n_steps: int) -> float | None:
    if len(log.steps) >= n_steps:
        return 0.0
    if is_bound(log.run):  # a single step, whose progress is counted in epochs
        training = progress is not None and progress.part == "train"
        return progress.seconds_left if training and progress else None
    batch = log.run.spec.protocol.n_samples_to_acquire
    points = [(step.n_labelled, sum(step.seconds.values())) for step in log.steps]
    todo = [log.run.n_initial + batch * k for k in range(len(points), n_steps)]
    return seconds_left(points, todo)


def _has_used_its_pool(log: RunSummary) -> bool:
    measured = any(step.after == log.after for step in log.steps)
    return measured and log.run.split_sizes["pool"] <= log.n_labelled - log.run.n_initial
