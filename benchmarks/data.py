"""The images to measure on: full MNIST if it is on disk, else the embedded 5,000."""

from __future__ import annotations

from functools import cache

import numpy as np

from dal_core.data import catalogue
from dal_core.data.base import ImageDataset

Labelled = tuple[np.ndarray, np.ndarray]  # uint8 [n, 28, 28] and int64 [n]


@cache
def dataset() -> ImageDataset:
    """MNIST or mnist5k; the cost depends only on the number of images."""
    return catalogue.load("mnist" if catalogue.find("mnist") else "mnist5k")


def images_of(n: int, skip: int = 0) -> Labelled:
    """n labelled images after the first `skip`; they repeat if the data set is too small.

    The order is random but fixed, so that any range contains all classes.
    """
    data = dataset()
    order = np.random.default_rng(0).permutation(len(data))
    ids = order[np.arange(skip, skip + n) % len(order)]
    return data.images[ids], data.labels[ids]
