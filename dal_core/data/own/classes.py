"""Decides the classes of an import, and the class of every file that is labelled already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dal_core.data.base import DataError
from dal_core.data.own.about import clean_classes
from dal_core.data.own.labels_in import (
    MAX_BYTES,
    METADATA,
    Files,
    Given,
    assign,
    read_labels,
)
from dal_core.data.own.sources import Entry, Source
from dal_core.limits.files import read_file
from dal_core.limits.refused import Refused
from dal_core.limits.text import shown


@dataclass(frozen=True)
class Classes:
    """The classes and the labels that are known.

    Attributes:
        names: in the order of the labels.
        labels: number of the class by file name; other files have none.
        unused: (name, reason) of labels that no file could be given.
        source: the file that the labels were read from, within the source; empty if none there.
    """

    names: tuple[str, ...]
    labels: Mapping[str, int]
    unused: list[tuple[str, str]] = field(default_factory=list)
    source: str = ""


def settle_classes(
    source: Source, pictures: list[Entry], names: tuple[str, ...] | None, labels: Path | None
) -> Classes:
    """The classes of the pictures.

    Labels come from the file `labels`, else from `metadata.csv` or `metadata.jsonl` in the source,
    else from folders: below what all pictures share, the name of the first folder.

    Args:
        names: the classes, if given. A folder of another name then has pictures without a label; a
            file with another label is refused.

    Raises:
        DataError: the labels cannot be read, or there are too few or too many classes.
    """
    within = _metadata(source) if labels is None else None
    unused: list[tuple[str, str]] = []
    if labels is not None or within is not None:
        given, what, prefix = _given(source, labels, within)
        found, unused = assign(given, Files((one.name for one in pictures), prefix), what)
        _check_labels(found, given, names, what)
    else:
        what, found = "", _by_folder(pictures)
        found = {file: one for file, one in found.items() if names is None or one in names}
    settled = _names(names if names is not None else sorted(set(found.values())), names is None)
    number = {name: place for place, name in enumerate(settled)}
    numbers = {file: number[label] for file, label in found.items()}
    return Classes(settled, numbers, unused, within.name if within else "")


def read_classes(path: Path) -> tuple[str, ...]:
    """The classes in a text file, one a line. Raises DataError."""
    try:
        text = read_file(path, 1_000_000).decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8") from None
    except Refused as error:
        raise DataError(f"{path}: {error}") from None
    return _names([line.strip() for line in text.splitlines() if line.strip()], False)


def _names(names: tuple[str, ...] | list[str], are_found: bool) -> tuple[str, ...]:
    try:
        return clean_classes(list(names))
    except ValueError as error:
        hint = "; name them with --classes" if are_found else ""
        raise DataError(f"{error}{hint}") from None


def _metadata(source: Source) -> Entry | None:
    """The file of labels in the source that lies highest; None if there is none."""
    found = [e for e in source.listing.entries if PurePosixPath(e.name).name in METADATA]
    return min(found, key=lambda one: (one.name.count("/"), one.name), default=None)


def _given(
    source: Source, labels: Path | None, within: Entry | None
) -> tuple[list[Given], str, str]:
    """(labels, the name of their file, the folder that their paths start from)."""
    try:
        if within is not None:
            name = PurePosixPath(within.name)
            prefix = "" if "/" not in within.name else f"{name.parent}/"
            return read_labels(within.name, source.read(within)), within.name, prefix
        assert labels is not None
        return read_labels(labels.name, read_file(labels, MAX_BYTES)), labels.name, ""
    except OSError as error:
        raise DataError(f"{labels} cannot be read: {error.strerror}") from None
    except Refused as error:
        raise DataError(f"{within.name if within else labels}: {error}") from None


def _check_labels(
    found: Mapping[str, str], given: list[Given], names: tuple[str, ...] | None, what: str
) -> None:
    wrong = next((one for one in given if names and one.label and one.label not in names), None)
    if wrong and names:
        listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise DataError(f"{what}: {wrong.where} has {shown(wrong.label)}; allowed: {listed}")
    if not found and names is None:
        raise DataError(f"{what} has no label of a picture that is there; name the classes")


def _by_folder(pictures: list[Entry]) -> dict[str, str]:
    """The class of each picture by torchvision's ImageFolder layout."""
    parents = {one.name: PurePosixPath(one.name).parts[:-1] for one in pictures}
    shared = _shared(list(parents.values()))
    return {name: parts[shared] for name, parts in parents.items() if len(parts) > shared}


def _shared(paths: list[tuple[str, ...]]) -> int:
    """How many folders all paths begin with."""
    n_shared = 0
    for level in zip(*paths, strict=False):
        if len(set(level)) > 1:
            break
        n_shared += 1
    return n_shared
