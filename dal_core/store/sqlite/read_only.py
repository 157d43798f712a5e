"""Opening the database of a home that cannot be written, such as one on a read-only disk.

A database in WAL mode usually needs files beside it, even to be read. Where these cannot be made,
SQLite is told that nobody writes, or it reads a copy.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

READ_ONLY: Mapping[str, str] = {"mode": "ro"}
IMMUTABLE: Mapping[str, str] = {"mode": "ro", "immutable": "1"}


def is_writable(path: Path) -> bool:
    """Whether the database file and its folder can be written; a missing file can be made."""
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


def options(path: Path) -> Mapping[str, str] | None:
    """How to open the file for reading where it is; None if it can only be read as a copy."""
    if _beside(path, "-shm").exists():  # another process may be writing
        return READ_ONLY
    wal = _beside(path, "-wal")
    return None if wal.exists() and wal.stat().st_size else IMMUTABLE


def copy(path: Path) -> Path:
    """A copy of the database in a folder of its own; the caller removes the folder."""
    folder = Path(tempfile.mkdtemp(prefix="dal-read-only-"))
    for file in (path, _beside(path, "-wal")):
        if file.exists():
            shutil.copyfile(file, folder / file.name)
    return folder / path.name


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
