"""All of MNIST: 60,000 training and 10,000 test images, read by torchvision.

Ids 0..59,999 are the training file, 60,000..69,999 the test file. Downloading is in
`mnist_download`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dal_core.data.base import (
    DIGITS,
    DataCorrupt,
    DataMissing,
    ImageDataset,
    Loader,
    Progress,
    build,
)
from dal_core.data.image_cache import mapped_images
from dal_core.data.mnist_drawing import as_mnist
from dal_core.data.torchvision_ops import import_torchvision
from dal_core.limits.paths import given_path
from dal_core.limits.refused import Refused

NAME = "mnist"
TITLE = "MNIST (70,000 images)"
SIDE = 28

STEMS = ("train", "t10k")
FILES = tuple(
    f"{stem}-{kind}" for stem in STEMS for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
)
MAX_ITEMS = 1_000_000  # MNIST has 60,000
RAW = Path("MNIST") / "raw"  # torchvision's layout below its root

FINGERPRINT = "b3fe36794a3a345d09632e9d79f122d61ca91a07e5a22f8536973655bacf2a78"
"""`base.fingerprint` of the four published files."""


def default_dir() -> Path:
    """`data/` of the working tree this package runs from, else of the current folder."""
    tree = Path(__file__).resolve().parents[2]
    return (tree if (tree / "pyproject.toml").is_file() else Path.cwd()) / "data"


def roots(data_dir: Path | None) -> list[Path]:
    """The folders to look in, in order: the one given, or `data/` and `$DAL_DATA`.

    Raises:
        DataMissing: `$DAL_DATA` is blank, or names the home of a user who does not exist.
    """
    if data_dir is not None:
        return [Path(data_dir)]
    other = os.environ.get("DAL_DATA")
    try:
        return [default_dir(), *([given_path(other, "DAL_DATA")] if other else [])]
    except Refused as error:
        raise DataMissing(str(error)) from None


def find(data_dir: Path | None = None) -> Path | None:
    """The first root that holds any file of MNIST, or None.

    A root with only some of the files counts too, so that `load` reports it as incomplete instead
    of silently using another folder.
    """
    for root in roots(data_dir):
        if any((root / RAW / name).is_file() for name in FILES):
            return root
    return None


def load(data_dir: Path | None = None) -> ImageDataset:
    """Read the four files.

    The images are memory-mapped, so that all processes share one copy (`image_cache`).

    Raises:
        DataMissing: the files are not there.
        DataCorrupt: a file is damaged, or these are other data under the names of MNIST's files.
    """
    root = _root(data_dir)
    sources = [path for stem in STEMS for path in _files(root, stem)]
    dataset = _build(
        root, lambda labels: mapped_images(NAME, sources, labels, lambda: _images(root))
    )
    _check_published(root, dataset)
    return dataset


def _check_published(root: Path, dataset: ImageDataset) -> None:
    """Refuse other data: runs, experiments and records would call them MNIST."""
    if dataset.fingerprint != FINGERPRINT:
        raise DataCorrupt(
            f"{root}: readable but not the published MNIST, SHA-256 {dataset.fingerprint} "
            f"instead of {FINGERPRINT}; `dal data fetch mnist` gets the published files, and other "
            "images need a data set of their own (CONTRIBUTING.md)"
        )


def _root(data_dir: Path | None) -> Path:
    """The folder with the files, after checking their headers and sizes."""
    root = find(data_dir)
    if root is None:
        places = " and ".join(str(place) for place in roots(data_dir))
        raise DataMissing(
            f"MNIST is not in {places}: run `dal data fetch mnist`, or set DAL_DATA to a folder "
            f"that holds {RAW}/{FILES[0]}"
        )
    for stem in STEMS:
        _check_part(root, stem)
    return root


def _build(root: Path, images: Callable[[np.ndarray], np.ndarray]) -> ImageDataset:
    """The data set from checked files; `images` returns the images, given the labels."""
    parts = [_labels(root, stem) for stem in STEMS]
    labels = np.concatenate(parts)
    test_ids = np.arange(len(parts[0]), len(labels), dtype=np.int64)
    return build(NAME, TITLE, images(labels), labels, test_ids, noun="digit", from_drawing=as_mnist)


def _files(root: Path, stem: str) -> tuple[Path, Path]:
    """The image file and the label file of one part."""
    raw = root / RAW
    return raw / f"{stem}-images-idx3-ubyte", raw / f"{stem}-labels-idx1-ubyte"


def _images(root: Path) -> np.ndarray:
    """uint8 [n, 28, 28] images of both parts, from checked files."""
    torchvision = import_torchvision()
    parts = [
        torchvision.datasets.MNIST(root=root, train=stem == "train", download=False).data.numpy()
        for stem in STEMS
    ]
    return np.concatenate(parts)


def _labels(root: Path, stem: str) -> np.ndarray:
    """int64 [n] labels of one part: one byte each, after a header of eight bytes."""
    _, path = _files(root, stem)
    labels = np.fromfile(path, np.uint8, offset=8).astype(np.int64)
    if labels.max() >= len(DIGITS):
        raise DataCorrupt(f"{path}: label {labels.max()} is out of range; allowed: 0 to 9")
    return labels


def _check_part(root: Path, stem: str) -> None:
    image_file, label_file = _files(root, stem)
    n_images = _check(image_file, magic=2051, item_shape=(SIDE, SIDE))
    n_labels = _check(label_file, magic=2049, item_shape=())
    if n_images != n_labels:
        raise DataCorrupt(f"{label_file}: {n_labels} labels for {n_images} images")


def _check(path: Path, magic: int, item_shape: tuple[int, ...]) -> int:
    """The number of items in an IDX file whose header and size agree; raises DataCorrupt.

    The header holds big-endian 32-bit numbers: magic, number of items, shape of one item. On a
    truncated file torchvision's reader would fail with an AssertionError or in a reshape.
    """
    if not path.is_file():
        raise DataCorrupt(f"{path}: is missing, although other files of MNIST are there")
    n_bytes = 4 * (2 + len(item_shape))
    try:
        with path.open("rb") as file:
            start = file.read(n_bytes)
    except OSError as error:
        raise DataCorrupt(f"{path}: cannot be read ({error.strerror})") from error
    if len(start) < n_bytes:
        raise DataCorrupt(f"{path}: truncated inside its header")
    found, n_items, *shape = np.frombuffer(start, dtype=">u4").tolist()
    if found != magic:
        raise DataCorrupt(f"{path}: wrong magic number, {found} instead of {magic}")
    if tuple(shape) != item_shape:
        raise DataCorrupt(f"{path}: images of {shape}, not {list(item_shape)}")
    if n_items > MAX_ITEMS:
        raise DataCorrupt(f"{path}: {n_items} items; allowed: at most {MAX_ITEMS}")
    expected = n_bytes + n_items * int(np.prod(item_shape))
    size = path.stat().st_size
    if n_items == 0 or size != expected:
        what = "truncated" if size < expected else "wrong size"
        raise DataCorrupt(f"{path}: {what}, {size} bytes instead of {expected} for {n_items} items")
    return n_items


def verify(data_dir: Path | None = None) -> str:
    """Read everything and compare it with the published files. Raises DataError."""
    root = _root(data_dir)
    dataset = _build(root, lambda _: _images(root))  # the files, not the cache
    _check_published(root, dataset)
    return f"{NAME}: {len(dataset):,} images in {root}, as published, SHA-256 {FINGERPRINT}"


def fetch(data_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """Download MNIST into `data_dir` (or `data/`) unless it is complete; returns its folder.

    Files that differ from the published ones are replaced once the new ones are complete. Raises
    DownloadFailed.
    """
    from dal_core.data.mnist_download import download

    root = find(data_dir)
    if root is not None and _is_published(root):
        return root
    target = Path(data_dir) if data_dir is not None else default_dir()
    download(target, check=verify, progress=progress)
    return target


def _is_published(root: Path) -> bool:
    try:
        verify(root)
    except DataCorrupt:
        return False
    return True


LOADER = Loader(
    NAME,
    TITLE,
    needs_download=True,
    find=find,
    load=load,
    verify=verify,
    fetch=fetch,
    test_set="own",
    noun="digit",
)
