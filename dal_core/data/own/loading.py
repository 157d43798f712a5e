"""Finds and reads the data sets that a home keeps, as loaders of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dal_core.data.base import (
    DataCorrupt,
    DataError,
    ImageDataset,
    Loader,
    Progress,
    TestSet,
    build,
)
from dal_core.data.own import place
from dal_core.data.own.about import ABOUT, About, read_about
from dal_core.data.own.form import IMAGES, LABELS
from dal_core.limits.npy import map_array
from dal_core.limits.refused import Refused

_ENOUGH = 10  # images of each class, to draw test images and a balanced initial set


def names(home: Path) -> Iterator[str]:
    """The data sets of a home in alphabetical order, damaged ones too."""
    folder = home / place.FOLDER
    try:
        found = sorted(item.name for item in folder.iterdir())
    except OSError:
        return
    yield from (name for name in found if place.is_name(name) and (folder / name).is_dir())


def find_loader(home: Path, name: str) -> Loader | None:
    """The loader of a data set; None if the home has none of this name.

    Raises:
        DataCorrupt: it is there but damaged.
    """
    folder = place.folder_of(home, name)
    if not place.is_name(name) or not folder.is_dir():
        return None
    try:
        facts = (folder / ABOUT).stat()
    except OSError as error:
        raise DataCorrupt(f"{folder / ABOUT} cannot be read: {error.strerror}") from None
    return _loader(folder, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=256)
def _loader(folder: Path, _changed: int, _size: int) -> Loader:
    """The loader, read again when its file changes."""
    about = read_about(folder)

    def load(_data_dir: Path | None = None) -> ImageDataset:
        return _load(folder, about)

    def verify(_data_dir: Path | None = None) -> str:
        dataset = load()
        return f"{about.name}: {len(dataset):,} images in {folder}, SHA-256 {dataset.fingerprint}"

    def fetch(_data_dir: Path | None = None, _progress: Progress | None = None) -> Path:
        return folder

    return Loader(
        about.name,
        about.title,
        needs_download=False,
        find=lambda _data_dir: folder if folder.is_dir() else None,
        load=load,
        verify=verify,
        fetch=fetch,
        test_set=_test_set(about),
        class_names=about.class_names,
        image_shape=about.image_shape,
        pixel_mean=about.pixel_mean,
        pixel_std=about.pixel_std,
        protocol_defaults=protocol_defaults(about),
    )


def protocol_defaults(about: About) -> dict[str, Any]:
    """The sizes of split and subsets that fit the data set."""
    sizes: dict[str, Any] = {}
    # Beyond 10,000 images, the report's subset sizes are kept.
    if about.n_images - about.n_test <= 10_000:
        sizes |= {"pool_subset_size": "all", "test_subset_size": "all"}
    if not about.labels_known or about.rarest < _ENOUGH:
        # No balanced set can be drawn. What is labelled already is learnt from the start.
        initial = "empty" if about.labels_known else "known"
        return sizes | {"initial_set": initial, "train_size": 0, "val_size": 0, "weights": "last"}
    sizes["val_size"] = max(1, min(1000, about.n_known // 10))
    if not about.n_test:
        sizes["test_size"] = max(1, min(1000, about.n_known // 5))
    return sizes


def _test_set(about: About) -> TestSet:
    """Test images are drawn only where every label is known, and there are enough of each class."""
    if about.n_test:
        return "own"
    return "drawn" if about.labels_known and about.rarest >= _ENOUGH else "none"


def _load(folder: Path, about: About) -> ImageDataset:
    try:
        images = np.asarray(map_array(folder / IMAGES))
        labels = np.array(map_array(folder / LABELS))
    except (OSError, Refused) as error:
        raise DataCorrupt(f"{folder}: the images cannot be read: {error}") from None
    test_ids = np.arange(len(labels) - about.n_test, len(labels)) if about.n_test else None
    dataset = build(
        about.name,
        about.title,
        images,
        labels,
        test_ids,
        class_names=about.class_names,
        pixel_mean=about.pixel_mean,
        pixel_std=about.pixel_std,
    )
    if dataset.fingerprint != about.fingerprint:
        raise DataCorrupt(
            f"{folder}: the pixels or labels changed since they were imported, SHA-256 "
            f"{dataset.fingerprint[:12]} instead of {about.fingerprint[:12]}"
        )
    return dataset


def readable(home: Path) -> Iterator[Loader]:
    """The loaders of the data sets that are not damaged."""
    for name in names(home):
        try:
            loader = find_loader(home, name)
        except DataError:
            continue
        if loader is not None:
            yield loader
