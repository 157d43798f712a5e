"""Validation of a record: required keys, their types and ranges.

Every error message is one line that names the key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dal_core.limits.text import shown
from dal_core.run.rules import MOST_CALIBRATION

N_CLASSES = 10  # if a record has no `n_classes`
MAX_SEEDS, MAX_FUNCTIONS = 10_000, 100
MAX_SEED = 10**18
MOST = 10**9  # of labels, steps, classes: they and their sums fit into 64 bits
TOLERANCE = 1e-5  # by which float32 scores may exceed their bounds (docs/method.md, section 3)

Ranges = Mapping[str, tuple[float, float]]  # record key -> (lowest, highest)
# Keys of our own; a record may lack them, and a point may have null.
OPTIONAL: Ranges = {f"test_{name}": (0.0, most) for name, most in MOST_CALIBRATION.items()}


class RecordError(ValueError):
    """A record is not valid; the message is one line that names the key."""


def check(params: Any, results: Any) -> None:
    """Raise `RecordError` unless the record is valid (docs/method.md, section 10)."""
    _check_params(_mapping(params, "params"))
    seeds = params["exp"]["seed_sequence"]
    ranges = _ranges(params["exp"])
    n_points = params["al"]["n_acquisition_steps"] + 1
    results = _mapping(results, "results")
    functions = _mapping(_get(results, "results", "acq"), "results.acq")
    if len(functions) > MAX_FUNCTIONS:
        raise RecordError(
            f"results.acq has {len(functions)} functions, it may have at most {MAX_FUNCTIONS}"
        )
    for name, entry in functions.items():
        _check_name(name)
        entry = _mapping(entry, f"results.acq.{name}")
        _check_function(entry, name, len(seeds), n_points, ranges)
    if results.get("bounds") is not None:
        _check_bounds(_mapping(results["bounds"], "results.bounds"), len(seeds), ranges)


def number(value: Any, key: str, low: float = -math.inf, high: float = math.inf) -> float:
    """`value` as a finite float within [low, high]. Raises RecordError, which names `key`."""
    if isinstance(value, str):  # YAML 1.1 reads a number such as 1e-05 as text
        try:
            value = float(value)
        except ValueError:
            raise RecordError(f"{key} is {shown(value)}, it must be a number") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RecordError(f"{key} is {shown(value)}, it must be a number")
    try:
        found = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        found = math.inf
    if not math.isfinite(found):
        raise RecordError(f"{key} is {shown(value)}, it must be a finite number")
    if not low <= found <= high:
        raise RecordError(f"{key} is {shown(value)}, it must lie between {low:.4g} and {high:.4g}")
    return found


def _ranges(exp: Mapping[str, Any]) -> Ranges:
    """Accuracy is 0 .. 1; mutual information 0 .. ln C nats, within the tolerance of float32."""
    n_classes = _whole(exp.get("n_classes", N_CLASSES), "params.exp.n_classes", 2)
    most = math.log(n_classes)
    return {"test_acc": (0.0, 1.0), "test_inf": (-TOLERANCE, most + TOLERANCE)}


def _check_params(params: Mapping[str, Any]) -> None:
    exp = _mapping(_get(params, "params", "exp"), "params.exp")
    al = _mapping(_get(params, "params", "al"), "params.al")
    _mapping(params.get("train", {}), "params.train")
    for name, section in params.items():
        for key, value in section.items() if isinstance(section, Mapping) else ():
            if not isinstance(key, str):
                raise RecordError(f"params.{name} has the key {shown(key)}, it must be a name")
            if key == "which_model" and not isinstance(value, str):
                raise RecordError(f"params.{name}.{key} is {shown(value)}, it must be a name")
    _check_seeds(_list(_get(exp, "params.exp", "seed_sequence"), "params.exp.seed_sequence"))
    _whole(_get(exp, "params.exp", "train_size"), "params.exp.train_size", 0)
    _whole(_get(al, "params.al", "n_acquisition_steps"), "params.al.n_acquisition_steps", 0)
    _whole(_get(al, "params.al", "n_samples_to_acquire"), "params.al.n_samples_to_acquire", 1)


def _check_seeds(seeds: Sequence[Any]) -> None:
    key = "params.exp.seed_sequence"
    if len(seeds) > MAX_SEEDS:
        raise RecordError(f"{key} has {len(seeds)} seeds, it may have at most {MAX_SEEDS}")
    seen: set[int] = set()
    for position, seed in enumerate(seeds):
        if _whole(seed, f"{key}[{position}]", 0, MAX_SEED) in seen:
            raise RecordError(f"{key} names seed {seed} twice")
        seen.add(seed)


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= 60:
        raise RecordError(f"results.acq holds {shown(name)}, which is not the name of a function")


def _check_function(
    entry: Mapping[str, Any], name: Any, n_seeds: int, n_points: int, ranges: Ranges
) -> None:
    key = f"results.acq.{name}"
    runs = {part: _list(_get(entry, key, part), f"{key}.{part}") for part in ranges}
    counts = [len(run) for run in runs.values()]
    if counts[0] != counts[1]:
        raise RecordError(f"{key} has {counts[0]} runs in test_acc and {counts[1]} in test_inf")
    if counts[0] > n_seeds:
        raise RecordError(
            f"{key} has {counts[0]} runs, params.exp.seed_sequence names only {n_seeds} seeds"
        )
    for position in range(counts[0]):
        run = {part: runs[part][position] for part in ranges}
        _check_run(run, key, position, n_points, ranges)
    for part in OPTIONAL:
        if part in entry:
            _check_optional(_list(entry[part], f"{key}.{part}"), runs["test_acc"], key, part)
    if "n_labelled" in entry:
        _check_labels(_list(entry["n_labelled"], f"{key}.n_labelled"), runs["test_acc"], key)
    if entry.get("time") is not None:
        _check_time(entry["time"], f"{key}.time")
    if "run_seconds" in entry:
        _check_seconds(_list(entry["run_seconds"], f"{key}.run_seconds"), key, counts[0])


def _check_run(
    run: Mapping[str, Any], key: str, position: int, n_points: int, ranges: Ranges
) -> None:
    for part, allowed in ranges.items():
        values = _list(run[part], f"{key}.{part}[{position}]")
        if len(values) > n_points:
            raise RecordError(
                f"{key}.{part}[{position}] has {len(values)} values, "
                f"n_acquisition_steps allows {n_points}"
            )
        for step, value in enumerate(values):
            number(value, f"{key}.{part}[{position}][{step}]", *allowed)
    lengths = [len(run[part]) for part in ranges]
    if lengths[0] != lengths[1]:
        raise RecordError(
            f"{key}: run {position} has {lengths[0]} values in test_acc and "
            f"{lengths[1]} in test_inf (is the file cut off?)"
        )


def _check_optional(rows: Sequence[Any], runs: Sequence[Any], key: str, part: str) -> None:
    if len(rows) != len(runs):
        raise RecordError(f"{key}.{part} has {len(rows)} runs for {len(runs)} in test_acc")
    for position, row in enumerate(rows):
        name = f"{key}.{part}[{position}]"
        values = _list(row, name)
        if len(values) != len(runs[position]):
            raise RecordError(f"{name} has {len(values)} values for {len(runs[position])} points")
        for step, value in enumerate(values):
            if value is not None:
                number(value, f"{name}[{step}]", *OPTIONAL[part])


def _check_labels(rows: Sequence[Any], runs: Sequence[Any], key: str) -> None:
    """Check `n_labelled`, a key of our own: labels at each point of each run, increasing."""
    if len(rows) != len(runs):
        raise RecordError(f"{key}.n_labelled has {len(rows)} runs for {len(runs)} in test_acc")
    for position, row in enumerate(rows):
        name = f"{key}.n_labelled[{position}]"
        values = [_whole(value, name, 1) for value in _list(row, name)]
        if len(values) != len(runs[position]):
            raise RecordError(f"{name} has {len(values)} values for {len(runs[position])} points")
        if sorted(set(values)) != values:
            raise RecordError(f"{name} is {shown(values)}, it must increase")


def _check_time(value: Any, key: str) -> None:
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    for one in values:
        number(one, key, 0.0)


def _check_seconds(values: Sequence[Any], key: str, n_runs: int) -> None:
    if len(values) != n_runs:
        raise RecordError(f"{key}.run_seconds has {len(values)} values for {n_runs} runs")
    for position, value in enumerate(values):
        if value is not None:
            number(value, f"{key}.run_seconds[{position}]", 0.0)


def _check_bounds(bounds: Mapping[str, Any], n_seeds: int, ranges: Ranges) -> None:
    if not bounds:  # none is measured yet
        return
    key = "results.bounds"
    values = {part: _list(_get(bounds, key, part), f"{key}.{part}") for part in ranges}
    lengths = [len(part) for part in values.values()]
    if lengths[0] != lengths[1]:
        raise RecordError(f"{key} has {lengths[0]} values in test_acc, {lengths[1]} in test_inf")
    if lengths[0] > n_seeds:
        raise RecordError(
            f"{key} has {lengths[0]} runs, params.exp.seed_sequence names only {n_seeds} seeds"
        )
    for position in range(lengths[0]):
        pair = [values[part][position] for part in ranges]
        if pair == [None, None]:  # written by dal if this seed's bound is not measured yet
            continue
        for part, allowed in ranges.items():
            number(values[part][position], f"{key}.{part}[{position}]", *allowed)
    for part, allowed in OPTIONAL.items():
        if part not in bounds:
            continue
        row = _list(bounds[part], f"{key}.{part}")
        if len(row) != lengths[0]:
            raise RecordError(f"{key} has {lengths[0]} values in test_acc, {len(row)} in {part}")
        for position, value in enumerate(row):
            if value is not None:
                number(value, f"{key}.{part}[{position}]", *allowed)
    if bounds.get("time") is not None:
        _check_time(bounds["time"], f"{key}.time")


def _get(mapping: Mapping[str, Any], key: str, name: str) -> Any:
    if name not in mapping:
        raise RecordError(f"{key}.{name} is missing (is the file cut off?)")
    return mapping[name]


def _mapping(value: Any, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RecordError(f"{key} is {shown(value)}, it must be a mapping")
    return value


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise RecordError(f"{key} is {shown(value)}, it must be a list")
    return list(value)


def _whole(value: Any, key: str, low: int, high: int = MOST) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise RecordError(f"{key} is {shown(value)}, it must be a whole number from {low}")
    if value > high:
        raise RecordError(f"{key} is {shown(value)}, it must be at most {high}")
    return value
