"""Statistics over seeds: means with intervals, paired differences to Random, labels saved.

Defined in docs/method.md, section 15. Pure functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dal_core.results.alignment import aligned, common_labels
from dal_core.results.crossings import by_function, crossing
from dal_core.results.curves import Metric, RunCurve
from dal_core.results.intervals import t_interval

_MOST_IMAGES = 100_000  # no test set is larger


def means(runs: Iterable[RunCurve], metric: Metric = "accuracy") -> pd.DataFrame:
    """Mean over seeds for each function and number of labels, with its interval.

    Returns:
        Columns `acquisition`, `n_labelled`, `mean`, `low`, `high`, `n_seeds`, where all runs of the
        function were measured. `low` and `high` are missing below `MIN_SEEDS` seeds.
    """
    runs = list(runs)
    rows = {name: aligned(group, metric) for name, group in by_function(runs).items()}
    return _intervals(rows, accuracy_step(runs) if metric == "accuracy" else 0.0)


def paired_differences(
    runs: Iterable[RunCurve], metric: Metric = "accuracy", baseline: str = "random"
) -> pd.DataFrame:
    """Each run minus the baseline's run of the same seed, where both were measured.

    Both share validation, initial and test images, so the seed's effect on both cancels out.

    Returns:
        Columns `acquisition`, `seed`, `n_labelled`, `difference`. Seeds without a run of the
        baseline are left out.
    """
    return _differences(_pairs(runs, baseline), metric)


def differences_between(
    runs: Iterable[RunCurve], others: Iterable[RunCurve], metric: Metric = "accuracy"
) -> pd.DataFrame:
    """Each run minus the run of the same function and seed among `others`: one parameter's effect.

    Returns:
        The columns of `paired_differences`. Runs without a partner are left out.
    """
    partners = {(run.acquisition, run.seed): run for run in others}
    pairs = ((run, partners.get((run.acquisition, run.seed))) for run in runs)
    return _differences(((run, other) for run, other in pairs if other is not None), metric)


def _differences(pairs: Iterable[tuple[RunCurve, RunCurve]], metric: Metric) -> pd.DataFrame:
    """The first of each pair minus the second, where both were measured."""
    frames = []
    for run, partner in pairs:
        labels, (values, partner_values) = aligned([run, partner], metric)
        frames.append(
            pd.DataFrame(
                {
                    "acquisition": run.acquisition,
                    "seed": run.seed,
                    "n_labelled": labels,
                    "difference": values - partner_values,
                }
            )
        )
    empty = pd.DataFrame(columns=["acquisition", "seed", "n_labelled", "difference"])
    return pd.concat(frames, ignore_index=True) if frames else empty


def mean_differences(differences: pd.DataFrame, resolution: float = 0.0) -> pd.DataFrame:
    """`paired_differences` averaged over seeds, where all pairs were measured.

    Args:
        resolution: the step between neighbouring values of the metric, as in `t_interval`.

    Returns:
        The columns of `means`.
    """
    rows = {}
    for name, group in differences.groupby("acquisition", sort=False):
        labels = common_labels(pair.n_labelled for _, pair in group.groupby("seed"))
        table = group.pivot(index="seed", columns="n_labelled", values="difference")
        rows[str(name)] = labels, table[labels].to_numpy()
    return _intervals(rows, resolution)


def labels_saved(
    runs: Iterable[RunCurve],
    levels: Sequence[float],
    sustained: bool = False,
    baseline: str = "random",
) -> pd.DataFrame:
    """Labels each run saves against the baseline's run of the same seed, at each accuracy.

    Args:
        levels: accuracies to reach, 0 .. 1.
        sustained: count to the sustained crossing instead of the first.

    Returns:
        Columns `acquisition`, `seed`, `accuracy`, `labels`, `baseline_labels` and `saved`, their
        difference (negative if the run needed more). `<NA>` if a run never reached the accuracy.
    """
    rows = []
    for run, partner in _pairs(runs, baseline):
        for level in levels:
            needed = crossing(run.n_labelled, run.accuracy, 1 - level, sustained)
            by_partner = crossing(partner.n_labelled, partner.accuracy, 1 - level, sustained)
            saved = None if needed is None or by_partner is None else by_partner - needed
            rows.append((run.acquisition, run.seed, level, needed, by_partner, saved))
    columns = ["acquisition", "seed", "accuracy", "labels", "baseline_labels", "saved"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype(dict.fromkeys(columns[3:], "Int64"))


def mean_labels_saved(saved: pd.DataFrame, resolution: float = 0.0) -> pd.DataFrame:
    """`labels_saved` averaged over seeds.

    Args:
        resolution: the step between neighbouring numbers of labels, as in `t_interval`.

    Returns:
        Columns `acquisition`, `accuracy`, `mean`, `low`, `high`, `n_reached` and `n_seeds`. The
        mean is missing unless all pairs reached the accuracy; its interval also below `MIN_SEEDS`.
    """
    rows = []
    for (name, level), group in saved.groupby(["acquisition", "accuracy"], sort=False):
        known = group["saved"].dropna().to_numpy(float)
        mean = low = high = math.nan
        if len(known) == len(group):
            mean = float(known.mean())
            low, high = (float(end) for end in t_interval(known, resolution))
        rows.append((name, level, mean, low, high, len(known), len(group)))
    columns = ["acquisition", "accuracy", "mean", "low", "high", "n_reached", "n_seeds"]
    return pd.DataFrame(rows, columns=columns)


def accuracy_step(runs: Iterable[RunCurve]) -> float:
    """The step in which the runs' accuracies move: one of n test images is 1 / n.

    n is the least common denominator of the accuracies; 0 if that is no number of images.
    """
    n_images = 1
    for value in {accuracy for run in runs for accuracy in run.accuracy}:
        fraction = Fraction(value).limit_denominator(_MOST_IMAGES)
        n_images = math.lcm(n_images, fraction.denominator)
        if n_images > _MOST_IMAGES:
            return 0.0
    return 1 / n_images


def label_step(runs: Iterable[RunCurve]) -> int:
    """The smallest step between two measurements of a run, in labels; 0 if there is none."""
    gaps = (int(gap) for run in runs for gap in np.diff(run.n_labelled))
    return min(gaps, default=0)


def _pairs(runs: Iterable[RunCurve], baseline: str) -> Iterator[tuple[RunCurve, RunCurve]]:
    """Each run with the baseline's run of the same seed, where there is one."""
    runs = list(runs)
    partners = {run.seed: run for run in runs if run.acquisition == baseline}
    for run in runs:
        if run.acquisition != baseline and run.seed in partners:
            yield run, partners[run.seed]


def _intervals(
    rows: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]], resolution: float
) -> pd.DataFrame:
    """Mean and interval over seeds of each function's [S, K] values."""
    frames = []
    for name, (labels, values) in rows.items():
        low, high = t_interval(values, resolution)
        frames.append(
            pd.DataFrame(
                {
                    "acquisition": name,
                    "n_labelled": labels,
                    "mean": values.mean(0),
                    "low": low,
                    "high": high,
                    "n_seeds": len(values),
                }
            )
        )
    columns = ["acquisition", "n_labelled", "mean", "low", "high", "n_seeds"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)
