"""What a person points at: a folder or a zip, as a list of files that can be read one by one.

Nothing is ever unpacked to the disk or changed. Links that lead out of a folder, names that lead
out of an archive, and archives that unpack into far more than they hold are refused.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from dal_core.data.base import DataError
from dal_core.limits.files import read_file
from dal_core.limits.refused import Refused
from dal_core.limits.text import visible

MAX_FILES = 1_000_000
MAX_FILE_BYTES = 200_000_000
MAX_NAME = 1000
_UNPACKED_AT_LEAST, _UNPACKED_RATIO = 2_000_000_000, 20
_SKIPPED = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))


@dataclass(frozen=True)
class Entry:
    """A file of a source.

    Attributes:
        name: path within the source, with `/` between folders.
        size: bytes.
        stamp: changes when the file does (time of change, or the archive's checksum).
    """

    name: str
    size: int
    stamp: int


@dataclass
class Listing:
    """The files of a source in order of their names, and (name, reason) of what is no such file."""

    entries: list[Entry] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    _by_name: dict[str, Entry] = field(default_factory=dict, repr=False)

    def add(self, name: str, size: int, stamp: int) -> None:
        """Take a file, or note why not. Raises DataError if there are too many."""
        if len(self.entries) + len(self.refused) >= MAX_FILES:
            raise DataError(f"the source has more than {MAX_FILES:,} files")
        why = _why_not(name, size)
        if why:
            self.refused.append((visible(name)[:MAX_NAME], why))
        else:
            self.entries.append(Entry(name, size, stamp))

    def find(self, name: str) -> Entry | None:
        """The file of that name, or None."""
        if len(self._by_name) != len(self.entries):
            self._by_name = {one.name: one for one in self.entries}
        return self._by_name.get(name)

    def refuse(self, name: str, why: str) -> None:
        """Note a file that is not taken."""
        self.refused.append((visible(name)[:MAX_NAME], why))


class Source(Protocol):
    """A folder or a zip that is open."""

    @property
    def path(self) -> Path: ...
    @property
    def listing(self) -> Listing: ...

    def read(self, entry: Entry) -> bytes:
        """The bytes of a file. Raises Refused if it cannot be read or changed meanwhile."""
        ...


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """The folder or zip at a path.

    Raises:
        DataError: there is neither a folder nor a zip, or it cannot be read.
    """
    try:
        if path.is_dir():
            source: Source = _Folder(path)
            archive = None
        elif path.is_file() and zipfile.is_zipfile(path):
            archive = zipfile.ZipFile(path)
            source = _Zip(path, archive)
        else:
            what = "not a folder or a zip" if path.exists() else "not there"
            raise DataError(f"{path} is {what}; allowed: a folder of pictures, or a zip of them")
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read: {error.strerror}") from None
    with archive or nullcontext():
        yield source


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path, self.listing = path, Listing()
        self._top = path.resolve()
        self._walk(path, "")
        self.listing.entries.sort(key=lambda one: one.name)

    def _walk(self, folder: Path, prefix: str) -> None:
        with os.scandir(folder) as found:
            items = sorted(found, key=lambda item: item.name)
        for item in items:
            name = prefix + item.name
            if item.name.startswith(".") or item.name in _SKIPPED:
                continue
            if item.is_dir(follow_symlinks=False):
                self._walk(Path(item.path), f"{name}/")
            elif item.is_symlink() and not self._stays_inside(Path(item.path)):
                self.listing.refuse(name, "is a link out of the folder, to a folder or to nothing")
            else:
                facts = item.stat()
                if stat.S_ISREG(facts.st_mode):
                    self.listing.add(name, facts.st_size, facts.st_mtime_ns)
                else:
                    self.listing.refuse(name, "is not a file")

    def _stays_inside(self, link: Path) -> bool:
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError):
            return False
        return target.is_file() and target.is_relative_to(self._top)

    def read(self, entry: Entry) -> bytes:
        try:
            content = read_file(self.path / entry.name, MAX_FILE_BYTES)
        except OSError as error:
            raise Refused(f"cannot be read ({error.strerror})") from None
        if len(content) != entry.size:
            raise Refused("changed while it was read")
        return content


class _Zip:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self.listing, self._archive = path, Listing(), archive
        self._members: dict[str, zipfile.ZipInfo] = {}
        members = [one for one in archive.infolist() if not one.is_dir()]
        _check_unpacked(path, members)
        for member in members:
            self._take(member)
        self.listing.entries.sort(key=lambda one: one.name)

    def _take(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        parts = PurePosixPath(name).parts
        if any(part in _SKIPPED or part.startswith(".") for part in parts if part != ".."):
            return
        if why := _why_no_member(member, parts):
            self.listing.refuse(name, why)
        elif name in self._members:
            self.listing.refuse(name, "is in the archive twice; the first one counts")
        else:
            self._members[name] = member
            self.listing.add(name, member.file_size, member.CRC)

    def read(self, entry: Entry) -> bytes:
        member = self._members[entry.name]
        try:
            with self._archive.open(member) as file:
                content = file.read(member.file_size + 1)
        except Exception as error:  # zipfile fails in many ways on a damaged archive
            raise Refused(f"cannot be unpacked ({type(error).__name__})") from None
        if len(content) != member.file_size:
            raise Refused("unpacks into more or less than the archive says")
        return content


def _check_unpacked(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive that would unpack into far more than it holds."""
    total = sum(one.file_size for one in members)
    most = max(_UNPACKED_AT_LEAST, _UNPACKED_RATIO * path.stat().st_size)
    if total > most:
        raise DataError(
            f"{path} unpacks into {total / 1e9:,.1f} GB; allowed: {most / 1e9:,.1f} GB for an "
            "archive of its size"
        )


def _why_no_member(member: zipfile.ZipInfo, parts: tuple[str, ...]) -> str:
    if ".." in parts or member.filename.startswith("/") or "\\" in member.filename:
        return "has a name that leads out of the archive"
    if ":" in parts[0]:
        return "has a name that leads out of the archive"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link"
    if member.flag_bits & 1:
        return "is encrypted"
    return ""


def _why_not(name: str, size: int) -> str:
    if visible(name) != name or len(name) > MAX_NAME:
        return "has a name with control characters, or a very long one"
    if size > MAX_FILE_BYTES:
        return f"is larger than {MAX_FILE_BYTES // 1_000_000} MB"
    if not size:
        return "is empty"
    return ""
