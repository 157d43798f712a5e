"""A cache of images in a memory-mapped file, so that all processes share one copy.

Without it, each process would hold 55 MB of MNIST and import torchvision to read it (0.1 GB, two
seconds). The file is written again if it is missing, stale or damaged. It is safe to delete.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dal_core.atomic import write_atomically
from dal_core.data.base import fingerprint
from dal_core.limits.npy import map_array
from dal_core.limits.refused import Refused

FORMAT = "2"  # of the file's name; files of another are stale


def cache_dir() -> Path:
    """`dal` in `$XDG_CACHE_HOME`, else in `~/.cache`. Raises RuntimeError without a home."""
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "dal"


def mapped_images(
    name: str, sources: Sequence[Path], labels: np.ndarray, read: Callable[[], np.ndarray]
) -> np.ndarray:
    """The images (uint8), read-only: memory-mapped if a cache can be written, else in memory.

    Args:
        name: name of the data set.
        sources: the files that images and labels are read from, all in one folder. The cache is
            written again if one of them changes.
        labels: int64 [n], part of the fingerprint that is checked.
        read: reads the images from the sources.
    """
    try:
        folder = cache_dir()
    except RuntimeError:
        return read()
    place = f"{name}-{_digest(str(sources[0].parent.resolve()))}"
    stem = f"{place}-{_digest(FORMAT, *(_stamp(source) for source in sources))}"
    for path in folder.glob(f"{stem}-*.npy"):
        images = _map(path, labels)
        if images is not None:
            return images
        warnings.warn(f"the image cache {path} is damaged; it is written again", stacklevel=2)
    images = read()
    path = folder / f"{stem}-{_content(images, labels)}.npy"
    with contextlib.suppress(OSError):  # folder read-only or full: images stay in memory
        _write(path, images)
        for old in set(folder.glob(f"{place}-*.npy")) - {path}:
            old.unlink(missing_ok=True)
    mapped = _map(path, labels)
    return images if mapped is None else mapped


def _map(path: Path, labels: np.ndarray) -> np.ndarray | None:
    """The file's images if they are those that its name ends in, else None."""
    try:
        images = np.asarray(map_array(path))
    except (OSError, Refused):
        return None
    is_intact = images.dtype == np.uint8 and path.stem.endswith(f"-{_content(images, labels)}")
    return images if is_intact else None


def _content(images: np.ndarray, labels: np.ndarray) -> str:
    """Shape and fingerprint: the fingerprint alone says nothing of the shape."""
    return f"{'x'.join(map(str, images.shape))}-{fingerprint(images, labels)}"


def _write(path: Path, images: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    np.save(file, images, allow_pickle=False)
    write_atomically(path, file.getbuffer())


def _stamp(path: Path) -> str:
    facts = path.stat()
    return f"{path.name} {facts.st_size} {facts.st_mtime_ns}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
