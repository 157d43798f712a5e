"""Atomic file writes: readers see the old file or the new one, never a part, even after a crash.

This module imports no room, so every room can use it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Replace the content of `path` with `data`; on failure the old content stays.

    The bytes are written to a temporary file in the same folder and synced to the disk. Then the
    file is renamed to `path`. It has the usual permissions of files that the process creates.

    Raises:
        OSError: the folder does not exist, is full or may not be written. `path` is unchanged
            and no temporary file is left.
    """
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Sync the new name to the disk, if the file system can; the content is already there."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
