"""A map of the pool: the model's features of the images, projected to two dimensions (PCA)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dal_core.explain.step import ModelStep

INITIAL, UNASKED = -1, -2  # values of the column `step` for images of no step
MAX_POINTS = 5000  # pool images on a map; a browser still draws these smoothly
_OVERSAMPLING, _ITERATIONS = 8, 12


@dataclass(frozen=True)
class Projection:
    """Points in two dimensions.

    Attributes:
        coordinates: [N, 2].
        explained: [2] share of the total variance along each axis.
    """

    coordinates: np.ndarray
    explained: np.ndarray


def project(features: np.ndarray) -> Projection:
    """Principal components 1 and 2 of [N, F] features (Pearson 1901).

    They are computed by a randomised singular value decomposition with power iterations (Halko,
    Martinsson and Tropp 2011). For 5,000 images and 4,608 features it takes seconds instead of
    minutes, and it agrees with the full decomposition to about six digits. The random start is
    fixed (torch.pca_lowrank would draw it from the global generator) and the largest loading of
    each axis is positive, so the same features always give the same map.

    Raises:
        ValueError: there are fewer than three rows or two features.
    """
    if features.ndim != 2 or len(features) < 3 or features.shape[1] < 2:
        raise ValueError(f"features are {list(features.shape)}; allowed: [3 or more, 2 or more]")
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    width = min(2 + _OVERSAMPLING, *centred.shape)
    basis = np.random.default_rng(0).standard_normal((centred.shape[1], width))
    for _ in range(_ITERATIONS):
        basis, _ = np.linalg.qr(centred.T @ (centred @ basis))
    _, sizes, directions = np.linalg.svd(centred @ basis, full_matrices=False)
    axes = basis @ directions[:2].T  # [F, 2]
    axes *= np.where(axes[np.abs(axes).argmax(0), [0, 1]] < 0, -1.0, 1.0)
    total = float((centred**2).sum())
    explained = sizes[:2] ** 2 / total if total else np.zeros(2)
    return Projection(centred @ axes, explained)


def map_points(step: ModelStep) -> pd.DataFrame:
    """The images on the map of a step, and when each was asked for.

    Returns:
        One row per image, with the columns `image_id`, `step`, `label` (NaN if there is none) and
        `skipped`. `step` is the step in which the image was asked for (0 for the first query),
        INITIAL for the initial training set, and UNASKED for the pool. Of the pool, the first
        MAX_POINTS images of the run's subset are shown.
    """
    rows: list[tuple[int, int, float, bool]] = []
    initial = dict.fromkeys(step.split.initial.tolist())  # drawn twice, shown once
    rows += [(i, INITIAL, float(step.dataset.labels[i]), False) for i in initial]
    for number, one in enumerate(step.state.submissions):
        given = step.state.in_ranking_order(one)
        rows += [(a.image_id, number, float(a.label), False) for a in given if a.label is not None]
        rows += [(image_id, number, float("nan"), True) for image_id in one.skipped]
    rows += [(i, UNASKED, float("nan"), False) for i in step.pool_subset[:MAX_POINTS].tolist()]
    return pd.DataFrame(rows, columns=["image_id", "step", "label", "skipped"])


def map_of(step: ModelStep) -> tuple[pd.DataFrame, Projection]:
    """`map_points` with their coordinates `x` and `y`. Raises ValueError as `project` does."""
    points = map_points(step)
    images = step.dataset.images[points.image_id.to_numpy()]
    projection = project(step.model.features(images))
    x, y = projection.coordinates.T
    return points.assign(x=x, y=y), projection
