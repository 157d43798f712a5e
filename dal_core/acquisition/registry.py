"""The registry of acquisition functions: names, texts, bounds and score of each.

To add a function, write it and its `register` call in a new module of this folder. Modules with
functions are imported when the registry is first read. They must import torch and numpy inside
the functions only, so that names can be listed without either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from dal_core.acquisition.batch import Batch, Candidates

Needs = Literal["marginal", "joint", "features", "labels", "nothing"]
Group = Literal["scores", "noise", "joint", "places", "labels", "random"]
_GROUPS: dict[Needs, Group] = {
    "marginal": "scores",
    "joint": "joint",
    "features": "places",
    "labels": "labels",
    "nothing": "random",
}

# Modules without functions:
_MACHINERY = {"__init__", "registry", "top_k", "batch", "coordinates", "greedy"}


@dataclass(frozen=True)
class AcquisitionFunction:
    """One acquisition function.

    Attributes:
        name: identifier in protocols, commands and the store, such as "bald".
        title: display name.
        short_title: display name where space is short, such as in a row of a table.
        hint: which images it asks for, in one line.
        equation: LaTeX; p_{t,n,c} is the probability of class c for image n in pass t, m its mean.
        source: the publication that defines it.
        record_name: its name in record files.
        bounds: (C classes, T passes) -> the lowest and the highest score.
        needs: what it chooses by. "marginal": the passes' probabilities [T, N, C]. "joint":
            consistent samples, in which a pass is one network for all images. "features": where
            the images lie, beside each other and beside the labelled ones. "labels": the labels
            given so far. "nothing": random numbers alone.
        colour: its colour in every chart, a name in `results.titles.PALETTE`.
        score: returns [N], one number per image; the highest are asked for first. Its argument is
            the passes' probabilities, or (N, numpy generator) if it needs nothing. None if only
            `choose` can tell.
        choose: chooses a batch as a whole: (candidates, size) -> ordered batch. None for a
            function that takes the images with the highest scores.
        needs_disagreement: it scores how much samples differ, so that one sample gives all images
            the same score.
        takes_eps: `score` has an argument `eps`, the protocol's `entropy_eps`.
        prefix: the images after a batch in its order are those it would choose next, had the
            batch been asked for. Otherwise `batch.select` chooses batch after batch.
    """

    name: str
    title: str
    short_title: str
    hint: str
    equation: str
    source: str
    record_name: str
    bounds: Callable[[int, int], tuple[float, float]]
    needs: Needs
    colour: str
    score: Callable[..., Any] | None = None
    choose: Callable[[Candidates, int], Batch] | None = None
    needs_disagreement: bool = False
    takes_eps: bool = False
    prefix: bool = True

    @property
    def scores_images(self) -> bool:
        """Whether it scores each image from its own passes and takes the highest scores."""
        return self.needs == "marginal" and self.choose is None

    @property
    def group(self) -> Group:
        """The group under which it is shown: by what it needs."""
        is_drawn = self.needs == "marginal" and self.choose is not None
        return "noise" if is_drawn else _GROUPS[self.needs]

    def scorer(self, eps: float = 0.0) -> Callable[[Tensor], Tensor]:
        """`score` as a function of probabilities [T, N, C] alone, with `eps` filled in.

        Raises:
            ValueError: the function does not score each image from its own passes.
        """
        if not self.scores_images or self.score is None:
            raise ValueError(f"acquisition {self.name!r} does not score probabilities: {self.hint}")
        return partial(self.score, eps=eps) if eps and self.takes_eps else self.score


_entries: dict[str, AcquisitionFunction] = {}


def register(entry: AcquisitionFunction) -> None:
    """Add a function to the registry, and so to the command line, pages and records.

    Raises:
        ValueError: another function has the same name, or the same name in records.
    """
    for other in _entries.values():
        if entry.name == other.name or entry.record_name == other.record_name:
            raise ValueError(f"acquisition {entry.name!r} is already registered: {other.name!r}")
    _entries[entry.name] = entry


def unregister(name: str) -> None:
    """Remove a function. Raises KeyError if there is none of that name."""
    del _entries[name]


def functions() -> tuple[AcquisitionFunction, ...]:
    """All functions in the order of the report; those that do not use the model come last."""
    _load()
    return tuple(sorted(_entries.values(), key=lambda entry: entry.needs == "nothing"))


def names() -> tuple[str, ...]:
    """The names of all functions, in the order of `functions`."""
    return tuple(entry.name for entry in functions())


def find(name: str) -> AcquisitionFunction | None:
    """The function of that name, or None (a record may name functions that are unknown here)."""
    _load()
    return _entries.get(name)


def get(name: str) -> AcquisitionFunction:
    """The function of that name. Raises ValueError if it is unknown."""
    found = find(name)
    if found is None:
        raise ValueError(f"acquisition {name!r} is unknown; allowed: {', '.join(names())}")
    return found


def scorer(name: str, eps: float = 0.0) -> Callable[[Tensor], Tensor]:
    """The named score as a function of probabilities; see `AcquisitionFunction.scorer`."""
    return get(name).scorer(eps)


@cache
def _load() -> None:
    """Import the modules with functions, the report's first; this is also their display order."""
    found = {path.stem for path in Path(__file__).parent.glob("*.py")} - _MACHINERY
    for module in sorted(found, key=lambda name: (name != "scores", name)):
        import_module(f"{__package__}.{module}")
