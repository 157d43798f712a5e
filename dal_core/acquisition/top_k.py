"""Ranking images by score, and keeping the best ones while a pool is scored in chunks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def tie_order(n_images: int, ties: str, generator: np.random.Generator) -> np.ndarray:
    """The order of images with equal scores, fixed before there are scores.

    Args:
        n_images: N.
        ties: "random": `generator` decides; "first": the lower position comes first, as in the
            released code (docs/method.md, sections 3 and 9).

    Returns:
        [N] int64 priorities; of equal scores, the lower number comes first.
    """
    if ties == "first":
        return np.arange(n_images)
    priority = np.empty(n_images, dtype=np.int64)
    priority[generator.permutation(n_images)] = np.arange(n_images)
    return priority


def rank(scores: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Positions by descending score, equal ones by ascending `priority` (see `tie_order`).

    Args:
        scores: [N].
        priority: [N].

    Returns:
        [N] int64 positions, best first.
    """
    return np.lexsort((priority, -scores))


class Shortlist:
    """Keeps the `size` best of the images added so far, and their passes.

    Holding the probabilities of a whole pool, [T, N, C], would take 151 MB for 58,980 images, 64
    passes and 10 classes. Since `priority` is fixed beforehand, the shortlist equals the head of
    the full ranking.

    Args:
        size: number of images to keep.
        priority: [N], see `tie_order`.
    """

    def __init__(self, size: int, priority: np.ndarray) -> None:
        self.size, self.priority = size, priority
        self.scores = np.empty(0)
        self.positions = np.empty(0, dtype=np.int64)
        self.probs: Tensor | None = None  # [T, n, C], n <= size, best first

    def add(self, start: int, scores: np.ndarray, probs: Tensor) -> None:
        """Add a chunk: images start, start + 1, ... with scores [n] and passes [T, n, C]."""
        positions = np.concatenate([self.positions, np.arange(start, start + len(scores))])
        scores = np.concatenate([self.scores, scores])
        best = rank(scores, self.priority[positions])[: self.size]
        probs = probs if self.probs is None else torch.cat([self.probs, probs], dim=1)
        self.scores, self.positions = scores[best], positions[best]
        self.probs = probs[:, torch.from_numpy(best).to(probs.device)]
