"""The network's own features of many images, and their two main directions (PCA by SVD).

Owns the projection and what is known of each point: its class, its step. Trains nothing; where
the points lie is decided by the model of one step for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from dal_core.explain.step import fitted_of
from dal_core.learner.bayesian_cnn import Learner
from dal_core.models.networks import BayesianCNN
from dal_core.posterior.mc_dropout import CHUNK

INITIAL, UNASKED = -1, -2  # in place of a step
MAX_POINTS = 5000  # pool images on a map: what a browser draws and finds without stutter
_OVERSAMPLING, _ITERATIONS = 8, 12


@dataclass(frozen=True)
class Projection:
    """Rows in two dimensions: `coordinates` [N, 2], and the share of variance of each axis [2]."""

    coordinates: np.ndarray
    explained: np.ndarray


def trunk_features(model: BayesianCNN, images: np.ndarray) -> np.ndarray:
    """What the convolutions make of images: uint8 [N, 28, 28] -> float32 [N, F].

    Without dropout, which lies after them: the same in all T passes.
    """
    device = next(model.parameters()).device
    chunks = [np.empty((0, model.feature_size), dtype=np.float32)]
    with torch.inference_mode():
        for start in range(0, len(images), CHUNK):
            chunk = model.normalise(images[start : start + CHUNK]).to(device)
            chunks.append(model.trunk(chunk).cpu().numpy())
    return np.concatenate(chunks)


def project(features: np.ndarray) -> Projection:
    """Principal components 1 and 2 of [N, F] features (Pearson 1901).

    A randomised singular value decomposition with power iterations (Halko, Martinsson and Tropp
    2011): for 5,000 images and 4,608 features seconds instead of minutes, and equal to the full
    one to about six digits. Its start is fixed, and each axis points to where its largest
    loading is positive, so the same features give the same map.

    Raises:
        ValueError: fewer than three rows, or fewer than two features.
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


def map_points(learner: Learner) -> pd.DataFrame:
    """Which images a map of this step shows, and when each was asked for.

    Returns:
        A row per image: `image_id`; `step` in which it was asked for (0 is the first query's),
        INITIAL for the initial training set, UNASKED for the pool (of which at most MAX_POINTS
        are shown, the first of the run's own subset); `label` given (NaN for none); `skipped`.
    """
    rows: list[tuple[int, int, float, bool]] = []
    initial = dict.fromkeys(learner.split.initial.tolist())  # drawn twice, shown once
    rows += [(i, INITIAL, float(learner.dataset.labels[i]), False) for i in initial]
    for step, entry in enumerate(learner.answered):
        rows += [(i, step, float(label), False) for i, label in entry.labels()]
        rows += [(i, step, float("nan"), True) for i in entry.skipped()]
    rows += [(i, UNASKED, float("nan"), False) for i in learner.pool_subset()[:MAX_POINTS].tolist()]
    return pd.DataFrame(rows, columns=["image_id", "step", "label", "skipped"])


def map_of(learner: Learner) -> tuple[pd.DataFrame, Projection]:
    """`map_points` with their places: columns `x` and `y` added. Raises ValueError."""
    points = map_points(learner)
    images = learner.dataset.images[points.image_id.to_numpy()]
    projection = project(trunk_features(fitted_of(learner).model, images))
    x, y = projection.coordinates.T
    return points.assign(x=x, y=y), projection
