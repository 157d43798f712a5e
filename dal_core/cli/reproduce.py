"""`dal reproduce`: run a whole experiment, from its first step to its record.

A pool of worker processes advances the runs. On a GPU this process trains all of them as one batch
instead. Results are stored as soon as they are measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dal_core.acquisition import registry
from dal_core.cli import experiments, values
from dal_core.cli.errors import DONE, FAILED, INTERRUPTED, WrongUse
from dal_core.cli.resuming import check_same_data, other_dataset, other_versions, refuse_changes
from dal_core.cli.run import check_oracle, say
from dal_core.cli.table_of_runs import watching
from dal_core.data import catalogue
from dal_core.execution.pool import Workers, n_cores
from dal_core.experiments import control
from dal_core.experiments.status import ExperimentStatus, status
from dal_core.protocol import posteriors
from dal_core.protocol.parameters import Protocol
from dal_core.protocol.posteriors import DEFAULT_POSTERIOR
from dal_core.record_file.sync import experiment_dir, refresh_records, write_experiment_record
from dal_core.store.base import Store
from dal_core.store.experiments import ExperimentRow

REPORT_FUNCTIONS = "max_entropy,bald,variation_ratios,mean_std,random"
MAX_WORKERS = 256

Work = Callable[[Store, str], None]  # advances an experiment to its end and shows progress


@dataclass(frozen=True)
class Wanted:
    """The options of a new experiment."""

    protocol: str = "report"
    dataset: str | None = None
    posterior: str | None = None
    acquisitions: str = REPORT_FUNCTIONS
    seeds: str = "1,2,3"
    full_data: bool = True
    noise: str = "0"
    set: tuple[str, ...] = ()
    title: str = ""


def reproduce(
    given: Mapping[str, Any],
    *,
    resume: str | None,
    workers: str | None,
    device: str | None,
    lockstep: bool | None,
    home: Path | None,
    as_json: bool,
) -> int:
    """Start or resume an experiment and advance it to its end; returns the exit code.

    Args:
        given: the fields of `Wanted` that were given; must be empty with `resume`.
        resume: id of the experiment to continue, or its start.
        lockstep: whether to train all runs as one batch; None: only on cuda.

    Raises:
        WrongUse: an option is not valid; nothing is written.
    """
    n_workers, where = n_processes(workers), values.device(device)

    def check(protocol: Protocol) -> Work:
        if _is_stacked(lockstep, where, workers, protocol.posterior):
            return partial(_work_stacked, device=where)
        return with_workers(n_workers, where)

    if resume is None:
        wanted = Wanted(**given)
        work = check(_protocol(wanted))
        store, row = _begin(wanted, where, home)
    else:
        refuse_changes(given, "experiment", "--workers, --lockstep, --device, --home, --json")
        store = values.open_store(home, create=False)
        row = experiments.find(store, resume, "--resume")
        work = check(row.protocol)
        _resume(store, row, resume, where)
    return conduct(store, row, work, home, as_json)


def conduct(
    store: Store,
    row: ExperimentRow,
    work: Work,
    home: Path | None,
    as_json: bool,
) -> int:
    """Print the experiment's id, advance it with `work` and print the result.

    Returns:
        The exit code.
    """
    experiment_id = row.experiment_id
    print(experiment_id, file=sys.stderr if as_json else sys.stdout, flush=True)
    at_home = f" --home {home}" if home else ""
    if status(store, experiment_id).has_work:
        try:
            work(store, experiment_id)
        except KeyboardInterrupt:
            control.pause(store, experiment_id)
            refresh_records(store, experiment_id)
            say(f"stopped; `dal reproduce --resume {experiment_id}{at_home}` continues")
            return INTERRUPTED
    record = refresh_records(store, experiment_id)
    now = status(store, experiment_id)
    _explain_unfinished(now, at_home)
    print(json.dumps(_as_object(now, record)) if as_json else _last_lines(now, record, at_home))
    return DONE if now.is_complete else FAILED


def with_workers(n_workers: int, device: str) -> Work:
    """Work by worker processes that take the experiment's runs one step at a time."""
    return partial(_work, n_workers=n_workers, device=device)


def n_processes(text: str | None) -> int:
    """`--workers` as a number. Raises WrongUse."""
    if text is None:
        return n_cores()
    return values.whole_number("--workers", text, 1, MAX_WORKERS)


