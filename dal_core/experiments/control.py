"""Experiments: functions x seeds under one protocol, and the full-data bounds (SPEC section 12).

Owns: which runs an experiment consists of, how they are started, paused and stopped, and in which
order they are worked on. The work itself is done by workers, which converge each run to its
directives; whoever started the experiment may go away and come back, and a page sees what the
command line started. How far it is, is `experiment_status`'s.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from dal_core.data.base import ImageDataset
from dal_core.execution.pool import Workers
from dal_core.experiments.status import ExperimentStatus, RunStatus, status
from dal_core.protocol.parameters import Protocol, ProtocolError
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.run.rows import Mode, RunRow
from dal_core.run.splits import split_of
from dal_core.store.base import Store
from dal_core.store.experiments import ExperimentRow
from dal_core.store.run_lock import is_locked

__all__ = [
    "ExperimentStatus",
    "RunStatus",
    "ask_workers",
    "conduct",
    "create_experiment",
    "create_run",
    "fork_run",
    "pause",
    "resume",
    "specs",
    "status",
    "stop",
]

POLL_SECONDS = 1.0  # workers take the next step without being polled; this is for who watches


def create_run(
    store: Store,
    dataset: ImageDataset,
    spec: RunSpec,
    *,
    title: str = "",
    person: bool = False,
    baseline: bool = False,
    until_labels: int | None = None,
    until_accuracy: float | None = None,
    device: str = "cpu",
    mode: Mode = "strict",
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
        device=device,
        mode=mode,
    )


def fork_run(
    store: Store,
    dataset: ImageDataset,
    run_id: str,
    after: int,
    spec: RunSpec,
    *,
    title: str = "",
    person: bool = False,
    mode: Mode = "strict",
    device: str = "cpu",
) -> RunRow:
    """A new run that begins with another's history (`Store.fork_run`).

    One for the oracle has been told to go to its end. Raises ValueError where it cannot be.
    """
    split_of(spec, dataset)  # the subsets of another protocol may be too large for the data
    run = store.fork_run(
        run_id,
        after,
        spec=spec,
        title=title,
        kind="person" if person else "oracle",
        mode=mode,
        device=device,
    )
    if not person:
        store.set_directives(run.run_id, oracle_until=spec.max_labels)
    return store.run(run.run_id)


def specs(
    dataset: ImageDataset,
    protocol: Protocol,
    acquisitions: Sequence[str],
    seeds: Sequence[int],
    *,
    full_data: bool,
    noise: float = 0.0,
) -> list[RunSpec]:
    """What an experiment's runs are, seed by seed. Raises ProtocolError as `create_experiment`."""
    _check_list("acquisition function", acquisitions)
    _check_list("seed", seeds)
    made = run_specs(dataset.fingerprint, protocol, acquisitions, seeds, full_data, noise)
    for spec in made:
        split_of(spec, dataset)
    return made


def run_specs(
    fingerprint: str,
    protocol: Protocol,
    acquisitions: Sequence[str],
    seeds: Sequence[int],
    full_data: bool,
    noise: float,
) -> list[RunSpec]:
    """Seed by seed, each seed's bound last: nobody answers in it, so it knows no noise."""
    return [
        RunSpec(fingerprint, protocol, name, seed, 0.0 if name == FULL_DATA else noise)
        for seed in seeds
        for name in [*acquisitions, *([FULL_DATA] if full_data else [])]
    ]


def create_experiment(
    store: Store,
    dataset: ImageDataset,
    protocol: Protocol,
    acquisitions: Sequence[str],
    seeds: Sequence[int],
    *,
    full_data: bool,
    noise: float = 0.0,
    title: str = "",
    device: str = "cpu",
) -> ExperimentRow:
    """Make the experiment and set its runs going; runs that exist already are shared.

    `noise` is the oracle's (`RunSpec.noise`).

    Raises:
        ProtocolError: a function or seed is out of range or named twice, there is none, or the
            data are too few; nothing is written then.
    """
    wanted = specs(dataset, protocol, acquisitions, seeds, full_data=full_data, noise=noise)
    runs = [
        store.find_oracle_run(spec) or create_run(store, dataset, spec, device=device)
        for spec in wanted
    ]
    experiment = store.experiments.create(
        title, protocol, acquisitions, seeds, full_data, [run.run_id for run in runs], noise
    )
    resume(store, experiment.experiment_id)
    return experiment


def resume(store: Store, experiment_id: str) -> None:
    """Let every run go on to its end, also those that had failed."""
    for run, _ in store.experiments.summaries(experiment_id):
        store.set_directives(
            run.run.run_id,
            oracle_until=run.run.spec.max_labels,
            paused=False,
            until_labels=None,
            until_accuracy=None,
        )
        store.retry(run.run.run_id)


def pause(store: Store, experiment_id: str) -> None:
    """Give up the fits in hand within a moment and begin no other, until `resume`.

    Runs that another experiment in progress shares go on, for that one.
    """
    for run in _own_unfinished(store, experiment_id):
        store.set_directives(run.log.run.run_id, paused=True)


def stop(store: Store, experiment_id: str) -> None:
    """End here: the fits in hand are given up within a moment, as for `pause`, and no run is asked
    to go further. What was measured stays; `resume` goes on from there.

    Without `paused`, runs not begun yet would still be measured once. Runs that another
    experiment in progress shares go on, for that one.
    """
    for run in _own_unfinished(store, experiment_id):
        store.set_directives(run.log.run.run_id, oracle_until=None, paused=True)


def ask_workers(workers: Workers, now: ExperimentStatus) -> None:
    """Queue every run with work: seed by seed, within a seed the run that is least far first.

    So all functions advance together and a comparison can be seen early; a seed's bound, which
    takes as long as many steps, comes after its runs. A run that another process is working on
    is left to it for the moment: between two of its steps it can be had.
    """
    for run in now.runs:
        run_id = run.log.run.run_id
        if not run.has_work or workers.is_active(run_id) or is_locked(workers.home, run_id):
            continue
        rank = 1 + now.experiment.seeds.index(run.log.run.spec.seed)
        workers.ask(run_id, person_waits=False, rank=rank, n_labelled=run.log.n_labelled)


def conduct(store: Store, experiment_id: str, workers: Workers) -> Iterator[ExperimentStatus]:
    """Work on an experiment until nothing is left to do; yields its status every second.

    Ends when all runs are complete, failed, paused or stopped and no worker is at one of them.
    """
    while True:
        now = status(store, experiment_id)
        ask_workers(workers, now)
        yield now
        if not now.has_work and not any(workers.is_active(r.log.run.run_id) for r in now.runs):
            return
        time.sleep(POLL_SECONDS)


def _check_list(what: str, values: Sequence[str] | Sequence[int]) -> None:
    if not values:
        raise ProtocolError(f"there is no {what}; allowed: one or more")
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        raise ProtocolError(f"{what} {twice[0]!r} is named twice; allowed: once")


def _own_unfinished(store: Store, experiment_id: str) -> list[RunStatus]:
    """The experiment's unfinished runs but those that another one in progress needs.

    An experiment is in progress when a run that it has to itself has work left.
    """
    now = status(store, experiment_id)
    ours = {run.log.run.run_id for run in now.runs}
    others: set[str] = set()
    for other in {e for run_id in ours for e in store.experiments.of_run(run_id)} - {experiment_id}:
        theirs = {run.log.run.run_id: run for run in status(store, other).runs}
        if any(run.has_work for run_id, run in theirs.items() if run_id not in ours):
            others |= theirs.keys()
    return [r for r in now.runs if not r.is_complete and r.log.run.run_id not in others]
