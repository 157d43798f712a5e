"""Coordinates of images by their pixels alone: the first principal components of a pool.

Selections that cover the pool measure distances in them. They need no labels and no model, and the
components are computed once for a run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

N_COMPONENTS = 64
N_FITTED = 10_000  # images of the pool from which the components are computed, at most
MAX_VALUES = 2048  # values of an image; larger images are averaged over squares first


@dataclass(frozen=True)
class PixelSpace:
    """The first principal components of a pool's pixels (docs/method.md, section 3.1).

    Attributes:
        mean: [P] of the pool's pixels.
        components: [P, D], the largest first; D is at most N_COMPONENTS.
    """

    mean: Tensor
    components: Tensor

    @classmethod
    def of(cls, pool: np.ndarray) -> PixelSpace:
        """The space of pool images, uint8 [N, H, W] or [N, H, W, 3]: of the first N_FITTED."""
        values = _values(pool[:N_FITTED])
        mean = values.mean(0)
        centred = values - mean
        _, vectors = torch.linalg.eigh(centred.T @ centred)  # ascending
        return cls(mean, vectors[:, -N_COMPONENTS:].flip(1).contiguous())

    def coordinates(self, images: np.ndarray) -> Tensor:
        """[n, D] float32 coordinates of any images of the same shape."""
        starts = range(0, max(1, len(images)), N_FITTED)
        blocks = [_values(images[start : start + N_FITTED]) for start in starts]
        return torch.cat([(block - self.mean) @ self.components for block in blocks])


def _values(images: np.ndarray) -> Tensor:
    """[n, P] float32 pixels in [0, 1], averaged over squares until P is at most MAX_VALUES."""
    pixels = torch.from_numpy(images.astype(np.float32)) / 255
    planes = pixels[:, None] if pixels.ndim == 3 else pixels.movedim(-1, 1)  # [n, channels, H, W]
    while planes.shape[1:].numel() > MAX_VALUES and min(planes.shape[2:]) > 1:
        planes = torch.nn.functional.avg_pool2d(planes, 2)
    return planes.flatten(1)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_j|^2 of points [n, D] and [m, D]: [n, m], never negative."""
    products = a @ b.T
    squares = a.square().sum(1)[:, None] + b.square().sum(1)
    return (squares - 2 * products).clamp_(min=0)


def median_squared_distance(points: Tensor) -> float:
    """The median of |x_i - x_j|^2 over all pairs i < j of [n, D]; 1 for fewer than two points."""
    if len(points) < 2:
        return 1.0
    rows, columns = torch.triu_indices(len(points), len(points), offset=1)
    return float(squared_distances(points, points)[rows, columns].median()) or 1.0
