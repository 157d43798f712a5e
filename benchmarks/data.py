"""The images the parts are measured on: full MNIST where it is, else the embedded 5,000."""

from __future__ import annotations

from functools import cache

import numpy as np

from dal_core.data import catalogue
from dal_core.data.base import ImageDataset

Labelled = tuple[np.ndarray, np.ndarray]  # uint8 [n, 28, 28] and int64 [n]


@cache
def dataset() -> ImageDataset:
    """Cost depends on the number of images only, so either data set serves."""
    return catalogue.load("mnist" if catalogue.find("mnist") else "mnist5k")


def images_of(n: int, skip: int = 0) -> Labelled:
    """n labelled images after the first `skip`, the data set repeated where it is too small.

    They are drawn in a fixed random order, so that every part of it has all classes.
    """
    data = dataset()
    order = np.random.default_rng(0).permutation(len(data))
    ids = order[np.arange(skip, skip + n) % len(order)]
    return data.images[ids], data.labels[ids]
