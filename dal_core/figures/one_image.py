"""The interface of an image's passes and score parts, as charts need them."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class ImageParts(Protocol):
    """One image's passes and the parts of its scores; entropies in nats."""

    @property
    def probs(self) -> np.ndarray:
        """[T, C] softmax outputs; rows sum to 1."""

    @property
    def mean(self) -> np.ndarray:
        """[C] mean of `probs` over the passes."""

    @property
    def entropy_terms(self) -> np.ndarray:
        """[C] -m ln m for each class of the mean m."""

    @property
    def entropies(self) -> np.ndarray:
        """[T] entropy of each pass."""

    @property
    def votes(self) -> np.ndarray:
        """[C] number of passes that rank the class first."""

    @property
    def spreads(self) -> np.ndarray:
        """[C] population standard deviation of `probs` over the passes."""
