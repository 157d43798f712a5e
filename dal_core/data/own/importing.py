"""Brings a folder or zip of pictures into a home as a data set, whole or not at all.

The originals are read, never changed. An import that was interrupted goes on where it stopped when
it is asked for again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path, PurePosixPath

import numpy as np

from dal_core.data.base import DataError
from dal_core.data.catalogue import DATASETS
from dal_core.data.own import place
from dal_core.data.own.about import About
from dal_core.data.own.classes import Classes, settle_classes
from dal_core.data.own.finishing import finish
from dal_core.data.own.form import Form
from dal_core.data.own.journal import Journal, Seen
from dal_core.data.own.pictures import (
    SUFFIXES,
    difference_hash,
    is_grey,
    read_picture,
    to_pixels,
    to_thumbnail,
)
from dal_core.data.own.report import Report
from dal_core.data.own.sources import Entry, Source, open_source
from dal_core.limits.refused import Refused

SIZES = (28, 32, 64)
_SAMPLE = 32  # pictures looked at to choose size and channels
_THUMBNAIL_BYTES = 8_000  # of one, about

Watch = Callable[[int, int], None]  # (files seen, files in all)


@dataclass(frozen=True)
class Wanted:
    """What a person asked for.

    Attributes:
        name: of the data set.
        classes: names in the order of the labels; None to take them from the labels.
        labels: a file with labels outside the source; None to look in the source.
        size: pixels of a side, one of `SIZES`; None to choose by the pictures.
        channels: 1 for grey, 3 for colour; None to choose by the pictures.
    """

    name: str
    classes: tuple[str, ...] | None = None
    labels: Path | None = None
    size: int | None = None
    channels: int | None = None


def add(home: Path, path: Path, wanted: Wanted, watch: Watch | None = None) -> tuple[About, Report]:
    """Import the pictures at `path`; returns facts about the data set, and what became of files.

    Raises:
        DataError: the name, the source, its labels or classes cannot be used, or the disk is full.
            The home has no data set of this name then.
    """
    name = place.clean(wanted.name)
    check_free(home, name)
    if path.resolve().is_relative_to(place.folder_of(home, "").resolve()):
        raise DataError(f"{path} is inside the home; allowed: a folder outside it")
    with open_source(path) as source:
        pictures = _pictures(source)
        classes = settle_classes(source, pictures, wanted.classes, wanted.labels)
        try:
            return _import(home, source, pictures, classes, wanted, watch)
        except OSError as error:
            raise DataError(
                f"{name} was not imported: {error.filename or home}: {error.strerror}"
            ) from None


def check_free(home: Path, name: str) -> None:
    """Raise DataError if a data set has this name, also a damaged one."""
    if place.folder_of(home, name).exists():
        raise DataError(f"name is {name!r}, which exists; `dal data remove {name}` removes it")
    if name in DATASETS:
        raise DataError(f"name is {name!r}, which is built in; allowed: another name")


@contextmanager
def committed(home: Path, name: str) -> Iterator[Path]:
    """A folder to import into, which becomes the data set's if the block succeeds.

    Raises:
        DataBusy: another process imports under this name.
        OSError: the folder cannot be made.
    """
    with place.importing(home, name) as folder:
        yield folder
        folder.rename(place.folder_of(home, name))


def _import(
    home: Path,
    source: Source,
    pictures: list[Entry],
    classes: Classes,
    wanted: Wanted,
    watch: Watch | None,
) -> tuple[About, Report]:
    form = _form(source, pictures, wanted)
    with committed(home, wanted.name) as folder:
        _check_space(home, len(pictures), form)
        settings = {"source": str(source.path.resolve()), "size": form.size, "n": form.channels}
        journal = Journal(folder, settings, pictures, form)
        try:
            _read_all(source, pictures, form, journal, watch)
            journal.complete()
        finally:
            journal.close()
        if not journal.n_taken:
            why = Report.of(source, folder, classes).most_common()
            shutil.rmtree(folder)
            raise DataError(f"{source.path} has no picture that can be taken: {why}")
        return finish(folder, source, classes, wanted.name, form)


def _pictures(source: Source) -> list[Entry]:
    """The files that may be pictures by their names. Raises DataError if there are none."""
    found = [one for one in source.listing.entries if _may_be_picture(one.name)]
    if not found:
        raise DataError(
            f"{source.path} has no pictures; allowed: files that end in "
            f"{', '.join(sorted(SUFFIXES))}"
        )
    return found


def _may_be_picture(name: str) -> bool:
    suffix = PurePosixPath(name).suffix.lower()
    return not suffix or suffix in SUFFIXES


def _form(source: Source, pictures: list[Entry], wanted: Wanted) -> Form:
    """Size and channels as asked for, or as some of the pictures suggest."""
    if wanted.size and wanted.channels:
        return Form(wanted.size, wanted.channels)
    sample = list(_sample(source, pictures))
    longest = float(np.median([side for side, _ in sample])) if sample else max(SIZES)
    size = next((size for size in SIZES if size >= longest), SIZES[-1])
    channels = 1 if sample and all(grey for _, grey in sample) else 3
    return Form(wanted.size or size, wanted.channels or channels)


def _sample(source: Source, pictures: list[Entry]) -> Iterator[tuple[int, bool]]:
    """(longer side, whether it is grey) of some pictures, spread over the source."""
    for number in sorted({int(n) for n in np.linspace(0, len(pictures) - 1, _SAMPLE)}):
        try:
            picture = read_picture(source.read(pictures[number]))
        except Refused:
            continue
        yield max(picture.size), is_grey(picture)


def _check_space(home: Path, n_pictures: int, form: Form) -> None:
    needed = n_pictures * (int(np.prod(form.shape)) + _THUMBNAIL_BYTES)
    free = shutil.disk_usage(home).free
    if needed > free:
        raise DataError(
            f"{n_pictures:,} pictures need about {needed / 1e9:.1f} GB in {home}, which has "
            f"{free / 1e9:.1f} GB left"
        )


def _read_all(
    source: Source, pictures: list[Entry], form: Form, journal: Journal, watch: Watch | None
) -> None:
    for entry in pictures[journal.n_seen :]:
        if watch:
            watch(journal.n_seen, len(pictures))
        _read_one(source, entry, form, journal)
    if watch:
        watch(len(pictures), len(pictures))


def _read_one(source: Source, entry: Entry, form: Form, journal: Journal) -> None:
    seen = Seen(entry.name, entry.size, entry.stamp)
    try:
        content = source.read(entry)
        seen = replace(seen, sha256=sha256(content).hexdigest())
        if (first := journal.by_digest.get(seen.sha256)) is not None:
            journal.add(replace(seen, copy_of=first))
            return
        picture = read_picture(content)
    except Refused as error:
        journal.add(replace(seen, why=str(error)))
        return
    thumbnail = to_thumbnail(picture)
    width, height = picture.size
    taken = replace(
        seen,
        width=width,
        height=height,
        thumbnail=len(thumbnail),
        bits=f"{difference_hash(picture):016x}",
    )
    journal.add(taken, to_pixels(picture, form), thumbnail)
