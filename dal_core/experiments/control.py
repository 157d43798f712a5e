"""Start, pause, resume, stop and forget experiments: functions x seeds, and the full-data bounds.

Everything is done by writing directives to the store. Workers carry them out, so the process that
started an experiment may end, and another one, a page for instance, can go on with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from dal_core.data.base import ImageDataset
from dal_core.execution.pool import Workers
from dal_core.experiments.status import ExperimentStatus, RunStatus, status
from dal_core.protocol.parameters import Protocol, ProtocolError
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.record_file.sync import refresh_records
from dal_core.record_file.validate import RecordError
from dal_core.run.rows import Mode, RunRow
from dal_core.run.splits import split_of
from dal_core.store.base import Store
from dal_core.store.experiments import ExperimentRow
from dal_core.store.run_lock import is_locked

POLL_SECONDS = 1.0  # between two looks at an experiment; workers do not wait for them


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
    """Create a run of a spec on its data. Raises ProtocolError if there are too few images."""
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
    """Create a run that begins with another's history (`Store.fork_run`).

    A fork answered by the oracle is directed to go to its end.

    Raises:
        ValueError: the run cannot be forked there, or not with this spec.
    """
    split_of(spec, dataset)  # raises if another protocol asks for more images than there are
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
    """The specs of an experiment's runs. Raises ProtocolError as `create_experiment` does."""
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
    """The specs seed by seed, each seed's bound last.

    Nobody answers in a bound, so it has no noise.
    """
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
    """Create an experiment and direct its runs to their end; runs that exist already are shared.

    Args:
        noise: probability of a wrong answer of the oracle.

    Raises:
        ProtocolError: no function or no seed, one out of range or named twice, or too few images;
            nothing is written then.
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
    """Direct every run to its end, also those that have failed."""
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
    """Stop working until `resume`; fits that are running are given up within a moment.

    Runs shared with another experiment in progress go on.
    """
    for run in _own_unfinished(store, experiment_id):
        store.set_directives(run.log.run.run_id, paused=True)


def stop(store: Store, experiment_id: str) -> None:
    """End the experiment where it is: as `pause`, and no run is directed to go further.

    What was measured stays, and `resume` goes on from there. Runs shared with another experiment
    in progress go on.
    """
    for run in _own_unfinished(store, experiment_id):
        _withdraw(store, run)


def forget(store: Store, experiment_id: str) -> None:
    """Remove the experiment from the store; its runs and its record file stay.

    No further work is done on unfinished runs, unless another experiment shares them or they are
    the baseline of a person's run. The record is written one last time.

    Raises:
        ExperimentNotFound: there is no such experiment.
    """
    for run in status(store, experiment_id).runs:
        is_shared = store.experiments.of_run(run.log.run.run_id) != [experiment_id]
        if not (run.is_complete or run.log.run.baseline or is_shared):
            _withdraw(store, run)
    with suppress(RecordError):  # of a diverged training, which a record cannot hold
        refresh_records(store, experiment_id)
    store.experiments.delete(experiment_id)


def _withdraw(store: Store, run: RunStatus) -> None:
    # Without `paused`, a run that has not begun would still be measured once.
    store.set_directives(run.log.run.run_id, oracle_until=None, paused=True)


def ask_workers(workers: Workers, now: ExperimentStatus) -> None:
    """Queue every run with work: seed by seed, within a seed the one with the fewest labels first.

    So all functions advance together and can be compared early. A seed's bound, which takes as
    long as many steps, comes after its runs. Runs that another process is working on are left out.
    """
    for run in now.runs:
        run_id = run.log.run.run_id
        if not run.has_work or workers.is_active(run_id) or is_locked(workers.home, run_id):
            continue
        rank = 1 + now.experiment.seeds.index(run.log.run.spec.seed)
        workers.ask(run_id, person_waits=False, rank=rank, n_labelled=run.log.n_labelled)


def conduct(store: Store, experiment_id: str, workers: Workers) -> Iterator[ExperimentStatus]:
    """Have workers advance an experiment until no work is left; yields its status every second.

    Ends when all runs are complete, failed, paused or stopped and no worker is busy with one.
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
    """The experiment's unfinished runs, except those that another experiment in progress needs.

    An experiment is in progress if work is left on a run that this one does not share with it.
    """
    now = status(store, experiment_id)
    ours = {run.log.run.run_id for run in now.runs}
    others: set[str] = set()
    for other in {e for run_id in ours for e in store.experiments.of_run(run_id)} - {experiment_id}:
        theirs = {run.log.run.run_id: run for run in status(store, other).runs}
        if any(run.has_work for run_id, run in theirs.items() if run_id not in ours):
            others |= theirs.keys()
    return [r for r in now.runs if not r.is_complete and r.log.run.run_id not in others]
