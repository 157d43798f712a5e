"""What every data set is, whatever its source: the record, its fingerprint and its errors.

Owns no file and no source; those live in one module per data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

Progress = Callable[[str, int, int], None]
"""Called with (file name, bytes done, bytes in all or 0 when unknown)."""


class DataError(Exception):
    """A data set cannot be used; the message is one line for a person."""


class DataMissing(DataError):
    """The files are not there."""


class DataCorrupt(DataError):
    """A file is there but not what it should be; the message names it."""


class DownloadFailed(DataError):
    """A download asked for did not arrive whole; nothing on disk was changed."""


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Labelled images, in memory or mapped; an `image_id` is an index into `images` and `labels`.

    Args:
        name: The name a protocol uses.
        title: The name a person reads.
        images: uint8 [n, 28, 28], read-only.
        labels: int64 [n] in 0..n_classes-1, read-only.
        test_ids: int64, the ids of a test set that comes with the data; None where the
            seed's split draws one.
        fingerprint: SHA-256 (hex) of the images' bytes, then the labels' bytes (int64,
            little-endian).
    """

    name: str
    title: str
    images: np.ndarray
    labels: np.ndarray
    test_ids: np.ndarray | None
    fingerprint: str
    n_classes: int = 10

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Loader:
    """How one data set is found, read, checked and downloaded, and what is known before reading.

    Attributes:
        test_set: "own" comes with the data, "drawn" from it by the seed's split, or "none".
        n_classes: C.
    """

    name: str
    title: str
    needs_download: bool
    find: Callable[[Path | None], Path | None]
    load: Callable[[Path | None], ImageDataset]
    verify: Callable[[Path | None], str]
    fetch: Callable[[Path | None, Progress | None], Path]
    test_set: Literal["own", "drawn", "none"]
    n_classes: int


def build(
    name: str,
    title: str,
    images: np.ndarray,
    labels: np.ndarray,
    test_ids: np.ndarray | None = None,
) -> ImageDataset:
    """Seal arrays of a source (uint8 [n, 28, 28] and int64 [n]) into a `ImageDataset`."""
    for array in (images, labels) if test_ids is None else (images, labels, test_ids):
        array.setflags(write=False)
    return ImageDataset(name, title, images, labels, test_ids, fingerprint(images, labels))


def fingerprint(images: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 (hex) of the images' bytes (uint8), then the labels' (int64, little-endian)."""
    digest = hashlib.sha256(np.ascontiguousarray(images, dtype=np.uint8).data)
    digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
    return digest.hexdigest()
