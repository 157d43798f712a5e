"""Build records: from the runs of an experiment, or by merging several records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dal_core.limits.text import shown
from dal_core.record_file import provenance
from dal_core.record_file.differences import UNWRITTEN
from dal_core.record_file.schema import (
    MODEL_NAMES,
    SECTIONS,
    Record,
    bounds,
    curves,
    functions,
    labels,
    record_function,
    record_measure,
)
from dal_core.record_file.validate import RecordError
from dal_core.results.curves import CALIBRATION, Bound, RunCurve

_NOT_COMPARED = ("protocol",)  # only a name; two names can stand for equal parameters
_UNKNOWN = object()
_ENTRY_KEYS = (
    *("test_inf", "test_acc", "n_labelled", "time", "run_seconds"),
    *map(record_measure, CALIBRATION),
)


def build_record(
    runs: Sequence[RunCurve],
    protocol: Mapping[str, Any],
    bounds: Sequence[Bound] = (),
    *,
    acquisitions: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    run_on_full: bool | None = None,
) -> Record:
    """The record of an experiment, which may be unfinished.

    The values are checked when the record is written, not here.

    Args:
        runs: one curve per (acquisition, seed), up to its last measured step.
        protocol: every parameter under our names. Parameters without a place in the published form
            become keys of our own.
        bounds: the full-data bounds measured so far.
        acquisitions: all functions of the experiment, in order; default: those of `runs`.
        seeds: all seeds, in order; default: those of `runs` and `bounds`, ascending.
        run_on_full: whether the experiment has full-data bounds; default: whether there are any.

    Raises:
        RecordError: two runs of one function and seed differ, or a run or bound has a function or
            seed that is not among the given ones.
    """
    functions = list(acquisitions or dict.fromkeys(run.acquisition for run in runs))
    order = list(seeds or sorted({run.seed for run in runs} | {bound.seed for bound in bounds}))
    params = _build_params(protocol)
    params["exp"]["run_on_full"] = bool(bounds) if run_on_full is None else run_on_full
    return _fill(params, runs, bounds, functions, order)


def merge(records: Sequence[Record]) -> Record:
    """One record with the runs of all records, by (function, seed), and their bounds, by seed.

    Parameters that two records have must be equal, except the name of the protocol and the lists of
    functions and seeds. Unknown keys are taken from the first record that has them.

    Raises:
        RecordError: there is no record, a parameter differs, or two runs of one function and seed
            or two bounds of one seed differ. The message names the parameter, run or bound.
    """
    if not records:
        raise RecordError("there is no record to merge")
    if len(records) == 1:
        return records[0]
    for other in records[1:]:
        _check_same_protocol(records[0], other)
    runs: dict[tuple[str, int], RunCurve] = {}
    full: dict[int, Bound] = {}
    for record in records:
        for run in curves(record):
            _keep(runs, (run.acquisition, run.seed), run)
        for bound in bounds(record):
            _keep(full, bound.seed, bound)
    params = _union([record.params for record in records])
    params["exp"]["run_on_full"] = bool(full) or any(
        record.params["exp"].get("run_on_full") for record in records
    )
    merged = _fill(
        params,
        list(runs.values()),
        list(full.values()),
        list(dict.fromkeys(name for record in records for name in functions(record))),
        sorted({seed for record in records for seed in record.params["exp"]["seed_sequence"]}),
    )
    results = _union([merged.results, *(_unknown_results(record) for record in records)])
    extra = _union([record.extra for record in records])
    return Record(merged.params, results, {**extra, **_merged_provenance(records)})


def _merged_provenance(records: Sequence[Record]) -> dict[str, Any]:
    """Our section of all records that dal wrote with one."""
    ours = [record for record in records if "written_by" in record.params["exp"]]
    return provenance.merged(
        [record.extra[provenance.KEY] for record in ours if provenance.KEY in record.extra]
    )


def _build_params(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """`protocol` under the names of the file; a parameter without a section goes to `exp`."""
    values: dict[str, Any] = {**plain(protocol), "early_stopping": -1}
    if "which_model" in values:
        values["which_model"] = MODEL_NAMES.get(values["which_model"], values["which_model"])
    placed = {key for keys in SECTIONS.values() for key in keys}
    params: dict[str, Any] = {
        section: {key: values[key] for key in keys if key in values}
        for section, keys in SECTIONS.items()
    }
    others = {key: value for key, value in values.items() if key not in placed}
    params["exp"] = {"written_by": "dal", **params["exp"], **others}
    return params


def _fill(
    params: dict[str, Any],
    runs: Sequence[RunCurve],
    bounds: Sequence[Bound],
    functions: Sequence[str],
    seeds: Sequence[int],
) -> Record:
    """The record of these runs, ordered by function and seed; an empty list for a missing run."""
    params["exp"] = {
        **params["exp"],
        "which_acq_funcs": [record_function(name) for name in functions],
        "seed_sequence": [int(seed) for seed in seeds],
        "n_runs": len(seeds),
    }
    by_key: dict[tuple[str, int], RunCurve] = {}
    known = set(seeds)
    for run in runs:
        if run.acquisition not in functions or run.seed not in known:
            raise RecordError(f"{_key_name(_key(run))} is not among the experiment's runs")
        _keep(by_key, _key(run), run)
    by_seed: dict[int, Bound] = {}
    for bound in bounds:
        if bound.seed not in known:
            raise RecordError(f"{_key_name(bound.seed)} is not among the experiment's runs")
        _keep(by_seed, bound.seed, bound)
    results = {
        "acq": {
            record_function(name): _function_entry(
                [by_key.get((name, seed)) for seed in seeds], params
            )
            for name in functions
        },
        "bounds": _bounds_entry([by_seed.get(seed) for seed in seeds]) if bounds else {},
    }
    return Record(params, results)


def _function_entry(row: list[RunCurve | None], params: Mapping[str, Any]) -> dict[str, Any]:
    while row and row[-1] is None:
        row = row[:-1]
    entry: dict[str, Any] = {
        "test_inf": [[] if run is None else list(run.mutual_information) for run in row],
        "test_acc": [[] if run is None else list(run.accuracy) for run in row],
    }
    return entry | _calibration(row) | _labels(row, params) | _time(row)


def _calibration(row: Sequence[RunCurve | None]) -> dict[str, Any]:
    """The measures of calibration that some point has; null at the other points."""
    found = {}
    for name in CALIBRATION:
        if any(run is not None and run.points(name) for run in row):
            found[record_measure(name)] = [
                [] if run is None else list(getattr(run, name) or (None,) * len(run)) for run in row
            ]
    return found


def _labels(row: Sequence[RunCurve | None], params: Mapping[str, Any]) -> dict[str, Any]:
    """`n_labelled`, unless the labels are train_size + k * batch as in the published form.

    They differ if answers arrived while a model was being fitted, or if a label was corrected to
    "skipped".
    """
    if all(run is None or run.n_labelled == labels(params, len(run)) for run in row):
        return {}
    return {"n_labelled": [[] if run is None else list(run.n_labelled) for run in row]}


def _bounds_entry(row: list[Bound | None]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "test_inf": [None if bound is None else bound.mutual_information for bound in row],
        "test_acc": [None if bound is None else bound.accuracy for bound in row],
    }
    for name in CALIBRATION:
        values = [None if bound is None else getattr(bound, name) for bound in row]
        if any(value is not None for value in values):
            entry[record_measure(name)] = values
    return entry | _time(row)


def _time(row: Sequence[RunCurve | Bound | None]) -> dict[str, Any]:
    """`time` (seconds of all runs) and `run_seconds` (by run); empty unless every time is known."""
    if any(one is not None and one.seconds is None for one in row):
        return {}
    seconds = [None if one is None else one.seconds for one in row]
    return {"time": sum(value for value in seconds if value is not None), "run_seconds": seconds}


def _key(run: RunCurve) -> tuple[str, int]:
    return run.acquisition, run.seed


def _key_name(key: tuple[str, int] | int) -> str:
    return f"the bound of seed {key}" if isinstance(key, int) else f"{key[0]} seed {key[1]}"


def _keep(found: dict[Any, Any], key: Any, new: RunCurve | Bound) -> None:
    """Add `new` under `key`; raise RecordError if `key` already has other numbers.

    Of equal runs, the one with measures of calibration counts.
    """
    old = found.setdefault(key, new)
    ours, theirs = _calibrated(old), _calibrated(new)
    same = (old.accuracy, old.mutual_information) == (new.accuracy, new.mutual_information)
    if not same or (ours and theirs and ours != theirs):
        raise RecordError(f"{_key_name(key)} appears twice with different numbers")
    if theirs and not ours:
        found[key] = new


def _calibrated(one: RunCurve | Bound) -> list[Any]:
    """The measures of calibration of a run or bound; empty if it has none."""
    values = [getattr(one, name) for name in CALIBRATION]
    return [] if all(value in ((), None) for value in values) else values


def _check_same_protocol(first: Record, other: Record) -> None:
    for section, keys in SECTIONS.items():
        one, two = first.params.get(section, {}), other.params.get(section, {})
        for key in dict.fromkeys([*keys, *(UNWRITTEN if section == "exp" else ())]):
            if key in _NOT_COMPARED:
                continue
            ours, theirs = (params.get(key, UNWRITTEN.get(key, _UNKNOWN)) for params in (one, two))
            if _UNKNOWN not in (ours, theirs) and ours != theirs:
                raise RecordError(
                    f"params.{section}.{key} is {shown(ours)} in one record and "
                    f"{shown(theirs)} in another: the records cannot be merged"
                )


def _unknown_results(record: Record) -> dict[str, Any]:
    """Keys of a record's results that the form does not define; merging keeps them."""

    def unknown(entry: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in entry.items() if key not in _ENTRY_KEYS}

    others = {k: v for k, v in record.results.items() if k not in ("acq", "bounds")}
    acq = {name: unknown(entry) for name, entry in record.results["acq"].items()}
    return {"acq": acq, "bounds": unknown(record.results.get("bounds") or {}), **others}


def _union(mappings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The union of nested mappings; for a key in several of them, the first value."""
    union: dict[str, Any] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            if isinstance(value, Mapping):
                old = union.get(key, {})
                if isinstance(old, Mapping):
                    union[key] = _union([old, value])
            else:
                union.setdefault(key, value)
    return union


def plain(value: Any) -> Any:
    """`value` as dicts, lists and plain numbers, which YAML can write."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else value
