"""A data set that shares nothing with MNIST: 3 named classes, 20 x 12 pixels, RGB, no test set.

    with toys.registered() as toy:  # the catalogue knows it by the name toys.NAME
        ...

`PARTLY` is the same with a fifth of its labels unknown: a person can answer for all images, the
simulated oracle cannot. A model learns the classes easily, since each has its own colour.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dal_core.data import catalogue
from dal_core.data.base import UNKNOWN, ImageDataset, Loader, Progress, build

NAME, PARTLY = "toy", "toy-partly"
CLASS_NAMES = ("stop", "yield", "go")
NOUN = "sign"
SHAPE = (20, 12, 3)
MEAN, STD = (0.3, 0.3, 0.35), (0.25, 0.25, 0.2)
N_IMAGES = 240

# For runs that take a moment: override(PRESETS["quick"], SETTINGS).
SETTINGS: dict[str, Any] = {
    **{"dataset": NAME, "test_size": None, "train_size": 6, "val_size": 12},
    **{"pool_subset_size": "all", "test_subset_size": "all", "weights": "last"},
    **{"n_epochs": 6, "num_mc_samples": 4, "n_acquisition_steps": 2, "n_samples_to_acquire": 5},
}


def truth() -> np.ndarray:
    """int64 [n]: the class of every image, known to the data set or not."""
    return np.arange(N_IMAGES, dtype=np.int64) % len(CLASS_NAMES)


def dataset(name: str = NAME) -> ImageDataset:
    """One of the two, made once."""
    return _made(name)


@cache
def _made(name: str) -> ImageDataset:
    rng = np.random.default_rng(5)
    images = rng.integers(0, 90, (N_IMAGES, *SHAPE), dtype=np.uint8)
    labels = truth()
    images[np.arange(N_IMAGES), :, :, labels] += np.uint8(120)
    if name == PARTLY:
        labels[rng.random(N_IMAGES) < 0.2] = UNKNOWN
    return build(
        name,
        f"{name} (240 images)",
        images,
        labels,
        class_names=CLASS_NAMES,
        noun=NOUN,
        pixel_mean=MEAN,
        pixel_std=STD,
    )


def loader(name: str) -> Loader:
    """How the catalogue finds one of the two."""

    def find(_data_dir: Path | None) -> Path | None:
        return Path(__file__)

    def load(_data_dir: Path | None) -> ImageDataset:
        return dataset(name)

    def verify(_data_dir: Path | None) -> str:
        return f"{name}: {N_IMAGES} images"

    def fetch(_data_dir: Path | None, _progress: Progress | None) -> Path:
        return Path(__file__)

    return Loader(
        name,
        f"{name} (240 images)",
        needs_download=False,
        find=find,
        load=load,
        verify=verify,
        fetch=fetch,
        test_set="none",
        class_names=CLASS_NAMES,
        noun=NOUN,
        image_shape=SHAPE,
        pixel_mean=MEAN,
        pixel_std=STD,
        protocol_defaults={"val_size": 12, "pool_subset_size": "all", "test_subset_size": "all"},
    )


@contextmanager
def registered() -> Iterator[ImageDataset]:
    """The catalogue knows both while this lasts; yields the one with all labels."""
    for name in (NAME, PARTLY):
        catalogue.register(loader(name))
    try:
        yield dataset()
    finally:
        for name in (NAME, PARTLY):
            catalogue.unregister(name)
