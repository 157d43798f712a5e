"""What each acquisition function would ask for, and how their choices differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from dal_core.explain.pool import PoolScores


def choices(pool: PoolScores, n: int) -> dict[str, tuple[int, ...]]:
    """The n images each function asks for from this pool, best first."""
    return {name: tuple(pool.ranking(name, n).tolist()) for name in pool.scores}


def overlap(chosen: Mapping[str, Sequence[int]]) -> pd.DataFrame:
    """[F, F] number of images that both functions ask for; the diagonal is each one's number."""
    sets = {name: set(image_ids) for name, image_ids in chosen.items()}
    rows = [[len(one & other) for other in sets.values()] for one in sets.values()]
    return pd.DataFrame(rows, index=list(sets), columns=list(sets))


def spearman(scores: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """[F, F] Spearman's rank correlation of the scores over all images.

    This is the Pearson correlation of the ranks, where equal scores share their mean rank. It is
    NaN for a function that gives every image the same score.
    """
    return pd.DataFrame(dict(scores)).rank(method="average").corr(method="pearson")


def class_counts(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """[C] number of images of each class, from int64 labels [n]."""
    return np.bincount(labels, minlength=n_classes)


def redundancy(features: np.ndarray) -> float:
    """How similar images are: the mean cosine similarity over all pairs.

    Args:
        features: [n, F], a row per image.

    Returns:
        -1 to 1 (0 to 1 for features after a relu); NaN for fewer than two images. A row of zeros
        has similarity 0 with every other.
    """
    n = len(features)
    if n < 2:
        return float("nan")
    rows = features.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    units = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    # The sum over ordered pairs is the squared norm of the sum, minus each row with itself.
    total = float((units.sum(0) ** 2).sum() - (units**2).sum())
    return total / (n * (n - 1))


def random_redundancy(
    features: np.ndarray, n: int, repeats: int, generator: np.random.Generator
) -> np.ndarray:
    """[repeats] redundancy of n distinct rows of [N, F] drawn at random, for comparison."""
    size = min(n, len(features))
    draws = (generator.choice(len(features), size, replace=False) for _ in range(repeats))
    return np.array([redundancy(features[drawn]) for drawn in draws])
