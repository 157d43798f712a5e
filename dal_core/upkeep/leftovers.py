"""Temporary files that a killed process left in a home, and their removal."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# `.<name>.<8 digits>.tmp` is how `atomic` names them; earlier versions wrote `.record.yaml.<any>`.
_NAME = re.compile(r"\..+\.[0-9a-f]{8}\.tmp|\.record\.yaml\..+|.+\.safetensors\.tmp")
OLD_SECONDS = 3600.0  # nobody takes that long to write a file


def is_leftover(path: Path) -> bool:
    """Whether the name is that of a temporary file; a process may be writing it now."""
    return _NAME.fullmatch(path.name) is not None


def leftovers(home: Path, now: float | None = None) -> Iterator[Path]:
    """Temporary files that are too old for a process to be writing them."""
    now = time.time() if now is None else now
    for path in sorted([*home.glob(".*"), *home.glob("*/*"), *home.glob("*/*/*")]):
        with suppress(OSError):
            if is_leftover(path) and path.is_file() and now - path.stat().st_mtime > OLD_SECONDS:
                yield path


def remove_leftovers(home: Path) -> int:
    """Remove them; returns how many. A file that cannot be removed stays."""
    n = 0
    for path in list(leftovers(home)):
        with suppress(OSError):
            path.unlink()
            n += 1
    return n
