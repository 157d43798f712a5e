"""Intervals of means over seeds: the formula, and how often they hold the true mean.

The simulated accuracies go the whole way of a report: paired by seed, subtracted, averaged. Every
step of a simulated run is one independent trial.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dal_core.results.curves import RunCurve
from dal_core.results.intervals import t_interval, t_quantile
from dal_core.results.seeds import accuracy_step, label_step, mean_labels_saved, means
from dal_core.results.statistics import statistics

N_TEST = 3000  # test images of `report`

Draw = Callable[[np.random.Generator, tuple[int, int]], tuple[np.ndarray, np.ndarray]]


def _normal(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    of_the_seed = rng.normal(0, 0.02, size)
    return (
        0.94 + of_the_seed + rng.normal(0, 0.01, size),
        0.90 + of_the_seed + rng.normal(0, 0.015, size),
    )


def _lognormal(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Errors with a long tail to the right."""
    errors = (level * np.exp(rng.normal(0, 0.3, size)) for level in (0.06, 0.10))
    first, second = errors
    return 1 - first, 1 - second


def _exponential(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return 0.98 - rng.exponential(0.01, size), 0.96 - rng.exponential(0.02, size)


def _shifted(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Differences of skewness 1: a lognormal lead over a run of the same seed."""
    baseline = rng.normal(0.90, 0.02, size)
    return baseline + 0.03 * np.exp(rng.normal(0, 0.3, size)), baseline


def _discrete(spread: float) -> Draw:
    """Whole test images, whose differences have a standard deviation of `spread` images."""

    def draw(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        baseline = rng.integers(2650, 2750, size)
        lead = np.rint(rng.normal(40.3, spread, size)).astype(int)
        return (baseline + lead) / N_TEST, baseline / N_TEST

    return draw


def _rounded_mean(mean: float, spread: float) -> float:
    """The mean of a normal number rounded to whole ones."""
    ends = np.arange(math.floor(mean - 9 * spread - 2), math.ceil(mean + 9 * spread + 2)) + 0.5
    below = np.array([0.5 * math.erfc((mean - end) / spread / math.sqrt(2)) for end in ends])
    return float(((ends[1:] - 0.5) * np.diff(below)).sum())


LOGNORMAL = math.exp(0.3**2 / 2)
SHAPES: dict[str, tuple[Draw, float]] = {  # what is drawn, and the true mean difference
    "normal": (_normal, 0.04),
    "lognormal errors": (_lognormal, 0.04 * LOGNORMAL),
    "exponential errors": (_exponential, 0.03),
    "lognormal differences": (_shifted, 0.03 * LOGNORMAL),
    "discrete, 12 images": (_discrete(12), _rounded_mean(40.3, 12) / N_TEST),
    "discrete, 2 images": (_discrete(2), _rounded_mean(40.3, 2) / N_TEST),
}


def coverage(draw: Draw, truth: float, n_seeds: int, trials: int) -> float:
    """The share of intervals of mean differences that hold the true one."""
    ours, theirs = draw(np.random.default_rng(n_seeds), (n_seeds, trials))
    labels = tuple(range(trials))
    nothing = (0.0,) * trials
    runs = [
        RunCurve(name, seed, labels, tuple(values[seed]), nothing)
        for name, values in (("bald", ours), ("random", theirs))
        for seed in range(n_seeds)
    ]
    return held(statistics(runs).mean_differences, truth)


def labels_coverage(spread: float, n_seeds: int, trials: int) -> float:
    """The same for labels saved, in batches of ten; `spread` is in labels."""
    batches = np.random.default_rng(n_seeds).normal(4.3, spread / 10, (trials, n_seeds))
    saved = pd.DataFrame(
        {
            "acquisition": "bald",
            "accuracy": np.repeat(np.arange(trials), n_seeds),
            "saved": 10 * np.rint(batches).astype(int).ravel(),
        }
    )
    return held(mean_labels_saved(saved, resolution=10), 10 * _rounded_mean(4.3, spread / 10))


def held(frame: pd.DataFrame, truth: float) -> float:
    rounding = 1e-9
    return float(((frame.low - rounding <= truth) & (truth <= frame.high + rounding)).mean())


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "exponential errors"])
def test_a_95_percent_interval_holds_the_true_difference(shape: str, n_seeds: int) -> None:
    assert 0.93 <= coverage(*SHAPES[shape], n_seeds, trials=4_000) <= 0.97


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
@pytest.mark.parametrize("spread", [30, 20])
def test_a_95_percent_interval_holds_the_true_number_of_labels_saved(
    spread: float, n_seeds: int
) -> None:
    assert 0.93 <= labels_coverage(spread, n_seeds, trials=2_000) <= 0.97


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_seeds_that_often_tie_get_intervals_that_are_rather_too_wide(n_seeds: int) -> None:
    assert coverage(_discrete(1), _rounded_mean(40.3, 1) / N_TEST, n_seeds, 4_000) >= 0.945
    assert labels_coverage(7, n_seeds, trials=2_000) >= 0.945


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_the_table_of_the_method_holds_in_twenty_thousand_trials(n_seeds: int) -> None:
    found = {name: coverage(*shape, n_seeds, 20_000) for name, shape in SHAPES.items()}
    found |= {f"labels, {s}": labels_coverage(s, n_seeds, 20_000) for s in (30, 20)}
    truth = _rounded_mean(40.3, 1) / N_TEST
    tied = {
        "discrete, 1 image": coverage(_discrete(1), truth, n_seeds, 20_000),
        "labels, 7": labels_coverage(7, n_seeds, 20_000),
    }
    skewed = np.random.default_rng(n_seeds).exponential(1, (n_seeds, 40_000))
    low, high = t_interval(skewed)
    strongly_skewed = float(((low <= 1) & (high >= 1)).mean())
    for name, share in (found | tied | {"exponential": strongly_skewed}).items():
        print(f"{n_seeds} seeds, {name}: {share:.1%}")
    assert all(0.93 <= share <= 0.97 for share in found.values()), found
    assert all(share >= 0.945 for share in tied.values()), tied
    assert 0.875 <= strongly_skewed <= 0.91  # the method says that this is too little


@pytest.mark.parametrize(
    ("dof", "printed"),  # of a printed table, for 95% on both sides
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (120, 1.980)],
)
def test_quantiles_are_those_of_a_printed_table(dof: int, printed: float) -> None:
    assert t_quantile(0.975, dof) == pytest.approx(printed, abs=5e-4)


def test_the_interval_is_the_one_worked_out_by_hand() -> None:
    # mean 3, s = 2, so 3 ± 4.303 * 2 / sqrt(3)
    low, high = t_interval([1.0, 3.0, 5.0])
    assert (low, high) == (pytest.approx(-1.968, abs=1e-3), pytest.approx(7.968, abs=1e-3))


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_one_or_two_seeds_have_no_interval(n_seeds: int) -> None:
    low, high = t_interval(np.array([[0.9, 0.8]] * n_seeds))
    assert np.isnan(low).all()
    assert np.isnan(high).all()
    assert low.shape == (2,)
    few = means([RunCurve("bald", seed, (20,), (0.5,), (0.1,)) for seed in range(n_seeds)])
    assert few.low.isna().all()
    assert list(few["mean"]) == [0.5]


def test_seeds_that_agree_exactly_still_get_an_interval_one_step_wide() -> None:
    low, high = t_interval([20.0, 20.0, 20.0], resolution=10)
    assert (low, high) == (15.0, 25.0)


@pytest.mark.parametrize("n_images", [1000, 3000, 10_000])
def test_the_step_of_an_accuracy_is_one_test_image(n_images: int) -> None:
    right: Any = np.random.default_rng(0).integers(0, n_images + 1, 40)
    run = RunCurve("bald", 1, tuple(range(40)), tuple(right / n_images), (0.0,) * 40)
    assert accuracy_step([run]) == pytest.approx(1 / n_images)


def test_accuracies_that_are_no_shares_of_images_have_no_step() -> None:
    values = tuple(np.random.default_rng(0).random(5))
    assert accuracy_step([RunCurve("bald", 1, tuple(range(5)), values, values)]) == 0


def test_the_step_of_labels_is_the_smallest_batch() -> None:
    whole = RunCurve("bald", 1, (20, 30, 40), (0.5,) * 3, (0.1,) * 3)
    with_a_gap = RunCurve("bald", 2, (20, 40, 60), (0.5,) * 3, (0.1,) * 3)
    assert label_step([with_a_gap, whole]) == 10
    assert label_step([]) == 0
