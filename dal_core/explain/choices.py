"""How the choices of several acquisition functions differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd


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
