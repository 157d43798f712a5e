"""Types of a data set (images, labels, classes) and of a loader that finds and reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

Progress = Callable[[str, int, int], None]
"""Called with (file name, bytes done, total bytes or 0 when unknown)."""

Drawing = Callable[[np.ndarray], np.ndarray]
"""Turns white ink on black, uint8 [h, w] of any size, into an image like the data set's own."""

TestSet = Literal["own", "drawn", "none"]
"""Whether test images come with the data, are drawn by each seed, or do not exist."""

UNKNOWN = -1
"""The label of an image whose class is unknown."""

DIGITS = tuple("0123456789")
MNIST_MEAN, MNIST_STD = 0.1307, 0.3081  # of MNIST's training pixels scaled to [0, 1]


class DataError(Exception):
    """A data set cannot be used; the message is one line."""


class DataMissing(DataError):
    """The files of a data set are missing."""


class DataCorrupt(DataError):
    """A file is there but its contents are wrong; the message names it."""


class DownloadFailed(DataError):
    """A download did not complete; nothing on disk was changed."""


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Labelled images, in memory or memory-mapped; an image id is an index into both arrays.

    Attributes:
        name: Identifier, the value of a protocol's `dataset`.
        title: Display name.
        images: uint8 [n, H, W] (grey) or [n, H, W, 3] (RGB), read-only.
        labels: int64 [n], read-only: 0..n_classes-1, or UNKNOWN.
        test_ids: int64 ids of the test set that comes with the data. None: the split draws
            `test_size` test images, or there is no test set.
        fingerprint: SHA-256 (hex) of the images' bytes, then the labels' bytes (int64,
            little-endian).
        class_names: One name for each class, in the order of the labels.
        noun: What a person calls a class, such as "digit".
        pixel_mean, pixel_std: For normalising pixels scaled to [0, 1], one value per channel.
        from_drawing: Turns a person's drawing into an image like these; None if drawings make no
            sense for this data set.
    """

    name: str
    title: str
    images: np.ndarray
    labels: np.ndarray
    test_ids: np.ndarray | None
    fingerprint: str
    class_names: tuple[str, ...] = DIGITS
    noun: str = "class"
    pixel_mean: tuple[float, ...] = (MNIST_MEAN,)
    pixel_std: tuple[float, ...] = (MNIST_STD,)
    from_drawing: Drawing | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image: (H, W), or (H, W, 3) for RGB."""
        return self.images.shape[1:]

    @property
    def known(self) -> np.ndarray:
        """bool [n]: whether the image's label is known."""
        return np.asarray(self.labels != UNKNOWN)

    def class_name(self, label: int) -> str:
        """The name of a class; "unknown" for UNKNOWN."""
        return "unknown" if label == UNKNOWN else self.class_names[label]


@dataclass(frozen=True)
class Loader:
    """How to find, read, verify and download a data set, and facts known without reading it.

    Attributes:
        find, load, verify, fetch: The functions behind those of `catalogue`, without the name.
        test_set: Where the test images come from.
        class_names, noun, image_shape, pixel_mean, pixel_std: As in `ImageDataset`.
        protocol_defaults: Protocol parameters whose usual values do not fit this data set.
            Contains `test_size` if the test set is drawn.
    """

    name: str
    title: str
    needs_download: bool
    find: Callable[[Path | None], Path | None]
    load: Callable[[Path | None], ImageDataset]
    verify: Callable[[Path | None], str]
    fetch: Callable[[Path | None, Progress | None], Path]
    test_set: TestSet = "drawn"
    class_names: tuple[str, ...] = DIGITS
    noun: str = "class"
    image_shape: tuple[int, ...] = (28, 28)
    pixel_mean: tuple[float, ...] = (MNIST_MEAN,)
    pixel_std: tuple[float, ...] = (MNIST_STD,)
    protocol_defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def class_name(self, label: int) -> str:
        """The name of a class; "unknown" for UNKNOWN."""
        return "unknown" if label == UNKNOWN else self.class_names[label]


def build(
    name: str,
    title: str,
    images: np.ndarray,
    labels: np.ndarray,
    test_ids: np.ndarray | None = None,
    *,
    class_names: Sequence[str] = DIGITS,
    noun: str = "class",
    pixel_mean: Sequence[float] = (MNIST_MEAN,),
    pixel_std: Sequence[float] = (MNIST_STD,),
    from_drawing: Drawing | None = None,
) -> ImageDataset:
    """Make an `ImageDataset` from arrays, which become read-only.

    Arguments are as in `ImageDataset`. A single value of `pixel_mean` or `pixel_std` applies to
    all channels.

    Raises:
        DataCorrupt: Images or labels have the wrong shape or type, or a label is out of range.
        ValueError: `pixel_mean` or `pixel_std` has neither one value nor one for each channel.
    """
    labels = np.asarray(labels)
    _check(name, images, labels, len(class_names))
    for array in (images, labels) if test_ids is None else (images, labels, test_ids):
        array.setflags(write=False)
    channels = 1 if images.ndim == 3 else images.shape[3]
    return ImageDataset(
        name=name,
        title=title,
        images=images,
        labels=labels,
        test_ids=test_ids,
        fingerprint=fingerprint(images, labels),
        class_names=tuple(class_names),
        noun=noun,
        pixel_mean=_per_channel(pixel_mean, channels),
        pixel_std=_per_channel(pixel_std, channels),
        from_drawing=from_drawing,
    )


def fingerprint(images: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 (hex) of the images' bytes (uint8), then the labels' (int64, little-endian)."""
    digest = hashlib.sha256(np.ascontiguousarray(images, dtype=np.uint8).data)
    digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
    return digest.hexdigest()


def _check(name: str, images: np.ndarray, labels: np.ndarray, n_classes: int) -> None:
    grey_or_rgb = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    if images.dtype != np.uint8 or not grey_or_rgb:
        raise DataCorrupt(
            f"{name}: images are {images.dtype} {list(images.shape)}; "
            "allowed: uint8 [n, height, width] or [n, height, width, 3]"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise DataCorrupt(
            f"{name}: labels are {labels.dtype} {list(labels.shape)}; "
            f"allowed: whole numbers, one for each of the {len(images)} images"
        )
    if len(labels) and not UNKNOWN <= labels.min() <= labels.max() < n_classes:
        wrong = labels.max() if labels.max() >= n_classes else labels.min()
        raise DataCorrupt(
            f"{name}: label {wrong} is out of range; allowed: 0 to {n_classes - 1}, "
            f"or {UNKNOWN} where it is unknown"
        )


def _per_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    given = tuple(float(value) for value in values)
    if len(given) not in (1, channels):
        raise ValueError(f"{len(given)} pixel values are given for {channels} channels")
    return given * channels if len(given) == 1 else given
