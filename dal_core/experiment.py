"""Experiments: functions x seeds under one protocol, and the full-data bounds (SPEC section 12).

Owns: which runs an experiment consists of, how they are started, paused and stopped, and how far
they are. The work itself is done by workers, which converge each run to its directives; whoever
started the experiment may go away and come back, and a page sees what the command line started.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dal_core.agenda import agenda
from dal_core.datasets import Dataset
from dal_core.forecast import seconds_left
from dal_core.learner import split_of
from dal_core.protocol import FULL_DATA, Protocol, RunSpec
from dal_core.store import ExperimentRow, Progress, RunLog, RunRow, Store
from dal_core.workers import Workers

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class RunStatus:
    """How far one run is.

    `seconds_left` is an estimate of one core's work, None before the first step was measured.
    """

    log: RunLog
    n_steps: int
    progress: Progress | None
    has_work: bool
    seconds_left: float | None

    @property
    def n_done(self) -> int:
        """Steps measured."""
        return len(self.log.steps)

    @property
    def is_complete(self) -> bool:
        """Whether every step of the run was measured."""
        return self.n_done >= self.n_steps

    @property
    def accuracy(self) -> float | None:
        """Of the newest step."""
        return self.log.steps[-1].accuracy if self.log.steps else None


@dataclass(frozen=True)
class ExperimentStatus:
    """How far an experiment is; `runs` in the order they are worked on."""

    experiment: ExperimentRow
    runs: tuple[RunStatus, ...]

    @property
    def n_done(self) -> int:
        """Steps measured, of all runs."""
        return sum(run.n_done for run in self.runs)

    @property
    def n_steps(self) -> int:
        """Steps there will be."""
        return sum(run.n_steps for run in self.runs)

    @property
    def has_work(self) -> bool:
        """Whether something is left to do that is neither paused nor stopped."""
        return any(run.has_work for run in self.runs)

    @property
    def is_complete(self) -> bool:
        """Whether every run is complete."""
        return all(run.is_complete for run in self.runs)

    @property
    def is_paused(self) -> bool:
        """Whether runs are left, and all of them pause."""
        left = [run for run in self.runs if not run.is_complete]
        return bool(left) and all(run.log.run.paused for run in left)

    def seconds_left(self, n_workers: int) -> float | None:
        """Estimated time to the end on `n_workers` cores; None while there is too little to go by.

        A run not begun yet is taken to need what the begun ones need on average; of bounds only
        bounds can tell.
        """
        total = 0.0
        for is_bound in (False, True):
            group = [run for run in self.runs if _is_bound(run.log.run) is is_bound]
            known = [run.seconds_left for run in group if run.seconds_left is not None]
            if not known and any(not run.is_complete for run in group) and not is_bound:
                return None
            usual = sum(known) / len(known) if known else 0.0
            total += sum(usual if run.seconds_left is None else run.seconds_left for run in group)
        return total / max(n_workers, 1)


def create_run(
    store: Store,
    dataset: Dataset,
    spec: RunSpec,
    *,
    title: str = "",
    person: bool = False,
    baseline: bool = False,
    until_labels: int | None = None,
    until_accuracy: float | None = None,
) -> RunRow:
    """A new run of a spec on its data. Raises ProtocolError where the data are too few for it."""
    split = split_of(spec, dataset)
    return store.create_run(
        spec,
        title=title,
        kind="person" if person else "oracle",
        baseline=baseline,
        n_initial=len(split.initial),
        split_sizes=split.sizes(),
        until_labels=until_labels,
        until_accuracy=until_accuracy,
    )


def create_experiment(
    store: Store,
    dataset: Dataset,
    protocol: Protocol,
    acquisitions: Sequence[str],
    seeds: Sequence[int],
    *,
    full_data: bool,
    title: str = "",
) -> ExperimentRow:
    """Make the experiment and set its runs going; runs that exist already are shared.

    Raises:
        ProtocolError: a function or seed is out of range, or the data are too few; nothing is
            written then.
    """
    names = [*acquisitions, FULL_DATA] if full_data else list(acquisitions)
    specs = [RunSpec(dataset.fingerprint, protocol, name, seed) for seed in seeds for name in names]
    for spec in specs:
        split_of(spec, dataset)
    runs = [store.find_oracle_run(spec) or create_run(store, dataset, spec) for spec in specs]
    experiment = store.experiments.create(
        title, protocol, acquisitions, seeds, full_data, [run.run_id for run in runs]
    )
    resume(store, experiment.experiment_id)
    return experiment


def resume(store: Store, experiment_id: str) -> None:
    """Let every run go on to its end."""
    for run in store.experiments.runs(experiment_id):
        until = run.spec.max_labels
        store.set_directives(run.run_id, oracle_until=until, paused=False)


def pause(store: Store, experiment_id: str) -> None:
    """Give up the fits in hand within a moment and begin no other, until `resume`."""
    for run in store.experiments.runs(experiment_id):
        store.set_directives(run.run_id, paused=True)


def stop(store: Store, experiment_id: str) -> None:
    """End here: the fits in hand are given up within a moment, as for `pause`, and no run is asked
    to go further. What was measured stays; `resume` goes on from there.

    Without `paused`, runs not begun yet would still be measured once.
    """
    for run in store.experiments.runs(experiment_id):
        store.set_directives(run.run_id, oracle_until=None, paused=True)


def status(store: Store, experiment_id: str) -> ExperimentStatus:
    """One look at all runs. Raises ExperimentNotFound."""
    experiment = store.experiments.get(experiment_id)
    logs = [store.log(run.run_id) for run in store.experiments.runs(experiment_id)]
    return ExperimentStatus(experiment, tuple(_run_status(store, log) for log in logs))


def ask_workers(workers: Workers, now: ExperimentStatus) -> None:
    """Queue every run with work: seed by seed, within a seed the run that is least far first.

    So all functions advance together and a comparison can be seen early; a seed's bound, which
    takes as long as many steps, comes after its runs.
    """
    for run in now.runs:
        if run.has_work and not workers.is_active(run.log.run.run_id):
            rank = 1 + now.experiment.seeds.index(run.log.run.spec.seed)
            workers.ask(
                run.log.run.run_id,
                person_waits=False,
                rank=rank,
                n_labelled=run.log.n_labelled,
            )


def conduct(store: Store, experiment_id: str, workers: Workers) -> Iterator[ExperimentStatus]:
    """Work on an experiment until nothing is left to do; yields its status twice a second."""
    while True:
        now = status(store, experiment_id)
        ask_workers(workers, now)
        yield now
        if not now.has_work:
            return
        time.sleep(POLL_SECONDS)


def _is_bound(run: RunRow) -> bool:
    return run.spec.acquisition == FULL_DATA


def _run_status(store: Store, log: RunLog) -> RunStatus:
    run = log.run
    n_steps = 1 if _is_bound(run) else run.spec.protocol.n_acquisition_steps + 1
    return RunStatus(
        log=log,
        n_steps=n_steps,
        progress=store.progress(run.run_id),
        has_work=agenda(log).has_work,
        seconds_left=0.0 if len(log.steps) >= n_steps else _left(log, n_steps),
    )


def _left(log: RunLog, n_steps: int) -> float | None:
    batch = log.run.spec.protocol.n_samples_to_acquire
    points = [(step.n_labelled, sum(step.seconds.values())) for step in log.steps]
    todo = [log.run.n_initial + batch * k for k in range(len(points), n_steps)]
    return seconds_left(points, todo)
