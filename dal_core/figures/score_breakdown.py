"""What one image's scores are made of, as sums: entropies, votes, spreads.

Owns how the parts of a score look; a class has one colour in every sum. The numbers are
`explain.parts`'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dal_core.explain.parts import Parts
from dal_core.figures.axes import PADDING, axis
from dal_core.figures.spec import filled, form
from dal_core.results.titles import PALETTE, colour

# Vega's tableau10; ten colours do not stay apart for everybody, so a digit always stands by them.
CLASS_COLOURS = (
    *("#4c78a8", "#f58518", "#e45756", "#72b7b2", "#54a24b"),
    *("#eeca3b", "#b279a2", "#ff9da6", "#9d755d", "#bab0ac"),
)
_WIDTH = 330  # pixels
_NAMES = 112  # pixels for the names of the bars: all three charts begin at one line
_LABEL_FROM = 0.06  # of an axis: a narrower part of a bar has no room for its digit
_MEAN, _PASSES, _DIFFERENCE = "of the mean", "mean of the passes'", "difference"


def sums_spec(parts: Parts) -> dict[str, Any]:
    """Entropies as bars that are taken off each other, votes as a bar, spreads class by class."""
    entropies, votes, spreads = sums_data(parts)
    n_passes, n_classes = parts.probs.shape
    limit = math.log(n_classes)
    tables = {
        "entropies": _labelled(entropies, limit),
        "votes": _labelled(votes, n_passes),
        "spreads": spreads.assign(what=[_what("", digit) for digit in spreads.digit]),
    }
    return filled(_form(limit), tables)


def sums_data(parts: Parts) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The numbers behind `sums_spec`.

    Returns:
        Twice the parts of bars: `row`, `digit` (missing where a part belongs to no class),
        `start`, `end`; then `digit`, `spread`.
    """
    start, end = parts.mean_of_entropies, parts.entropy_of_mean
    entropies = [
        *_segments(_MEAN, parts.entropy_terms),
        (_PASSES, None, 0.0, start),
        (_DIFFERENCE, None, start, end),
    ]
    votes = _segments("votes", parts.votes)
    digits = np.arange(len(parts.spreads))
    spreads = pd.DataFrame({"digit": digits, "spread": parts.spreads.astype(float)})
    return _frame(entropies), _frame(votes), spreads


Segment = tuple[str, int | None, float, float]


def _segments(row: str, sizes: Sequence[float] | np.ndarray) -> list[Segment]:
    """Parts of one bar, the largest first; parts of no size are left out."""
    table, end = list[Segment](), 0.0
    for digit in sorted(range(len(sizes)), key=lambda i: -float(sizes[i])):
        if float(sizes[digit]) > 0:
            table.append((row, digit, end, end + float(sizes[digit])))
            end = table[-1][3]
    return table


def _frame(segments: Sequence[Segment]) -> pd.DataFrame:
    frame = pd.DataFrame(segments, columns=["row", "digit", "start", "end"])
    return frame.astype({"digit": "Int64"})


def _labelled(data: pd.DataFrame, limit: float) -> pd.DataFrame:
    """What is drawn of the parts of bars: each named, and its digit where there is room for it."""
    size = data.end - data.start
    digits = ["" if pd.isna(digit) else str(digit) for digit in data.digit]
    return data.drop(columns="digit").assign(
        what=[_what(row, digit) for row, digit in zip(data.row, data.digit, strict=True)],
        size=size,
        middle=(data.start + data.end) / 2,
        text=[t if s >= _LABEL_FROM * limit else "" for t, s in zip(digits, size, strict=True)],
    )


def _what(row: str, digit: Any) -> str:
    return row if pd.isna(digit) else f"digit {digit}"


@cache
def _form(limit: float) -> dict[str, Any]:
    title = "Entropy in nats: BALD is the difference"
    rows = [_MEAN, _PASSES, _DIFFERENCE]
    entropies = _bars("entropies", rows, title, ".1f", 88, domain=[0, limit])
    votes = _bars("votes", ["votes"], "Votes of the passes", "d", 30)
    charts = alt.vconcat(entropies, votes, _spreads(), spacing=12, padding=PADDING)
    return form(charts.resolve_scale(color="shared"))


def _bars(
    table: str, rows: list[str], title: str, number: str, height: int, **scale: Any
) -> alt.LayerChart | alt.FacetChart:
    x = alt.X(
        "start:Q",
        title=title,
        scale=alt.Scale(nice=False, **scale),
        axis=axis(format=number, tickCount=6, grid=False),
    )
    y = alt.Y(
        "row:N", title=None, sort=rows, axis=axis(ticks=False, domain=False, minExtent=_NAMES)
    )
    base = alt.Chart(alt.NamedData(table)).encode(y=y)
    bars = base.mark_bar(stroke="white", strokeWidth=0.6, height=20).encode(
        x=x,
        x2="end:Q",
        color=_colours(),
        tooltip=[
            alt.Tooltip("row:N", title="Bar"),
            alt.Tooltip("what:N", title="Part"),
            alt.Tooltip("size:Q", title="Size", format=".3~f"),
        ],
    )
    names = base.mark_text(color="white", fontWeight="bold", fontSize=11)
    layers = alt.layer(bars, names.encode(x="middle:Q", text="text:N"))
    return layers.properties(width=_WIDTH, height=height)


def _spreads() -> alt.LayerChart | alt.FacetChart:
    base = alt.Chart(alt.NamedData("spreads"))
    y = alt.Y(
        "spread:Q",
        title=None,
        scale=alt.Scale(domain=[0, 0.5], clamp=True),
        axis=axis(values=[0, 0.25, 0.5], format=".2f", minExtent=_NAMES),
    )
    title = "Standard deviation of each digit; the line is their mean"
    x = alt.X("digit:O", title=title, axis=axis(labelAngle=0))
    tooltip = [
        alt.Tooltip("digit:O", title="Digit"),
        alt.Tooltip("spread:Q", title="Standard deviation", format=".3f"),
    ]
    bars = base.mark_bar().encode(x=x, y=y, color=_colours(), tooltip=tooltip)
    middle = base.mark_rule(color=colour("mean_std"), strokeWidth=2).encode(
        y="mean(spread):Q",
        tooltip=alt.Tooltip("mean(spread):Q", title="Mean std", format=".3f"),
    )
    return alt.layer(bars, middle).properties(width=_WIDTH, height=70)


def _colours() -> alt.Color:
    others = {_PASSES: PALETTE["grey"], _DIFFERENCE: colour("bald")}
    names = [_what("", digit) for digit in range(len(CLASS_COLOURS))] + list(others)
    scale = alt.Scale(domain=names, range=[*CLASS_COLOURS, *others.values()])
    return alt.Color("what:N", scale=scale, legend=None)
