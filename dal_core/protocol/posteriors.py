"""The registry of posteriors: names, texts, and what each reads of a protocol.

A posterior is one file in `dal_core/posterior` with its classes and its `ENTRY`. The entry is a
call of `PosteriorEntry` with plain values, so it is read from the file's text: names can be listed
without importing torch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DEFAULT_POSTERIOR = "mc_dropout"

_FOLDER = Path(__file__).parents[1] / "posterior"
_START, _END = "\nENTRY = PosteriorEntry(", "\n)\n"


@dataclass(frozen=True)
class PosteriorEntry:
    """One posterior.

    Attributes:
        name: identifier in protocols and commands, and the name of its module.
        title: display name.
        hint: what it does, in one plain line.
        sample: what sample t is, in a few words.
        source: the publication that defines it.
        row, rows: what a row of the T x C matrix of an image is called, and several of them.
        origin: where the rows come from, in plain sentences; the last begins with "Each row" and
            has no full stop, since a page goes on with what a cell is.
        samples: the usual number of samples; None for that of the protocol.
        multiple_of: the parameter of which the number of samples must be a multiple, or
            "n_classes"; empty if it may be any.
        parameters: the protocol's parameters that only some posteriors read, this one among them.
        one_sample: all its samples are equal, so that nothing disagrees.
        trains_network: it trains the network that the protocol names.
        per_image: its rows are computed image by image, so that no function can use one sample for
            several images.
        lockstep: it can be trained and sampled for several runs as one batch of models.
    """

    name: str
    title: str
    hint: str
    sample: str
    source: str
    row: str = "prediction"
    rows: str = "predictions"
    origin: str = "Each row below is one prediction"
    samples: int | None = None
    multiple_of: str = ""
    parameters: tuple[str, ...] = ()
    one_sample: bool = False
    trains_network: bool = True
    per_image: bool = False
    lockstep: bool = False


_entries: dict[str, PosteriorEntry] = {}


def register(entry: PosteriorEntry) -> None:
    """Add a posterior to the registry, or the same once more.

    Raises:
        ValueError: another posterior has the name.
    """
    _load()
    if _entries.setdefault(entry.name, entry) != entry:
        raise ValueError(f"posterior {entry.name!r} is already registered")


def unregister(name: str) -> None:
    """Remove a posterior. Raises KeyError if there is none of that name."""
    del _entries[name]


def posteriors() -> tuple[PosteriorEntry, ...]:
    """All posteriors: that of the report first, the others by name."""
    _load()
    by_name = sorted(_entries.values(), key=lambda entry: entry.name)
    return tuple(sorted(by_name, key=lambda entry: entry.name != DEFAULT_POSTERIOR))


def names() -> tuple[str, ...]:
    """The names of all posteriors, in the order of `posteriors`."""
    return tuple(entry.name for entry in posteriors())


def find(name: str) -> PosteriorEntry | None:
    """The posterior of that name, or None (a record may name one that is unknown here)."""
    _load()
    return _entries.get(name)


def get(name: str) -> PosteriorEntry:
    """The posterior of that name. Raises ValueError if it is unknown."""
    found = find(name)
    if found is None:
        raise ValueError(f"posterior {name!r} is unknown; allowed: {', '.join(names())}")
    return found


@cache
def _load() -> None:
    for entry in _written():
        _entries[entry.name] = entry


def _written() -> Iterator[PosteriorEntry]:
    """The entries in the files of the folder."""
    for path in sorted(_FOLDER.glob("*.py")):
        _, _, rest = path.read_text(encoding="utf-8").partition(_START)
        if rest:
            call = ast.parse(f"entry({rest.partition(_END)[0]}\n)", mode="eval").body
            assert isinstance(call, ast.Call)
            yield PosteriorEntry(
                **{str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
            )
