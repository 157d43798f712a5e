"""Where images come from: every data set by name, found, read, verified and fetched one way.

Nothing is downloaded but by `fetch`, and nothing is kept here between calls. How ids are split
into training, pool and test is the business of `splits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from dal_core.data import mnist, mnist5k
from dal_core.data.base import (
    DataCorrupt,
    DataError,
    DataMissing,
    DownloadFailed,
    ImageDataset,
    Loader,
    Progress,
)

__all__ = [
    "DATASETS",
    "DataCorrupt",
    "DataError",
    "DataMissing",
    "DownloadFailed",
    "ImageDataset",
    "Loader",
    "Progress",
    "fetch",
    "find",
    "load",
    "verify",
]

DATASETS: Mapping[str, Loader] = MappingProxyType(
    {loader.name: loader for loader in (mnist5k.LOADER, mnist.LOADER)}
)


def _loader(name: str) -> Loader:
    try:
        return DATASETS[name]
    except KeyError:
        allowed = ", ".join(DATASETS)
        raise ValueError(f"unknown data set {name!r}: allowed are {allowed}") from None


def load(name: str, data_dir: Path | None = None) -> ImageDataset:
    """Read a data set into memory.

    Args:
        name: A key of `DATASETS`; ValueError otherwise.
        data_dir: The only folder to look in; by default `data/`, then `$DAL_DATA`.

    Raises:
        DataMissing: The files are not there; the message says how to get them.
        DataCorrupt: A file is missing, truncated or not what it should be.
    """
    return _loader(name).load(data_dir)


def find(name: str, data_dir: Path | None = None) -> Path | None:
    """Where the first files of a data set lie (whole or not), None where there are none."""
    return _loader(name).find(data_dir)


def verify(name: str, data_dir: Path | None = None) -> str:
    """Read everything, compare it with what was published, return one line; raises DataError."""
    return _loader(name).verify(data_dir)


def fetch(name: str, data_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """Bring a data set here because somebody asked for it; where it is whole nothing is done.

    Args:
        name: A key of `DATASETS`; ValueError otherwise.
        data_dir: The folder to put it into; by default `data/`.
        progress: Called with (file name, bytes done, bytes in all) while downloading.

    Returns:
        Where the data set lies.

    Raises:
        DownloadFailed: It did not arrive whole; what was on disk before is untouched.
    """
    return _loader(name).fetch(data_dir, progress)
