"""Labels needed to reach an error, averages over runs and bands (docs/method.md, section 8).

Pure functions of `RunCurve`s. `None` stands for "never reached".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dal_core.results.alignment import aligned
from dal_core.results.curves import Metric, RunCurve

THRESHOLD_TOLERANCE = 1e-9
"""An error is reached when 1 - accuracy <= error + THRESHOLD_TOLERANCE.

In floating point, 1 - 0.95 is slightly more than 0.05. Without a tolerance, 2,850 correct of 3,000
would miss 5%. The tolerance is 100,000 times smaller than one test image of 10,000.
"""


@dataclass(frozen=True)
class StepAverage:
    """Labels needed by each run, and their average (docs/method.md, section 8).

    Attributes:
        labels: labels each run needed, in the order given; None if it never reached the error.
        mean: mean over the runs; None unless all reached the error, because a mean over the
            others would favour a function that often fails.
        std: population standard deviation over the runs (ddof 0); None if `mean` is.
    """

    labels: tuple[int | None, ...]
    mean: float | None
    std: float | None

    @property
    def n_reached(self) -> int:
        """How many runs reached the error."""
        return sum(label is not None for label in self.labels)


def first_crossing(
    n_labelled: Sequence[int], accuracy: Sequence[float], error: float
) -> int | None:
    """Labels at the first step with 1 - accuracy <= error; None if there is none."""
    reached = _reached(accuracy, error)
    return int(n_labelled[int(reached.argmax())]) if reached.any() else None


def sustained_crossing(
    n_labelled: Sequence[int], accuracy: Sequence[float], error: float
) -> int | None:
    """Labels from which every step has 1 - accuracy <= error; None if there is no such step.

    When test images are redrawn at each step, the first crossing favours noisy curves; this one
    does not.
    """
    reached = _reached(accuracy, error)
    if not reached.size or not reached[-1]:
        return None
    missed = np.flatnonzero(~reached)
    return int(n_labelled[int(missed[-1]) + 1 if missed.size else 0])


def crossing(
    n_labelled: Sequence[int], accuracy: Sequence[float], error: float, sustained: bool = False
) -> int | None:
    """The first or the sustained crossing."""
    return (sustained_crossing if sustained else first_crossing)(n_labelled, accuracy, error)


def step_average(runs: Sequence[RunCurve], error: float, sustained: bool = False) -> StepAverage:
    """Count for each run, then average over the runs."""
    return average_labels(crossing(r.n_labelled, r.accuracy, error, sustained) for r in runs)


def average_labels(labels: Iterable[int | None]) -> StepAverage:
    """The Step-Average of counts that are given, such as published ones."""
    counts = tuple(labels)
    known = [count for count in counts if count is not None]
    if not known or len(known) < len(counts):
        return StepAverage(counts, None, None)
    return StepAverage(counts, float(np.mean(known)), float(np.std(known)))


def average_step(runs: Sequence[RunCurve], error: float, sustained: bool = False) -> int | None:
    """Average the accuracy over the runs, where all were measured, then count once."""
    mean = band(runs)
    return crossing(list(mean.n_labelled), list(mean["mean"]), error, sustained)


def normalise(labels: float | None, random: float | None) -> float | None:
    """`labels` divided by Random's, counted the same way; None if either was never reached."""
    return None if labels is None or not random else labels / random


def band(runs: Sequence[RunCurve], metric: Metric = "accuracy") -> pd.DataFrame:
    """Mean and population standard deviation over runs, where all runs were measured.

    Returns:
        Columns `n_labelled`, `mean`, `std`, `low` (mean - std), `high` (mean + std), `n_runs`.
    """
    labels, values = aligned(runs, metric)
    mean, std = (values.mean(0), values.std(0)) if len(labels) else (np.empty(0), np.empty(0))
    return pd.DataFrame(
        {
            "n_labelled": labels,
            "mean": mean,
            "std": std,
            "low": mean - std,
            "high": mean + std,
            "n_runs": len(runs),
        }
    )


def by_function(runs: Iterable[RunCurve]) -> dict[str, list[RunCurve]]:
    """Runs grouped by acquisition function, in the order of their first run."""
    groups: dict[str, list[RunCurve]] = {}
    for run in runs:
        groups.setdefault(run.acquisition, []).append(run)
    return groups


def _reached(accuracy: ArrayLike, error: float) -> NDArray[np.bool_]:
    return 1.0 - np.asarray(accuracy, float) <= error + THRESHOLD_TOLERANCE
