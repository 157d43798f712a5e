"""Writes pictures into a folder for each class (torchvision's ImageFolder): copies or links."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from dal_core.data.base import DataError
from dal_core.data.own.journal import Seen
from dal_core.data.own.sources import Source, open_source
from dal_core.exchange.pictures_out import FileLabel
from dal_core.limits.refused import Refused

_NOT_IN_NAMES = re.compile(r'[\\/:*?"<>|\x00-\x1f]')


def write_folders(
    source: Path, rows: Iterable[FileLabel], seen: Mapping[str, Seen], out: Path, *, link: bool
) -> tuple[int, list[tuple[str, str]]]:
    """Copy or link the pictures; the folder appears only when it is complete.

    Args:
        source: the folder or zip that the pictures came from.
        seen: the files as they were imported, by name.
        out: a folder that does not exist, or is empty.
        link: symbolic links to the originals; for a folder only.

    Returns:
        The number of pictures, and (name, why) of those that were left out.

    Raises:
        DataError: the originals are not there, or the folder cannot be written.
    """
    partial = out.parent / f".{out.name}.{secrets.token_hex(4)}.tmp"
    left_out: list[tuple[str, str]] = []
    n_written = 0
    try:
        with open_source(source) as opened:
            partial.mkdir()
            for row in rows:
                why = _write(opened, seen[row.file_name], row.label, partial, link)
                n_written += not why
                left_out += [(row.file_name, why)] if why else []
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except OSError as error:
        raise DataError(f"{error.filename or out} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return n_written, left_out


def _write(source: Source, seen: Seen, label: str, out: Path, link: bool) -> str:
    """Write one picture; returns why not, or nothing."""
    entry = source.listing.find(seen.file)
    if entry is None:
        return "is not there any more"
    try:
        content = source.read(entry)
    except Refused as error:
        return str(error)
    if hashlib.sha256(content).hexdigest() != seen.sha256:
        return "has changed since it was imported"
    folder = out / folder_name(label)
    folder.mkdir(exist_ok=True)
    path = _free(folder, PurePosixPath(seen.file).name)
    if link:
        path.symlink_to((source.path / seen.file).resolve())
    else:
        path.write_bytes(content)
    return ""


def folder_name(label: str) -> str:
    """A class as the name of a folder: no separators, no leading dot."""
    name = _NOT_IN_NAMES.sub("_", label).strip(" ")
    return f"_{name[1:]}" if name.startswith(".") else name


def _free(folder: Path, name: str) -> Path:
    """A path in the folder that nothing has yet; files of several folders can share a name."""
    path, number = folder / name, 1
    while path.exists() or path.is_symlink():
        number += 1
        path = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return path
