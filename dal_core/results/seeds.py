"""Statistics over seeds: bootstrap intervals, paired differences to Random, labels saved.

Defined in docs/method.md, section 15. Pure functions: the caller passes the generator (or its seed)
for the bootstrap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dal_core.results.crossings import Metric, aligned, by_function, crossing
from dal_core.results.curves import RunCurve

MIN_SEEDS = 4
"""Fewer seeds get no bootstrap interval: there are only ten ways to draw three."""


def bootstrap_interval(
    values: ArrayLike, rng: np.random.Generator | int, level: float = 0.95, resamples: int = 10_000
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile bootstrap interval of the mean over seeds.

    Args:
        values: [S] or [S, K]; the S seeds are drawn with replacement, each with all its K values.
        rng: a generator, or the seed of one.
        level: share of the bootstrap means inside the interval.
        resamples: number of bootstrap means.

    Returns:
        Lower and upper end, each [] or [K].
    """
    array = np.asarray(values, float)
    n_seeds = len(array)
    draws = np.random.default_rng(rng).multinomial(
        n_seeds, np.full(n_seeds, 1 / n_seeds), size=resamples
    )
    means = draws @ array / n_seeds  # [resamples] or [resamples, K]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def means(
    runs: Iterable[RunCurve], rng: np.random.Generator | int, metric: Metric = "accuracy"
) -> pd.DataFrame:
    """Mean over seeds for each function and number of labels, with its interval.

    Returns:
        Columns `acquisition`, `n_labelled`, `mean`, `low`, `high`, `n_seeds`, up to the
        end of each function's shortest run. `low` and `high` are missing below `MIN_SEEDS` seeds.

    Raises:
        ValueError: runs of one function were measured at different numbers of labels.
    """
    generator = np.random.default_rng(rng)
    rows = {name: aligned(group, metric) for name, group in by_function(runs).items()}
    return _intervals(rows, generator)


def paired_differences(
    runs: Iterable[RunCurve], metric: Metric = "accuracy", baseline: str = "random"
) -> pd.DataFrame:
    """Each run minus the baseline's run of the same seed, up to the end of the shorter.

    Both share validation, initial and test images, so the seed's effect on both cancels out.

    Returns:
        Columns `acquisition`, `seed`, `n_labelled`, `difference`. Seeds without a run of the
        baseline are left out.

    Raises:
        ValueError: the runs of a pair were measured at different numbers of labels.
    """
    runs = list(runs)
    partners = {run.seed: run for run in runs if run.acquisition == baseline}
    frames = []
    for run in runs:
        if run.acquisition == baseline or run.seed not in partners:
            continue
        labels, (values, baseline_values) = aligned([run, partners[run.seed]], metric)
        frames.append(
            pd.DataFrame(
                {
                    "acquisition": run.acquisition,
                    "seed": run.seed,
                    "n_labelled": labels,
                    "difference": values - baseline_values,
                }
            )
        )
    empty = pd.DataFrame(columns=["acquisition", "seed", "n_labelled", "difference"])
    return pd.concat(frames, ignore_index=True) if frames else empty


def mean_differences(differences: pd.DataFrame, rng: np.random.Generator | int) -> pd.DataFrame:
    """`paired_differences` averaged over seeds, with the columns of `means`."""
    generator = np.random.default_rng(rng)
    rows = {}
    for name, group in differences.groupby("acquisition", sort=False):
        table = group.pivot(index="seed", columns="n_labelled", values="difference")
        table = table.dropna(axis="columns")  # up to the end of the shortest pair
        rows[str(name)] = (table.columns.to_numpy(), table.to_numpy())
    return _intervals(rows, generator)


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
    runs = list(runs)
    partners = {run.seed: run for run in runs if run.acquisition == baseline}
    rows = []
    for run in runs:
        if run.acquisition == baseline or run.seed not in partners:
            continue
        partner = partners[run.seed]
        for level in levels:
            needed = crossing(run.n_labelled, run.accuracy, 1 - level, sustained)
            by_partner = crossing(partner.n_labelled, partner.accuracy, 1 - level, sustained)
            saved = None if needed is None or by_partner is None else by_partner - needed
            rows.append((run.acquisition, run.seed, level, needed, by_partner, saved))
    columns = ["acquisition", "seed", "accuracy", "labels", "baseline_labels", "saved"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype(dict.fromkeys(columns[3:], "Int64"))


def mean_labels_saved(saved: pd.DataFrame, rng: np.random.Generator | int) -> pd.DataFrame:
    """`labels_saved` averaged over seeds.

    Returns:
        Columns `acquisition`, `accuracy`, `mean`, `low`, `high`, `n_reached` and `n_seeds`. The
        mean is missing unless all pairs reached the accuracy; its interval also below `MIN_SEEDS`.
    """
    generator = np.random.default_rng(rng)
    rows = []
    for (name, level), group in saved.groupby(["acquisition", "accuracy"], sort=False):
        known = group["saved"].dropna().to_numpy(float)
        complete = len(known) == len(group)
        mean, low, high = float(known.mean()) if complete else np.nan, np.nan, np.nan
        if complete and len(known) >= MIN_SEEDS:
            low, high = (float(end) for end in bootstrap_interval(known, generator))
        rows.append((name, level, mean, low, high, len(known), len(group)))
    columns = ["acquisition", "accuracy", "mean", "low", "high", "n_reached", "n_seeds"]
    return pd.DataFrame(rows, columns=columns)


def _intervals(
    rows: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]], rng: np.random.Generator
) -> pd.DataFrame:
    """Mean and interval over seeds of each function's [S, K] values."""
    frames = []
    for name, (labels, values) in rows.items():
        low = high = np.full(len(labels), np.nan)
        if len(values) >= MIN_SEEDS and len(labels):
            low, high = bootstrap_interval(values, rng)
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
