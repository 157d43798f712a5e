"""The form of a record (docs/method.md, section 10): its names, sections, runs and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dal_core.acquisition import registry
from dal_core.record_file.validate import number
from dal_core.results.curves import CALIBRATION, Bound, RunCurve

# Our name of a model -> its name in a record
MODEL_NAMES: Mapping[str, str] = {"lenet5": "LeNet", "gal_cnn": "ConvNN"}
OUR_MODELS = {in_record: name for name, in_record in MODEL_NAMES.items()}
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "exp": (
        *("protocol", "dataset", "train_size", "initial_with_replacement"),
        *("val_size", "test_size", "noise"),
    ),
    "al": (
        *("n_acquisition_steps", "n_samples_to_acquire", "pool_subset_size"),
        *("test_subset_size", "num_mc_samples", "entropy_eps", "ties"),
    ),
    "train": (
        *("n_epochs", "early_stopping", "which_model", "dropout", "weights"),
        *("learning_rate", "betas", "weight_decay"),
    ),
}


@dataclass(frozen=True)
class Record:
    """One experiment, with the structure and names of its file.

    Attributes:
        params: sections `exp`, `al` and `train`.
        results: `acq` (by function) and `bounds`.
        extra: other top-level keys, kept when the record is written again.
    """

    params: Mapping[str, Any]
    results: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict)


def curves(record: Record) -> list[RunCurve]:
    """Every run that has begun, in the order of the file, under our names.

    Run i of a function has the i-th seed of `params.exp.seed_sequence`. Its labels are
    train_size + k * n_samples_to_acquire unless the entry has `n_labelled`, a key of our own.
    `seconds` is None if the file gives only the sum over runs.
    """
    exp = record.params["exp"]
    found = []
    for name, entry in record.results["acq"].items():
        seconds = entry.get("run_seconds") or [None] * len(entry["test_acc"])
        pairs = zip(entry["test_acc"], entry["test_inf"], strict=True)
        for position, (accuracies, informations) in enumerate(pairs):
            if not accuracies:
                continue
            key = f"results.acq.{name}"
            calibrated = {one: _values(entry, one, position, key) for one in CALIBRATION}
            found.append(
                RunCurve(
                    acquisition=our_function(name),
                    seed=exp["seed_sequence"][position],
                    n_labelled=(
                        tuple(entry["n_labelled"][position])
                        if "n_labelled" in entry
                        else labels(record.params, len(accuracies))
                    ),
                    accuracy=tuple(number(value, key) for value in accuracies),
                    mutual_information=tuple(number(value, key) for value in informations),
                    seconds=None if seconds[position] is None else float(seconds[position]),
                    dataset=str(exp.get("dataset") or ""),
                    **calibrated,
                )
            )
    return found


def bounds(record: Record) -> list[Bound]:
    """The measured full-data bounds, in the order of their seeds."""
    entry = record.results.get("bounds") or {}
    pairs = zip(entry.get("test_acc", ()), entry.get("test_inf", ()), strict=True)
    seeds = record.params["exp"]["seed_sequence"]
    rows = {name: entry.get(record_measure(name)) for name in CALIBRATION}
    found = []
    for position, (acc, inf) in enumerate(pairs):
        if acc is not None:
            values = {name: None if row is None else row[position] for name, row in rows.items()}
            calibrated = {
                name: None if value is None else number(value, record_measure(name))
                for name, value in values.items()
            }
            accuracy, information = number(acc, "test_acc"), number(inf, "test_inf")
            found.append(Bound(seeds[position], accuracy, information, **calibrated))
    return found


def _values(
    entry: Mapping[str, Any], name: str, position: int, key: str
) -> tuple[float | None, ...]:
    """A measure of calibration at the points of a run; empty if the record lacks it."""
    rows = entry.get(record_measure(name))
    values = () if rows is None else rows[position]
    return tuple(None if one is None else number(one, key) for one in values)


def record_measure(name: str) -> str:
    """The record's name of a measure of calibration, a key of our own."""
    return f"test_{name}"


def unfinished(record: Record) -> list[tuple[RunCurve, int]]:
    """The unfinished runs, each with the number of points it should have.

    A run with gaps is finished once it was measured at the last number of labels.
    """
    n_points = record.params["al"]["n_acquisition_steps"] + 1
    last = labels(record.params, n_points)[-1]
    return [
        (run, n_points)
        for run in curves(record)
        if len(run) < n_points and run.n_labelled[-1] < last
    ]


def protocol_params(record: Record) -> dict[str, Any]:
    """The parameters of all sections in one flat mapping, with the model under our name."""
    flat = {
        key: value
        for section in record.params.values()
        if isinstance(section, Mapping)
        for key, value in section.items()
        if key not in ("which_acq_funcs", "seed_sequence", "n_runs", "written_by")
    }
    if "which_model" in flat:
        flat["which_model"] = OUR_MODELS.get(flat["which_model"], flat["which_model"])
    return flat


def functions(record: Record) -> list[str]:
    """Every function that the file lists or has runs of, under our names."""
    listed = record.params["exp"].get("which_acq_funcs")
    names = [*(listed if isinstance(listed, list) else ()), *record.results["acq"]]
    return [our_function(name) for name in names if isinstance(name, str)]


def record_function(name: str) -> str:
    """The record's name of a function; unchanged if the function is not registered."""
    found = registry.find(name)
    return found.record_name if found else name


def our_function(record_name: str) -> str:
    """Our name of a function in a record; unchanged if no registered function has it."""
    ours = {entry.record_name: entry.name for entry in registry.functions()}
    return ours.get(record_name, record_name)


def labels(params: Mapping[str, Any], n_points: int) -> tuple[int, ...]:
    """Labels at the first `n_points` points: train_size + k * n_samples_to_acquire."""
    first, more = params["exp"]["train_size"], params["al"]["n_samples_to_acquire"]
    return tuple(first + step * more for step in range(n_points))