def _is_stacked(
    wanted: bool | None, device: str, workers: str | None, posterior: str = DEFAULT_POSTERIOR
) -> bool:
    """Whether to train all runs as one batch. Raises WrongUse if other options forbid it."""
    together = [entry.name for entry in posteriors.posteriors() if entry.lockstep]
    if wanted and posterior not in together:
        raise WrongUse(
            f"--lockstep with posterior {posterior}, whose runs are trained one by one; "
            f"allowed: {', '.join(together)}"
        )
    chosen = device == "cuda" and posterior in together if wanted is None else wanted
    if chosen and device not in ("cpu", "cuda"):
        raise WrongUse(f"--lockstep with --device {device}; allowed: cpu, cuda")
    if chosen and workers is not None:
        raise WrongUse(
            f"--workers is {workers!r} but --lockstep uses one process; omit --workers or "
            "add --no-lockstep"
        )
    return chosen


def _protocol(wanted: Wanted) -> Protocol:
    return values.protocol(
        wanted.protocol, wanted.dataset, wanted.set, posterior_name=wanted.posterior
    )


def _begin(wanted: Wanted, device: str, home: Path | None) -> tuple[Store, ExperimentRow]:
    """Create the experiment; all input is checked before anything is written."""
    protocol = _protocol(wanted)
    names = values.several("--acquisitions", wanted.acquisitions)
    acquisitions = [values.one_of("--acquisitions", name, registry.names()) for name in names]
    seeds = values.seeds(wanted.seeds)
    noise = values.noise(wanted.noise)
    title = values.title(wanted.title)
    data = catalogue.load(protocol.dataset)
    check_oracle(data)
    with values.named("--set" if wanted.set else "--dataset"):
        control.specs(data, protocol, acquisitions, seeds, full_data=wanted.full_data)
    store = values.open_store(home, create=True)
    row = control.create_experiment(
        *(store, data, protocol, acquisitions, seeds),
        full_data=wanted.full_data,
        noise=noise,
        title=title,
        device=device,
    )
    say(other_dataset(wanted.protocol, protocol))
    return store, row


def _resume(store: Store, row: ExperimentRow, text: str, device: str) -> None:
    """Let the experiment go on, if it is not complete."""
    runs = store.experiments.runs(row.experiment_id)
    now = status(store, row.experiment_id)
    if now.is_complete:
        return
    check_same_data(text, "an experiment", runs[0])
    say(other_versions(runs[0], device))
    control.resume(store, row.experiment_id)
    write_experiment_record(store, row.experiment_id)


def _work(store: Store, experiment_id: str, n_workers: int, device: str) -> None:
    log = experiment_dir(store.home, experiment_id) / "workers.log"
    pool = Workers(store.home, n_workers, log, device)
    try:
        with watching(store.home, n_workers) as watch:
            for now in control.conduct(store, experiment_id, pool):
                watch.show(now)
    finally:
        pool.close()


def _work_stacked(store: Store, experiment_id: str, device: str) -> None:
    import torch

    from dal_core.experiments.stacked_runs import conduct
    from dal_core.training.memory import bound_memory

    bound_memory()
    torch.set_num_threads(1)  # results differ in bits between one and two threads
    with watching(store.home, 1) as watch:
        conduct(store, experiment_id, torch.device(device), watch.show)


def _explain_unfinished(now: ExperimentStatus, at_home: str) -> None:
    for run in now.failures:
        say(f"run {run.log.run.run_id} failed: {run.failure}")
    if now.is_complete:
        return
    resume = f"`dal reproduce --resume {now.experiment.experiment_id}{at_home}`"
    if now.failures:
        say(f"{resume} tries again")
    else:
        say(f"paused or stopped by another process; {resume} continues")


def _as_object(now: ExperimentStatus, record: Path) -> dict[str, Any]:
    return {
        "id": now.experiment.experiment_id,
        "record": str(record),
        "complete": now.is_complete,
        "runs": experiments.runs_as_objects(now),
        "bounds": experiments.bounds_as_objects(now),
    }


def _last_lines(now: ExperimentStatus, record: Path, at_home: str) -> str:
    experiment_id = now.experiment.experiment_id
    lines: Sequence[str] = (
        f"{now.n_done} of {now.n_steps} steps measured",
        f"record: {record}",
        f"tables and figures: dal report {experiment_id}{at_home} --out {experiment_id}",
    )
    return "\n".join(lines)
