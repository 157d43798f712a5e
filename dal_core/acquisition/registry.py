"""Every acquisition function by name, with what people, records and learners must know about it.

A function and its entry live in one module of this folder; every module here is loaded when the
registry is first read, so that nothing else needs to change. Neither torch nor numpy is imported
until a score is computed: the modules of functions import them inside the functions.
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

Needs = Literal["marginal", "joint", "features", "labels", "nothing"]

_MACHINERY = {"__init__", "registry", "top_k", "batch"}  # modules here that hold no function


@dataclass(frozen=True)
class AcquisitionFunction:
    """One acquisition function.

    Attributes:
        name: what protocols, commands and the store call it, such as "bald".
        title: what people call it.
        short_title: the same where there is little room, such as a row of a table.
        hint: one line that says which images it asks for.
        equation: LaTeX; p_{t,n,c} is the probability of class c for image n in pass t, m its mean.
        source: where it is defined.
        record_name: its name in record files.
        bounds: (C classes, T passes) -> the lowest and the highest score.
        needs: what `score` is given. "marginal": the passes' probabilities [T, N, C], each image
            by itself. "nothing": (N, numpy generator). "joint", "features" and "labels" are for
            functions that choose a batch as a whole.
        colour: in every chart, a name of `results.titles.PALETTE`.
        score: higher is asked for first; [N], one number per image.
        takes_eps: `score` has an argument `eps`, the protocol's `entropy_eps`.
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
    score: Callable[..., Any]
    takes_eps: bool = False

    def scorer(self, eps: float = 0.0) -> Callable[[Tensor], Tensor]:
        """`score` of probabilities [T, N, C] alone, with `entropy_eps` filled in.

        Raises:
            ValueError: the function does not score each image from its own passes.
        """
        if self.needs != "marginal":
            raise ValueError(f"acquisition {self.name!r} scores no probabilities: {self.hint}")
        return partial(self.score, eps=eps) if eps and self.takes_eps else self.score


_entries: dict[str, AcquisitionFunction] = {}


def register(entry: AcquisitionFunction) -> None:
    """Make a function known everywhere.

    Raises:
        ValueError: its name, or its name in records, belongs to another function.
    """
    for other in _entries.values():
        if entry.name == other.name or entry.record_name == other.record_name:
            raise ValueError(f"acquisition {entry.name!r} is registered already: {other.name!r}")
    _entries[entry.name] = entry


def unregister(name: str) -> None:
    """Forget a function, such as one that a test registered."""
    del _entries[name]


def functions() -> tuple[AcquisitionFunction, ...]:
    """All functions in the report's order; those that need nothing of a model come last."""
    _load()
    return tuple(sorted(_entries.values(), key=lambda entry: entry.needs == "nothing"))


def names() -> tuple[str, ...]:
    """The names of all functions, in the order of `functions`."""
    return tuple(entry.name for entry in functions())


def find(name: str) -> AcquisitionFunction | None:
    """The function of that name, None where it is not registered (as in a foreign record)."""
    _load()
    return _entries.get(name)


def get(name: str) -> AcquisitionFunction:
    """The function of that name. Raises ValueError, one line, for an unknown one."""
    found = find(name)
    if found is None:
        raise ValueError(f"acquisition {name!r} is unknown; allowed: {', '.join(names())}")
    return found


def scorer(name: str, eps: float = 0.0) -> Callable[[Tensor], Tensor]:
    """The named function of probabilities [T, N, C] alone; see `AcquisitionFunction.scorer`."""
    return get(name).scorer(eps)


@cache
def _load() -> None:
    """Import every module of functions, the report's first: their order is the order shown."""
    found = {path.stem for path in Path(__file__).parent.glob("*.py")} - _MACHINERY
    for module in sorted(found, key=lambda name: (name != "scores", name)):
        import_module(f"{__package__}.{module}")
