"""Calibration over labels: means, intervals and the table of a report."""

from __future__ import annotations

import pytest

from dal_core.results.calibration import at_labels, calibration_means, calibration_table
from dal_core.results.curves import RunCurve

LABELS = (20, 50, 80)


def run(seed: int, name: str = "bald", known: bool = True, first: float | None = 2.0) -> RunCurve:
    """A curve whose NLL falls to 1 + seed / 10 at 80 labels; an earlier version's has none."""
    accuracy, information = (0.5, 0.6, 0.7), (0.3, 0.2, 0.1)
    if not known:
        return RunCurve(name, seed, LABELS, accuracy, information)
    nll = (first, 1.5, 1 + seed / 10)
    return RunCurve(
        name, seed, LABELS, accuracy, information, nll=nll, brier=(0.9, 0.5, 0.3), ece=(0.1,) * 3
    )


def test_means_have_each_measure_where_all_runs_of_a_function_have_it() -> None:
    means = calibration_means([run(1, first=None), run(2), run(3)])
    nll = means[means.measure == "nll"].set_index("n_labelled")
    assert list(nll.index) == [50, 80]
    assert nll["mean"][80] == pytest.approx(1.2)
    assert nll["low"][80] < 1.2 < nll["high"][80]
    assert list(means[means.measure == "brier"].n_labelled) == [20, 50, 80]


def test_runs_of_earlier_versions_have_no_row() -> None:
    assert calibration_means([run(1, known=False)]).empty
    assert calibration_means([]).empty
    assert set(calibration_means([run(1), run(1, "random", known=False)]).acquisition) == {"bald"}


def test_the_table_is_at_50_100_and_the_last_labels_with_intervals_and_dashes() -> None:
    means = calibration_means([run(1), run(2), run(3)])
    assert at_labels(means) == [50, 80]
    table = calibration_table(means, ["bald", "random"]).set_index(["measure", "acquisition"])
    assert list(table.columns) == ["50 labels", "80 labels"]
    # Student's t at two degrees of freedom: 4.303 * 0.1 / sqrt(3)
    assert table["80 labels"]["nll", "bald"] == "1.200 (0.952 to 1.448)"
    assert table["80 labels"]["nll", "random"] == "–"


def test_a_curve_needs_a_value_for_each_step_or_none() -> None:
    with pytest.raises(ValueError, match="nll has 1 values for 3 steps"):
        RunCurve("bald", 1, LABELS, (0.1,) * 3, (0.1,) * 3, nll=(0.5,))
    assert run(1).up_to(50).points("nll") == {20: 2.0, 50: 1.5}
