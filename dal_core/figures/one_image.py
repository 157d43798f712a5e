"""What charts of one image read of its passes."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class ImageParts(Protocol):
    """One image's passes and what each score takes from them; entropies in nats."""

    @property
    def probs(self) -> np.ndarray:
        """[T, C] softmax outputs, a row per pass."""

    @property
    def mean(self) -> np.ndarray:
        """[C] their mean over the passes."""

    @property
    def entropy_terms(self) -> np.ndarray:
        """[C] -m log m of the mean."""

    @property
    def entropies(self) -> np.ndarray:
        """[T] entropy of each pass."""

    @property
    def votes(self) -> np.ndarray:
        """[C] passes whose likeliest class it is."""

    @property
    def spreads(self) -> np.ndarray:
        """[C] population standard deviation over the passes."""
