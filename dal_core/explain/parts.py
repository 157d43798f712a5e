"""The terms of one image's scores.

The acquisition functions compute the scores themselves, from the same passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dal_core.acquisition import registry
from dal_core.acquisition.scores import entropy

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Parts:
    """One image's passes, the terms of its scores, and the scores; entropies in nats.

    Attributes:
        probs: [T, C] softmax outputs, one row per pass.
        mean: [C] mean over the passes.
        entropy_terms: [C] -m log m of the mean; their sum is the max-entropy score.
        entropies: [T] entropy of each pass; BALD subtracts their mean.
        votes: [C] number of passes in which the class is the most likely.
        spreads: [C] population standard deviation over the passes.
        scores: by name, for every function that scores single images from passes.
    """

    probs: np.ndarray
    mean: np.ndarray
    entropy_terms: np.ndarray
    entropies: np.ndarray
    votes: np.ndarray
    spreads: np.ndarray
    scores: Mapping[str, float]

    @property
    def entropy_of_mean(self) -> float:
        """H(mean_t p_t), the max-entropy score."""
        return float(self.entropy_terms.sum())

    @property
    def mean_of_entropies(self) -> float:
        """mean_t H(p_t)."""
        return float(self.entropies.mean())

    @property
    def mode(self) -> int:
        """The class that most passes predict; the lowest of several with equal counts."""
        return int(self.votes.argmax())


def scored_functions() -> list[str]:
    """Names of the functions that score an image from its own passes."""
    return [entry.name for entry in registry.functions() if entry.scores_images]


def parts_of(probs: Tensor, eps: float = 0.0) -> Parts:
    """Compute the terms of one image's scores.

    Args:
        probs: [T, C]; each row sums to 1.
        eps: the protocol's `entropy_eps` (see `acquisition.scores.entropy`).

    Raises:
        ValueError: `probs` has another shape.
    """
    if probs.ndim != 2 or not len(probs):
        raise ValueError(f"probs is {list(probs.shape)}; allowed: [T, C] with T of 1 or more")
    as_image = probs[:, None, :]  # [T, 1, C]
    mean = probs.mean(0)
    terms = entropy(mean[:, None], eps)  # the terms of the entropy, by class
    return Parts(
        probs=probs.numpy(),
        mean=mean.numpy(),
        entropy_terms=terms.numpy(),
        entropies=entropy(probs, eps).numpy(),
        votes=np.bincount(probs.argmax(-1).numpy(), minlength=probs.shape[1]),
        spreads=probs.std(0, correction=0).numpy(),
        scores={
            name: float(registry.scorer(name, eps)(as_image)[0]) for name in scored_functions()
        },
    )


def settling(probs: Tensor, name: str, eps: float = 0.0) -> np.ndarray:
    """A score computed from the first 1, 2, ... T passes: [T, C] -> [T]."""
    score = registry.scorer(name, eps)
    return np.array([float(score(probs[:n, None, :])[0]) for n in range(1, len(probs) + 1)])
