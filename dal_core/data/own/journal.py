"""The unfinished part of an import: pixels, thumbnails and one line for each file that was seen.

A line is written after the pixels it speaks of, so what is there after a kill can be continued. All
files lie in one folder, which becomes the data set's when the import is complete.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dal_core.data.own.form import IMAGES, SEEN, SETTINGS, THUMBNAILS, Form
from dal_core.data.own.sources import Entry
from dal_core.limits.json_text import read_json
from dal_core.limits.refused import Refused

HEADER_BYTES = 128  # of images.npy, written when the number of images is known
_SYNC_SECONDS = 2.0


@dataclass(frozen=True)
class Seen:
    """What became of one file.

    Attributes:
        file, size, stamp: as in `sources.Entry`.
        sha256: of the file's bytes; empty if they could not be read.
        why: why it was not taken; empty if it was.
        copy_of: for an exact copy, the file that was taken.
        width, height: of the upright picture as it was decoded.
        thumbnail: bytes of its thumbnail.
        bits: its difference hash, in hex.
    """

    file: str
    size: int
    stamp: int
    sha256: str = ""
    why: str = ""
    copy_of: str = ""
    width: int = 0
    height: int = 0
    thumbnail: int = 0
    bits: str = ""

    @property
    def is_taken(self) -> bool:
        """Whether the file became an image of the data set."""
        return not self.why and not self.copy_of

    def matches(self, entry: Entry) -> bool:
        """Whether the file is still the one that was seen."""
        return (self.file, self.size, self.stamp) == (entry.name, entry.size, entry.stamp)


class Journal:
    """Appends to the files of an import, after what an earlier attempt has left there.

    Args:
        folder: the folder of the import.
        settings: what was asked for; other settings begin anew.
        entries: the files to see, in order. What is kept of an earlier attempt is the longest
            beginning that is still the same.
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any], entries: list[Entry], form: Form
    ) -> None:
        self.folder, self._form = folder, form
        kept = list(_kept(folder, settings, entries, form))
        self.n_seen, self.n_taken = len(kept), sum(one.is_taken for one in kept)
        self.by_digest = {one.sha256: one.file for one in kept if one.is_taken}
        self._restore(settings, kept)
        self._synced = time.monotonic()

    def _restore(self, settings: dict[str, Any], kept: list[Seen]) -> None:
        (self.folder / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")
        n_bytes = HEADER_BYTES + self.n_taken * int(np.prod(self._form.shape))
        self._images = _open_at(self.folder / IMAGES, n_bytes)
        self._thumbnails = _open_at(self.folder / THUMBNAILS, sum(o.thumbnail for o in kept))
        lines = "".join(_line(one) for one in kept).encode()
        (self.folder / SEEN).write_bytes(lines)
        self._seen = (self.folder / SEEN).open("ab")

    def add(self, seen: Seen, pixels: np.ndarray | None = None, thumbnail: bytes = b"") -> None:
        """Append a file, with its pixels and thumbnail if it was taken."""
        if pixels is not None:
            self._images.write(np.ascontiguousarray(pixels).data)
            self._thumbnails.write(thumbnail)
            self.by_digest[seen.sha256] = seen.file
            self.n_taken += 1
        self._seen.write(_line(seen).encode())
        self.n_seen += 1
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Everything so far is on the disk, pixels before the lines that speak of them."""
        for file in (self._images, self._thumbnails, self._seen):
            file.flush()
            os.fsync(file.fileno())
        self._synced = time.monotonic()

    def complete(self) -> None:
        """Write the header of the images, so that the file is a whole array."""
        self._images.seek(0)
        self._images.write(_header((self.n_taken, *self._form.shape)))
        self.sync()

    def close(self) -> None:
        """Close the files; what was added stays."""
        self.sync()
        for file in (self._images, self._thumbnails, self._seen):
            file.close()


def read_seen(path: Path) -> Iterator[Seen]:
    """The lines of a journal, up to the first that is cut off or damaged."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if not line.endswith("\n"):
                return
            try:
                yield Seen(**read_json(line))
            except (Refused, TypeError):
                return


def _kept(
    folder: Path, settings: dict[str, Any], entries: list[Entry], form: Form
) -> Iterator[Seen]:
    """What an earlier attempt has seen and stored, as far as it holds today."""
    try:
        if read_json((folder / SETTINGS).read_text(encoding="utf-8")) != settings:
            return
        n_bytes = (folder / IMAGES).stat().st_size - HEADER_BYTES
        thumbnail_bytes = (folder / THUMBNAILS).stat().st_size
    except (OSError, Refused):
        return
    for seen, entry in zip(read_seen(folder / SEEN), entries, strict=False):
        if seen.is_taken:
            n_bytes -= int(np.prod(form.shape))
            thumbnail_bytes -= seen.thumbnail
        if not seen.matches(entry) or min(n_bytes, thumbnail_bytes) < 0:
            return
        yield seen


def _open_at(path: Path, size: int) -> BinaryIO:
    """The file cut to `size` bytes, to be written from there on."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    file = os.fdopen(descriptor, "r+b")
    file.truncate(size)
    file.seek(size)
    return file


def _line(seen: Seen) -> str:
    facts = {name: value for name, value in asdict(seen).items() if value or name == "stamp"}
    return json.dumps({"size": 0, **facts}) + "\n"


def _header(shape: tuple[int, ...]) -> bytes:
    """The header of an npy file (version 1.0) of uint8, filled up to `HEADER_BYTES`."""
    facts = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape!r}, }}"
    start = b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little")
    return start + facts.encode().ljust(HEADER_BYTES - 11) + b"\n"
