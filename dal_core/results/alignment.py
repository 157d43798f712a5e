"""The one rule by which curves are averaged and subtracted (docs/method.md, section 15).

Curves are compared where all of them were measured. Nothing is interpolated. Curves without gaps
that start together are therefore compared up to the end of the shortest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dal_core.results.curves import Metric, RunCurve


def common_labels(measured: Iterable[ArrayLike]) -> NDArray[np.int64]:
    """The numbers of labels [K] that all curves have, increasing; empty if there is none."""
    sets = [np.asarray(labels, np.int64) for labels in measured]
    return reduce(np.intersect1d, sets) if sets else np.empty(0, np.int64)


def aligned(
    runs: Sequence[RunCurve], metric: Metric = "accuracy"
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels [K] at which all S runs were measured, and their values [S, K]."""
    points = [run.points(metric) for run in runs]
    labels = common_labels(list(one) for one in points)
    rows = [[one[n] for n in labels.tolist()] for one in points]
    return labels, np.array(rows).reshape(len(rows), len(labels))
