"""Brings in IDX files with MNIST's layout: Fashion-MNIST, KMNIST, EMNIST, USPS and the like.

The files are recognised by their names, with `.gz` or without: images and labels, for training and
for testing. EMNIST stores its pictures transposed and begins some of its labels at 1.
"""

from __future__ import annotations

import gzip
import re
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from dal_core.data.base import DataError, fingerprint
from dal_core.data.own import place
from dal_core.data.own.about import About, clean_classes, write_about
from dal_core.data.own.finishing import pixel_statistics, save
from dal_core.data.own.form import IMAGES, LABELS
from dal_core.data.own.importing import check_free, committed

MAX_BYTES = 1_000_000_000  # of one file, unpacked
_DIMENSIONS = {"images": 3, "labels": 1}
_NAME = re.compile(
    r"(?:^|[-_.])(train|t10k|test)[-_.](images|labels)[-_.]idx([31])[-_.]ubyte(\.gz)?$"
)
_LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def add_idx(
    home: Path,
    folder: Path,
    name: str,
    classes: tuple[str, ...] | None = None,
    transposed: bool | None = None,
) -> About:
    """Import the IDX files of a folder; ids begin with the training file, test images follow.

    Args:
        classes: names in the order of the labels; None for numbers, and letters for 26 classes.
        transposed: whether rows and columns are exchanged; None: if the files are EMNIST's.

    Raises:
        DataError: a file is missing or damaged, or the name or classes cannot be used.
    """
    check_free(home, place.clean(name))
    files = _find(folder)
    parts = [part for part in ("train", "test") if (part, "images") in files]
    images = [_read(files[part, "images"], "images") for part in parts]
    labels = [_read(files[part, "labels"], "labels") for part in parts]
    _check(files, images, labels)
    is_emnist = files["train", "images"].name.startswith("emnist")
    pixels = np.concatenate(images)
    if is_emnist if transposed is None else transposed:
        pixels = np.ascontiguousarray(pixels.transpose(0, 2, 1))
    numbers = np.concatenate(labels).astype(np.int64)
    first = int(numbers.min() == 1)  # EMNIST's letters begin at 1
    numbers -= first
    names = _classes(classes, int(numbers.max()) + 1, first)
    n_test = len(labels[1]) if len(labels) > 1 else 0
    about = _about(name, names, pixels, numbers, n_test, folder)
    try:
        with committed(home, name) as partial:
            save(partial / IMAGES, pixels)
            save(partial / LABELS, numbers)
            write_about(partial, about)
    except OSError as error:
        where = error.filename or home
        raise DataError(f"{name} was not imported: {where}: {error.strerror}") from None
    return about


def _find(folder: Path) -> dict[tuple[str, str], Path]:
    """The files by part (train, test) and kind (images, labels)."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; allowed: a folder with IDX files")
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.iterdir()):
        if (match := _NAME.search(path.name)) and path.is_file():
            key = "test" if match[1] in ("t10k", "test") else "train", match[2]
            found.setdefault(key, path)  # a plain file comes before its .gz
    needed = [("train", "images"), ("train", "labels")]
    if any(part == "test" for part, _ in found):
        needed += [("test", "images"), ("test", "labels")]
    missing = next((key for key in needed if key not in found), None)
    if missing:
        part, kind = missing
        raise DataError(
            f"{folder} has no {part} {kind}; allowed: {part}-{kind}-idx{_DIMENSIONS[kind]}-ubyte, "
            "also with .gz, and with a name before it"
        )
    return found


def _read(path: Path, kind: str) -> np.ndarray:
    """uint8 [n, H, W] images or [n] labels. Raises DataError."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _array(path, cast(BinaryIO, file), _DIMENSIONS[kind])
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _array(path: Path, file: BinaryIO, n_dimensions: int) -> np.ndarray:
    """The array of an IDX file: a magic number, the sizes (big-endian), then bytes."""
    header = file.read(4 * (1 + n_dimensions))
    magic = 0x0800 + n_dimensions
    if len(header) < 4 * (1 + n_dimensions) or int.from_bytes(header[:4], "big") != magic:
        raise DataError(f"{path} is no IDX file of bytes with {n_dimensions} dimensions")
    shape = [int(size) for size in np.frombuffer(header, ">u4", offset=4)]
    n_bytes = 1
    for size in shape:
        n_bytes *= size
    if not 0 < n_bytes <= MAX_BYTES:
        raise DataError(f"{path} says it has {n_bytes:,} bytes; allowed: 1 to {MAX_BYTES:,}")
    content = file.read(n_bytes + 1)
    if len(content) != n_bytes:
        what = "cut off" if len(content) < n_bytes else "longer than it says"
        raise DataError(f"{path} is {what}: its header says {n_bytes:,} bytes")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _check(
    files: dict[tuple[str, str], Path], images: list[np.ndarray], labels: list[np.ndarray]
) -> None:
    for part, pictures, numbers in zip(("train", "test"), images, labels, strict=False):
        if len(pictures) != len(numbers):
            path = files[part, "labels"]
            raise DataError(f"{path} has {len(numbers):,} labels for {len(pictures):,} images")
    shapes = {one.shape[1:] for one in images}
    if len(shapes) > 1:
        raise DataError(f"{files['test', 'images']} has images of another size than for training")


def _classes(given: tuple[str, ...] | None, n: int, first: int) -> tuple[str, ...]:
    default = _LETTERS if n == len(_LETTERS) else tuple(str(k + first) for k in range(n))
    try:
        names = clean_classes(list(given or default))
    except ValueError as error:
        raise DataError(str(error)) from None
    if len(names) < n:
        raise DataError(f"{len(names)} classes are named, and the labels are of {n}")
    return names


def _about(
    name: str,
    names: tuple[str, ...],
    images: np.ndarray,
    labels: np.ndarray,
    n_test: int,
    folder: Path,
) -> About:
    mean, std = pixel_statistics(images)
    n_training = len(labels) - n_test
    counts = np.bincount(labels[:n_training], minlength=len(names))
    return About(
        name=name,
        kind="idx",
        class_names=names,
        image_shape=images.shape[1:],
        n_images=len(labels),
        n_known=len(labels),
        n_test=n_test,
        rarest=int(counts.min()),
        pixel_mean=mean,
        pixel_std=std,
        fingerprint=fingerprint(images, labels),
        source=str(folder.resolve()),
        added_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
