"""Start, pause, resume, stop and forget experiments: functions x seeds, and the full-data bounds.

These functions write directives to the store, and workers carry them out. The process that started
an experiment may therefore end, and another process (such as the app) can continue it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from dal_core.data.base import ImageDataset
from dal_core.execution.pool import Workers
from dal_core.experiments.status import ExperimentStatus, RunStatus, run_statuses, status
from dal_core.limits.text import clean_title
from dal_core.protocol.parameters import Protocol, ProtocolError
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.record_file.sync import refresh_records
from dal_core.record_file.validate import RecordError
from dal_core.run.rows import Mode, RunRow
from dal_core.run.splits import split_of
from dal_core.store.base import Store
from dal_core.store.experiments import ExperimentDamaged, ExperimentRow
from dal_core.store.run_lock import is_locked

POLL_SECONDS = 1.0  # between two polls of an experiment's status


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
    """Create a run in the store.

    Args:
        person: whether a person answers the queries; otherwise the oracle does.
        baseline: whether the run is the baseline of a person's run.
        until_labels: number of labels that the run must not exceed.
        until_accuracy: test accuracy at which the run ends, 0 .. 1.

    Raises:
        ProtocolError: the data set has too few images for the protocol.
    """
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
    """Create a run that starts with a copy of another run's log (docs/method.md, section 14).

    If the oracle answers, the fork is directed to run to its end.

    Args:
        after: id of the last submission to copy; 0 for none.

    Raises:
        ValueError: the run cannot be forked at `after`, or not with this spec.
    """
    split_of(spec, dataset)  # raises if the protocol needs more images than there are
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
        store.set_directives(run.run_id, oracle_until=run.max_labels)
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
    """The checked specs of an experiment's runs. Raises ProtocolError as `create_experiment`."""
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
    """The specs, seed by seed, with the bound of each seed last.

    A bound asks no queries, so its noise is 0.
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
    """Create an experiment and direct its runs to run to their end.

    Runs that already exist in the store are shared.

    Args:
        full_data: whether to add a full-data bound for each seed.
        noise: probability that the oracle answers wrongly.

    Raises:
        ProtocolError: there is no function or no seed, one is out of range or given twice, or the
            data set has too few images. Nothing is written in these cases.
        ValueError: the title breaks the rule of `clean_title`. Nothing is written either.
    """
    title = clean_title(title)
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
    """Direct every run to run to its end, failed runs included."""
    for run, _ in store.experiments.summaries(experiment_id):
        store.set_directives(
            run.run.run_id,
            oracle_until=run.run.max_labels,
            paused=False,
            until_labels=None,
            until_accuracy=None,
        )
        store.retry(run.run.run_id)


def pause(store: Store, experiment_id: str) -> None:
    """Pause the runs until `resume`; running fits are abandoned within a moment.

    Runs shared with another experiment in progress continue.
    """
    for run in _own_unfinished(store, experiment_id):
        store.set_directives(run.log.run.run_id, paused=True)


def stop(store: Store, experiment_id: str) -> None:
    """Stop the experiment: pause its runs and withdraw their directive to run to the end.

    Measured steps are kept, and `resume` continues from them. Runs shared with another experiment
    in progress continue.
    """
    for run in _own_unfinished(store, experiment_id):
        _withdraw(store, run)


def forget(store: Store, experiment_id: str) -> None:
    """Remove the experiment from the store; its runs and its record file are kept.

    Unfinished runs stop, unless another experiment shares them or they are the baseline of a
    person's run. The record is written one last time.

    Raises:
        ExperimentNotFound: there is no such experiment.
    """
    with suppress(ExperimentDamaged):  # it can still be forgotten
        store.experiments.get(experiment_id)
    for run in run_statuses(store, experiment_id):
        is_shared = store.experiments.of_run(run.log.run.run_id) != [experiment_id]
        if not (run.is_complete or run.log.run.baseline or is_shared):
            _withdraw(store, run)
    # A diverged training, whose values a record cannot hold; a damaged experiment or a full disk.
    with suppress(RecordError, ExperimentDamaged, OSError):
        refresh_records(store, experiment_id)
    store.experiments.delete(experiment_id)


def _withdraw(store: Store, run: RunStatus) -> None:
    # Without `paused`, a run that has not begun would still be measured once.
    store.set_directives(run.log.run.run_id, oracle_until=None, paused=True)


def ask_workers(workers: Workers, now: ExperimentStatus) -> None:
    """Queue every run with work, seed by seed, and within a seed by ascending number of labels.

    All functions then advance together and can be compared early. The bound of a seed takes as long
    as many steps, so it comes after the seed's runs. Runs that another process is working on are
    left out.
    """
    for run in now.runs:
        run_id = run.log.run.run_id
        if not run.has_work or workers.is_active(run_id) or is_locked(workers.home, run_id):
            continue
        rank = 1 + now.experiment.seeds.index(run.log.run.spec.seed)
        workers.ask(run_id, person_waits=False, rank=rank, n_labelled=run.log.n_labelled)


def conduct(store: Store, experiment_id: str, workers: Workers) -> Iterator[ExperimentStatus]:
    """Let workers advance an experiment until no work is left; yields its status every second.

    Ends when every run is complete, failed, paused or stopped and no worker is working on one.
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
        raise ProtocolError(f"{what} {twice[0]!r} is given twice; allowed: once")


def _own_unfinished(store: Store, experiment_id: str) -> list[RunStatus]:
    """The experiment's unfinished runs, except those that another experiment in progress needs.

    Another experiment is in progress if it has work left on a run that the two do not share.
    """
    now = status(store, experiment_id)
    own = {run.log.run.run_id for run in now.runs}
    needed: set[str] = set()  # by other experiments
    for other in {e for run_id in own for e in store.experiments.of_run(run_id)} - {experiment_id}:
        runs = {run.log.run.run_id: run for run in run_statuses(store, other)}
        if any(run.has_work for run_id, run in runs.items() if run_id not in own):
            needed |= runs.keys()
    return [r for r in now.runs if not r.is_complete and r.log.run.run_id not in needed]
