"""Reads a file from outside without reading more than it may hold."""

from __future__ import annotations

from pathlib import Path

from dal_core.limits.refused import Refused


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a file, also of one that has no size of its own, such as a pipe.

    Raises:
        Refused: the file holds more than `most` bytes, or its name is not one.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except ValueError:  # a NUL in the name
        raise Refused("it has a name that no file can have") from None
    if len(content) > most:
        raise Refused(f"it is larger than {most // 1_000_000} MB")
    return content
