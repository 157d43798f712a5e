"""Measures of calibration in records: keys of our own, which other records may lack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dal_core.record_file.build import build_record, merge
from dal_core.record_file.io import dump_record, read_record
from dal_core.record_file.schema import bounds, curves
from dal_core.record_file.sync import run_record
from dal_core.record_file.validate import RecordError
from dal_core.results.curves import Bound, RunCurve
from dal_core.run.state import RunState
from dal_core.run.summary import RunSummary
from dal_core.store.opening import open_store
from tests.record_file.test_record import FOREIGN, PROTOCOL
from tests.store_kit import ask, give, new_result, new_run

PLAIN = RunCurve("bald", 1, (20, 30), (0.5, 0.6), (0.3, 0.2), 1.0, "mnist5k")
MEASURED = replace(PLAIN, nll=(None, 1.25), brier=(None, 0.5), ece=(None, 0.125))
BOUND = Bound(1, 0.9, 0.1, 1.0, nll=0.25, brier=0.125, ece=0.0625)


def test_measures_are_written_and_read_with_null_where_a_point_has_none() -> None:
    text = dump_record(build_record([MEASURED], PROTOCOL, [BOUND]))
    assert "test_nll:\n      - [null, 1.25]" in text
    record = read_record(text)
    assert curves(record) == [MEASURED]
    assert bounds(record) == [replace(BOUND, seconds=None)]


def test_a_record_without_measures_is_as_before() -> None:
    text = dump_record(build_record([PLAIN], PROTOCOL, [Bound(1, 0.9, 0.1, 1.0)]))
    assert "nll" not in text and "brier" not in text and "ece" not in text
    assert curves(read_record(text)) == [PLAIN]
    assert {run.nll for run in curves(read_record(FOREIGN))} == {()}


@pytest.mark.parametrize("order", [list, reversed])
def test_of_equal_runs_the_one_with_measures_is_kept(order: Callable[[Any], Any]) -> None:
    without, having = (build_record([run], PROTOCOL) for run in (PLAIN, MEASURED))
    merged = merge(list(order([without, having])))
    assert curves(read_record(dump_record(merged))) == [MEASURED]


def test_equal_runs_with_other_measures_are_refused() -> None:
    other = replace(MEASURED, nll=(None, 1.5))
    with pytest.raises(RecordError, match="bald seed 1 appears twice with different numbers"):
        merge([build_record([run], PROTOCOL) for run in (MEASURED, other)])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[None, -0.1]], r"test_nll\[0\]\[1\] is -0.1, it must lie between"),
        ([[None, 88.0]], "it must lie between"),
        ([[None, "much"]], "it must be a number"),
        ([[1.0]], "has 1 values for 2 points"),
        ([[1.0, 1.0], []], "has 2 runs for 1 in test_acc"),
        (3, "it must be a list"),
    ],
)
def test_a_measure_out_of_range_is_refused_in_one_line(value: Any, message: str) -> None:
    content = yaml.safe_load(dump_record(build_record([MEASURED], PROTOCOL)))
    content["results"]["acq"]["mutual_information"]["test_nll"] = value
    with pytest.raises(RecordError, match=message) as error:
        read_record(yaml.safe_dump(content, explicit_end=True))
    assert "\n" not in str(error.value)


def test_the_record_of_a_run_has_the_measures_of_its_steps(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    run_id = new_run(store).run_id
    store.add_step(run_id, new_result())  # as an earlier version stored it
    give(store, ask(store, run_id, range(20, 60)))
    result = new_result(30, store.log(run_id).after)
    store.add_step(run_id, replace(result, nll=1.25, brier=0.5, ece=0.125))
    logs: list[RunState | RunSummary] = [store.log(run_id), *store.summaries([run_id])]
    for log in logs:
        (run,) = curves(read_record(dump_record(run_record(log))))
        assert (run.nll, run.brier, run.ece) == ((None, 1.25), (None, 0.5), (None, 0.125))
    store.close()
