"""How much the images of a batch repeat each other (docs/method.md, section 3.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dal_core.acquisition.coverage import Covering
from dal_core.explain.batches import Pool


@dataclass(frozen=True)
class Redundancy:
    """How alike the images of a batch are.

    Attributes:
        n_predicted: number of different classes that the mean prediction gives the images.
        similarity: mean of k(i, j) over all pairs; NaN for fewer than two images.
    """

    n_predicted: int
    similarity: float


def covering_of(pool: Pool) -> Covering:
    """The kernel of weighted coverage at this step, as a run with it has it."""
    return Covering.of(pool.pixels, pool.candidates("bald_coverage").generator)


def redundancy_of(pool: Pool, covering: Covering, image_ids: tuple[int, ...]) -> Redundancy:
    """How alike the images of a batch are."""
    at = pool.positions(image_ids)
    predicted = pool.probs[:, at].mean(0).argmax(-1)
    points = pool.pixels.candidates[at]
    return Redundancy(len(set(predicted.tolist())), mean_similarity(points, covering.scale))


def mean_similarity(points: Tensor, scale: float) -> float:
    """The mean of exp(-|x_i - x_j|^2 / s^2) over all pairs i < j of points [n, D].

    Returns:
        0 to 1; NaN for fewer than two points.
    """
    if len(points) < 2:
        return float("nan")
    return float(torch.exp(-torch.pdist(points.double()).square() / scale).mean())


def random_similarity(
    points: Tensor, n: int, scale: float, repeats: int, generator: np.random.Generator
) -> np.ndarray:
    """[repeats] `mean_similarity` of n distinct points of [N, D] drawn at random."""
    size = min(n, len(points))
    draws = (generator.choice(len(points), size, replace=False) for _ in range(repeats))
    return np.array([mean_similarity(points[torch.from_numpy(drawn)], scale) for drawn in draws])
