"""What became of every file of an import: taken, copies, refused and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dal_core.data.own.classes import Classes
from dal_core.data.own.form import SEEN
from dal_core.data.own.journal import read_seen
from dal_core.data.own.pictures import SUFFIXES
from dal_core.data.own.sources import Entry, Source


@dataclass
class Report:
    """Counts, and the files that were not taken.

    Attributes:
        n_taken, n_known: pictures taken, and how many have a class.
        refused: (name, why) of files that were not taken.
        copies: (name, the file it equals).
        contradictions: files whose exact copies have another class; they are taken without one.
        unused: (name, why) of labels that belong to no file.
        near: pairs of names that look the same; both are taken.
    """

    n_taken: int = 0
    n_known: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    copies: list[tuple[str, str]] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    unused: list[tuple[str, str]] = field(default_factory=list)
    near: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, source: Source, folder: Path, classes: Classes) -> Report:
        """The report of an import whose files have all been seen."""
        seen = list(read_seen(folder / SEEN))
        others = [(one.name, "does not end like a picture's name") for one in _others(source)]
        used = [one for one in others if one[0] != classes.source]
        return cls(
            n_taken=sum(one.is_taken for one in seen),
            refused=[*source.listing.refused, *used]
            + [(one.file, one.why) for one in seen if one.why],
            copies=[(one.file, one.copy_of) for one in seen if one.copy_of],
            unused=list(classes.unused),
        )

    def by_reason(self) -> list[tuple[str, list[str]]]:
        """(why, names) of what was not taken, the most frequent reason first."""
        counts = Counter(why for _, why in self.refused)
        return [
            (why, [name for name, other in self.refused if other == why])
            for why, _ in counts.most_common()
        ]

    def most_common(self) -> str:
        """The most frequent reasons in one line."""
        return "; ".join(f"{len(names)} {why}" for why, names in self.by_reason()[:3])


def _others(source: Source) -> Iterator[Entry]:
    for one in source.listing.entries:
        suffix = PurePosixPath(one.name).suffix.lower()
        if suffix and suffix not in SUFFIXES:
            yield one
