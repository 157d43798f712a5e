"""The classes of a data set in charts: their names, colours and axis."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import altair as alt

from dal_core.figures.axes import axis

# Vega's tableau10. Not everyone can tell ten colours apart, so charts show the names too.
_TABLEAU = (
    *("#4c78a8", "#f58518", "#e45756", "#72b7b2", "#54a24b"),
    *("#eeca3b", "#b279a2", "#ff9da6", "#9d755d", "#bab0ac"),
)
_SHORT = 3  # longest name that fits under an axis without turning


class Dataset(Protocol):
    """The part of a data set that charts need to name its classes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""

    @property
    def noun(self) -> str:
        """Word for a class, such as "digit"."""


@dataclass(frozen=True)
class Classes:
    """Names of the classes by label, and the word for a class (such as "digit")."""

    names: tuple[str, ...]
    noun: str = "class"

    @classmethod
    def of(cls, dataset: Dataset) -> Classes:
        """The classes of a data set."""
        return cls(tuple(dataset.class_names), dataset.noun)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def title(self) -> str:
        """The noun with a capital letter, for a tooltip."""
        return self.noun[:1].upper() + self.noun[1:]

    def named(self, labels: Iterable[int]) -> list[str]:
        """The name of each label; "unknown" for a label outside the classes."""
        return [self.names[n] if 0 <= n < len(self) else "unknown" for n in labels]

    def colours(self) -> list[str]:
        """One colour per class: tableau10, or evenly spaced hues for more than ten classes."""
        if len(self) <= len(_TABLEAU):
            return list(_TABLEAU[: len(self)])
        return [_hue(number, len(self)) for number in range(len(self))]

    def axis(self, channel: Any, field: str, title: str | None, **options: Any) -> Any:
        """A categorical axis of the classes, in the order of the labels.

        Args:
            channel: `alt.X` or `alt.Y`.
        """
        is_short = max(map(len, self.names), default=0) <= _SHORT
        if channel is alt.X:
            options = {"labelAngle": 0 if is_short else -40, **options}
        return channel(f"{field}:O", title=title, sort=list(self.names), axis=axis(**options))


def _hue(number: int, n_colours: int) -> str:
    """Evenly spaced hues; neighbours differ in lightness too."""
    lightness = (0.42, 0.62)[number % 2]
    rgb: Sequence[float] = colorsys.hls_to_rgb(number / n_colours, lightness, 0.6)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
