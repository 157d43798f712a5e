"""The best images of a pool that is scored chunk by chunk, with their passes.

The probabilities of a whole pool, [T, N, C], are 151 MB for 58,980 images and 64 passes; only
those of the few images that may be shown are wanted. Ties are decided by an order fixed beforehand
(`acquisition.tie_order`), so the shortlist is exactly the head of the whole ranking.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dal_core.acquisition.scores import rank


class Shortlist:
    """Keeps the `size` best of the images added so far.

    Args:
        size: images kept.
        priority: [N] which of equally scored images comes first: the lower number.
    """

    def __init__(self, size: int, priority: np.ndarray) -> None:
        self.size, self.priority = size, priority
        self.scores = np.empty(0)
        self.positions = np.empty(0, dtype=np.int64)
        self.probs: Tensor | None = None  # [T, n, C], n <= size, best first

    def add(self, start: int, scores: np.ndarray, probs: Tensor) -> None:
        """Take in a chunk: images start, start + 1, ... with scores [n] and passes [T, n, C]."""
        positions = np.concatenate([self.positions, np.arange(start, start + len(scores))])
        scores = np.concatenate([self.scores, scores])
        best = rank(scores, self.priority[positions])[: self.size]
        probs = probs if self.probs is None else torch.cat([self.probs, probs], dim=1)
        self.scores, self.positions = scores[best], positions[best]
        self.probs = probs[:, torch.from_numpy(best).to(probs.device)]
