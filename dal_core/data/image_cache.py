"""Images in one file that every process maps, so that the machine holds them once.

Otherwise each process would hold 55 MB of MNIST and import torchvision to read it (0.1 GB, two
seconds). The file is a cache: it is made again when it is missing, stale or damaged, and safe to
delete.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dal_core.data.base import fingerprint


def cache_dir() -> Path:
    """`dal` in `$XDG_CACHE_HOME`, else in `~/.cache`. Raises RuntimeError without a home."""
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "dal"


def mapped_images(
    name: str, sources: Sequence[Path], labels: np.ndarray, read: Callable[[], np.ndarray]
) -> np.ndarray:
    """Read-only images (uint8): memory-mapped where a cache can be kept, else in memory.

    Args:
        name: of the data set.
        sources: the files that images and labels are read from, all in one folder; the cache is
            made again when one changes.
        labels: int64 [n]; part of the fingerprint that the cache is checked by.
        read: reads the images from the sources.
    """
    try:
        folder = cache_dir()
    except RuntimeError:
        return read()
    place = f"{name}-{_digest(str(sources[0].parent.resolve()))}"
    stem = f"{place}-{_digest(*(_stamp(source) for source in sources))}"
    for path in folder.glob(f"{stem}-*.npy"):
        images = _map(path, labels)
        if images is not None:
            return images
    images = read()
    path = folder / f"{stem}-{fingerprint(images, labels)}.npy"
    with contextlib.suppress(OSError):  # read-only or full: images stay in memory
        _write(path, images)
        for old in set(folder.glob(f"{place}-*.npy")) - {path}:
            old.unlink(missing_ok=True)
    mapped = _map(path, labels)
    return images if mapped is None else mapped


def _map(path: Path, labels: np.ndarray) -> np.ndarray | None:
    """The file's images if they match the fingerprint that its name ends in, else None."""
    try:
        images = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError):
        return None
    whole = images.dtype == np.uint8 and fingerprint(images, labels) == path.stem.split("-")[-1]
    return images if whole else None


def _write(path: Path, images: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, images, allow_pickle=False)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _stamp(path: Path) -> str:
    facts = path.stat()
    return f"{path.name} {facts.st_size} {facts.st_mtime_ns}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
