"""A run as the report's record file (SPEC section 10), written beside its weights."""

from __future__ import annotations

from dal_core.curves import RunCurve
from dal_core.locks import run_dir
from dal_core.record import Record, write_record
from dal_core.record_build import build_record
from dal_core.store import RunLog, Store

FILE_NAME = "record.yaml"


def run_curve(log: RunLog) -> RunCurve:
    """Accuracy and mutual information of one run over its labels."""
    return RunCurve(
        acquisition=log.run.spec.acquisition,
        seed=log.run.spec.seed,
        n_labelled=tuple(step.n_labelled for step in log.steps),
        accuracy=tuple(step.accuracy for step in log.steps),
        mutual_information=tuple(step.mutual_information for step in log.steps),
        seconds=sum(sum(step.seconds.values()) for step in log.steps),
        dataset=log.run.spec.protocol.dataset,
    )


def run_record(log: RunLog) -> Record:
    """One run as a record of an experiment with one function and one seed."""
    return build_record([run_curve(log)], log.run.spec.protocol.model_dump())


def write_run_record(store: Store, run_id: str) -> None:
    """Write `<run id>/record.yaml`, whole or not at all."""
    write_record(run_record(store.log(run_id)), run_dir(store.home, run_id) / FILE_NAME)
