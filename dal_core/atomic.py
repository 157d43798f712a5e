"""The one way files are written: a reader, or a crash, finds the old file or the new one.

It stands below all rooms, so that every room can write through it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to `path`, which keeps what it had if that fails.

    The bytes go to a temporary file in the same folder, are forced to the disk, and then take
    the place of `path`. The new file has the permissions of any file that the process makes.

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
    """Make the new name durable, where the file system can; the file itself is on the disk."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
