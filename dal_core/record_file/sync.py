"""Records of the runs and experiments in a store, and their files (docs/method.md, section 10).

A record is an export of the log in the store. A record that is missing, cut off or out of date can
always be rewritten from the log.
"""

from __future__ import annotations

import fcntl
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeGuard

from dal_core.data import catalogue
from dal_core.protocol.parameters import Protocol
from dal_core.protocol.presets import describe_protocol
from dal_core.protocol.run_spec import FULL_DATA
from dal_core.record_file.build import build_record
from dal_core.record_file.io import write_record
from dal_core.record_file.provenance import provenance
from dal_core.record_file.schema import Record
from dal_core.record_file.validate import N_CLASSES
from dal_core.results.curves import CALIBRATION, Bound, RunCurve
from dal_core.run.events import StepResult
from dal_core.run.next_task import next_task
from dal_core.run.state import RunState
from dal_core.run.summary import RunSummary
from dal_core.store.base import Store
from dal_core.store.experiments import ExperimentRow
from dal_core.store.home import run_dir

FILE_NAME = "record.yaml"


def run_curve(log: RunState | RunSummary) -> RunCurve:
    """The test measurements of one run; no points without a test set."""
    points = _points(log)
    calibrated = {name: tuple(getattr(s, name) for s, _, _ in points) for name in CALIBRATION}
    return RunCurve(
        acquisition=log.run.spec.acquisition,
        seed=log.run.spec.seed,
        n_labelled=tuple(step.n_labelled for step, _, _ in points),
        accuracy=tuple(accuracy for _, accuracy, _ in points),
        mutual_information=tuple(information for _, _, information in points),
        seconds=sum(sum(step.seconds.values()) for step in log.steps),
        dataset=log.run.spec.protocol.dataset,
        **{name: values for name, values in calibrated.items() if set(values) != {None}},
    )


def run_record(log: RunState | RunSummary) -> Record:
    """The record of one run, as an experiment with one function and one seed."""
    curves, bounds = _split([log])
    spec = log.run.spec
    values = spec.protocol.model_dump() | {"noise": spec.noise} | _classes(spec.protocol)
    return _with_provenance(build_record(curves, values, bounds), [log])


def experiment_record(experiment: ExperimentRow, logs: Sequence[RunState | RunSummary]) -> Record:
    """The record of an experiment, with the steps its runs have measured so far."""
    curves, bounds = _split(logs)
    record = build_record(
        curves,
        experiment.protocol.model_dump()
        | {"protocol": describe_protocol(experiment.protocol), "noise": experiment.noise}
        | _classes(experiment.protocol),
        bounds,
        acquisitions=experiment.acquisitions,
        seeds=experiment.seeds,
        run_on_full=experiment.full_data,
    )
    return _with_provenance(record, logs)


def stored_record(store: Store, experiment_id: str) -> Record:
    """The record of a stored experiment, read from its runs' logs. Raises ExperimentNotFound."""
    logs = [log for log, _ in store.experiments.summaries(experiment_id)]
    return experiment_record(store.experiments.get(experiment_id), logs)


def _classes(protocol: Protocol) -> dict[str, int]:
    """The number of classes; left out if it is the report's 10."""
    n_classes = catalogue.get(protocol.dataset).n_classes
    return {} if n_classes == N_CLASSES else {"n_classes": n_classes}


def _split(logs: Sequence[RunState | RunSummary]) -> tuple[list[RunCurve], list[Bound]]:
    bounds = [
        Bound(
            seed=log.run.spec.seed,
            accuracy=accuracy,
            mutual_information=information,
            seconds=sum(step.seconds.values()),
            **{name: getattr(step, name) for name in CALIBRATION},
        )
        for log in logs
        if log.run.spec.acquisition == FULL_DATA
        for step, accuracy, information in _points(log)[-1:]
    ]
    return [run_curve(log) for log in logs if log.run.spec.acquisition != FULL_DATA], bounds


def _with_provenance(record: Record, logs: Sequence[RunState | RunSummary]) -> Record:
    """The record, which also says whose answers it holds and where it was computed."""
    runs = [(log, [step for step, _, _ in _points(log)]) for log in logs]
    return replace(record, extra={**record.extra, **provenance(runs)})


def _points(log: RunState | RunSummary) -> list[tuple[StepResult, float, float]]:
    """The steps that were measured, each with its accuracy and mutual information.

    Earlier versions stored trainings that had diverged; such steps are left out.
    """
    measured = [(step, step.accuracy, step.mutual_information) for step in log.steps]
    return [(s, a, i) for s, a, i in measured if _is_finite(a) and _is_finite(i)]


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def experiment_dir(home: Path, experiment_id: str) -> Path:
    """The folder of an experiment's files."""
    return home / "experiments" / experiment_id


def write_run_record(store: Store, run_id: str) -> Path:
    """Write `<run id>/record.yaml` atomically; returns its path.

    Raises:
        RunNotFound: there is no such run.
        OSError: the file cannot be written.
    """
    return _write_run(store, store.log(run_id))


def refresh_records(store: Store, experiment_id: str) -> Path:
    """Write the records of the experiment and of its runs that have no work left.

    The process that works on a run writes the record of that run.

    Returns:
        The path of the experiment's record.

    Raises:
        ExperimentNotFound: there is no such experiment.
        OSError: a file cannot be written.
    """
    for log, _ in store.experiments.summaries(experiment_id):
        if not next_task(log).has_work and log.steps:
            _write_run(store, log)
    return write_experiment_record(store, experiment_id)


def write_experiment_record(store: Store, experiment_id: str) -> Path:
    """Write `experiments/<id>/record.yaml` atomically; returns its path.

    A lock makes concurrent writers take turns. Each reads the store while it holds the lock, so an
    older state never replaces a newer one.

    Raises:
        ExperimentNotFound: there is no such experiment.
        OSError: the file cannot be written.
    """
    folder = experiment_dir(store.home, experiment_id)
    with _locked(folder):
        write_record(stored_record(store, experiment_id), folder / FILE_NAME)
    return folder / FILE_NAME


def _write_run(store: Store, log: RunState | RunSummary) -> Path:
    folder = run_dir(store.home, log.run.run_id)
    folder.mkdir(parents=True, exist_ok=True)
    write_record(run_record(log), folder / FILE_NAME)
    return folder / FILE_NAME


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
