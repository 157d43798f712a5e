"""Crossings, averages and comparisons against curves drawn by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dal_core.results.crossings import (
    average_step,
    band,
    first_crossing,
    normalise,
    step_average,
    sustained_crossing,
)
from dal_core.results.curves import RunCurve, as_curve
from dal_core.results.seeds import (
    labels_saved,
    mean_differences,
    mean_labels_saved,
    paired_differences,
)

LABELS = (20, 30, 40, 50)
accuracies = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def run(accuracy: Sequence[float], acquisition: str = "bald", seed: int = 1) -> RunCurve:
    n_labelled = tuple(20 + 10 * step for step in range(len(accuracy)))
    return RunCurve(acquisition, seed, n_labelled, tuple(accuracy), (0.1,) * len(accuracy))


def test_the_first_crossing_counts_labels_in_the_training_set() -> None:
    assert first_crossing(LABELS, (0.5, 0.91, 0.8, 0.95), 0.10) == 30


def test_the_sustained_crossing_ignores_a_curve_that_falls_back() -> None:
    assert sustained_crossing(LABELS, (0.5, 0.91, 0.8, 0.95), 0.10) == 50
    assert sustained_crossing(LABELS, (0.95, 0.95, 0.95, 0.95), 0.10) == 20


def test_an_error_never_reached_is_none() -> None:
    assert first_crossing(LABELS, (0.5, 0.6, 0.7, 0.8), 0.10) is None
    assert sustained_crossing(LABELS, (0.5, 0.95, 0.7, 0.8), 0.10) is None
    assert first_crossing((), (), 0.10) is None
    assert sustained_crossing((), (), 0.10) is None


@pytest.mark.parametrize("error", [0.10, 0.05, 0.01, 0.07])
@pytest.mark.parametrize("n_test", [3000, 10000, 1000])
def test_exactly_at_the_threshold_is_reached_and_one_image_less_is_not(
    error: float, n_test: int
) -> None:
    right = round((1 - error) * n_test)
    assert first_crossing((20,), (right / n_test,), error) == 20
    assert first_crossing((20,), ((right - 1) / n_test,), error) is None


@given(accuracies, st.floats(0, 1))
def test_the_sustained_crossing_is_never_before_the_first(
    values: list[float], error: float
) -> None:
    labels = range(20, 20 + 10 * len(values), 10)
    first = first_crossing(labels, values, error)
    sustained = sustained_crossing(labels, values, error)
    if sustained is not None:
        assert first is not None
        assert first <= sustained
        start = list(labels).index(sustained)
        assert all(1 - value <= error + 1e-9 for value in values[start:])
        assert start == 0 or 1 - values[start - 1] > error + 1e-9


def test_step_average_counts_first_and_averages_then() -> None:
    average = step_average([run((0.5, 0.9, 0.9)), run((0.5, 0.5, 0.9))], 0.10)
    assert average.labels == (30, 40)
    assert (average.mean, average.std) == (35.0, 5.0)  # population, not sample, deviation


def test_average_step_averages_first_and_counts_then() -> None:
    runs = [run((0.5, 0.9, 0.9)), run((0.5, 0.88, 0.92))]
    assert average_step(runs, 0.10) == 40
    assert average_step([run((0.5, 0.9)), run((0.5, 0.9)), run((0.5, 0.9))], 0.10) == 30


def test_a_run_that_never_reaches_leaves_no_mean() -> None:
    average = step_average([run((0.5, 0.9)), run((0.5, 0.6)), run((0.9, 0.9))], 0.10)
    assert average.labels == (30, None, 20)
    assert (average.mean, average.std, average.n_reached) == (None, None, 2)


def test_sustained_step_average_uses_the_sustained_crossings() -> None:
    assert step_average([run((0.9, 0.5, 0.9))], 0.10, sustained=True).labels == (40,)


def test_averages_stop_at_the_shortest_run() -> None:
    runs = [run((0.5, 0.7, 0.9)), run((0.7, 0.9))]
    found = band(runs)
    assert list(found.n_labelled) == [20, 30]
    assert list(found["mean"]) == pytest.approx([0.6, 0.8])
    assert list(found["std"]) == pytest.approx([0.1, 0.1])
    assert list(found.low) == pytest.approx([0.5, 0.7])
    assert average_step(runs, 0.10) is None


def test_a_band_of_no_runs_is_empty() -> None:
    assert len(band([])) == 0
    assert average_step([], 0.10) is None


def test_runs_without_a_common_number_of_labels_have_no_mean() -> None:
    other = RunCurve("bald", 2, (25, 35), (0.5, 0.6), (0.1, 0.1))
    assert len(band([run((0.5, 0.6)), other])) == 0
    assert average_step([run((0.5, 0.6)), other], 0.5) is None


def test_normalising_by_random_keeps_never() -> None:
    assert normalise(130, 200) == 0.65
    assert normalise(None, 200) is None
    assert normalise(130, None) is None


def test_differences_are_paired_by_seed() -> None:
    runs = [
        run((0.5, 0.8), seed=1),
        run((0.6, 0.9, 0.9), seed=2),
        run((0.5, 0.9), seed=9),  # no partner
        run((0.5, 0.7, 0.7), "random", 2),
        run((0.4, 0.7), "random", 1),
    ]
    found = paired_differences(runs)
    assert list(found.seed) == [1, 1, 2, 2, 2]
    assert list(found.difference) == pytest.approx([0.1, 0.1, 0.1, 0.2, 0.2])
    averaged = mean_differences(found)
    assert list(averaged.n_labelled) == [20, 30]  # up to the end of the shortest pair
    assert list(averaged["mean"]) == pytest.approx([0.1, 0.15])


@settings(deadline=None, max_examples=25)
@given(st.permutations(range(6)))
def test_the_order_of_runs_changes_no_difference(order: Any) -> None:
    runs = [run((0.5, 0.6 + s / 50), seed=s) for s in range(3)]
    runs += [run((0.5, 0.55 + s / 50), "random", s) for s in range(3)]
    found = paired_differences([runs[i] for i in order])
    assert sorted(found.difference) == pytest.approx([0, 0, 0, 0.05, 0.05, 0.05])


def test_differences_without_random_are_empty() -> None:
    assert len(paired_differences([run((0.5,))])) == 0
    assert len(mean_differences(paired_differences([run((0.5,))]))) == 0


def test_labels_saved_are_counted_at_every_level() -> None:
    runs = [run((0.5, 0.8, 0.9), seed=1), run((0.5, 0.7, 0.8, 0.9), "random", 1)]
    found = labels_saved(runs, [0.7, 0.8, 0.9, 0.95])
    assert list(found.saved[:3]) == [0, 10, 10]
    assert found.saved.isna().tolist() == [False, False, False, True]
    assert list(found.baseline_labels[:3]) == [30, 40, 50]


def test_labels_saved_have_a_mean_only_where_every_pair_reached() -> None:
    runs = [run((0.5, 0.9), seed=1), run((0.5, 0.8, 0.9), seed=2)]
    runs += [run((0.5, 0.8, 0.9), "random", 1), run((0.5, 0.6, 0.8), "random", 2)]
    found = mean_labels_saved(labels_saved(runs, [0.8, 0.9]))
    assert found["mean"].iloc[0] == 5.0
    assert np.isnan(found["mean"].iloc[1])
    assert list(found.n_reached) == [2, 1]
    assert list(found.n_seeds) == [2, 2]


def test_a_curve_needs_as_many_values_as_labels() -> None:
    with pytest.raises(ValueError, match="allowed: the same number"):
        RunCurve("bald", 1, (20, 30), (0.5,), (0.1, 0.1))


def test_a_curve_can_be_made_of_columns() -> None:
    steps = {"n_labelled": [20, 30], "accuracy": [0.5, 0.6], "mutual_information": [0.2, 0.1]}
    assert as_curve(steps).accuracy == (0.5, 0.6)
    with pytest.raises(ValueError, match="need the column accuracy"):
        as_curve({"n_labelled": [20]})
