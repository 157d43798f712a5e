"""The parts of one image's scores: entropies, votes and standard deviations of each class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dal_core.figures.axes import PADDING, axis
from dal_core.figures.classes import Classes
from dal_core.figures.one_image import ImageParts
from dal_core.figures.spec import filled, form
from dal_core.results.titles import PALETTE, colour

_WIDTH = 330  # pixels
_NAMES = 112  # pixels for the names of the bars, so that the three charts are aligned
_LABEL_FROM = 0.06  # share of the axis that a part of a bar needs to show a one-letter name
_MEAN, _PASSES, _DIFFERENCE = "entropy of mean", "mean entropy", "difference"


def breakdown_spec(parts: ImageParts, classes: Classes) -> dict[str, Any]:
    """Entropies and their difference as bars, votes as a bar, standard deviations by class."""
    entropies, votes, spreads = breakdown_data(parts, classes)
    n_passes, n_classes = parts.probs.shape
    limit = math.log(n_classes)
    tables = {
        "entropies": _labelled(entropies, limit, classes),
        "votes": _labelled(votes, n_passes, classes),
        "spreads": spreads.assign(what=[_part(name, classes) for name in spreads["class"]]),
    }
    return filled(_form(classes), tables)


def breakdown_data(
    parts: ImageParts, classes: Classes
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The numbers behind `breakdown_spec`.

    Returns:
        Three tables. Parts of the bars of entropies (nats) and parts of the bar of votes: `row`,
        `class` (a name; missing for a part of no single class), `start`, `end`. Standard
        deviations: `class`, `spread`.
    """
    start, end = float(parts.entropies.mean()), float(parts.entropy_terms.sum())
    entropies = [
        *_segments(_MEAN, parts.entropy_terms, classes),
        (_PASSES, None, 0.0, start),
        (_DIFFERENCE, None, start, end),
    ]
    votes = _segments("votes", parts.votes, classes)
    spreads = pd.DataFrame({"class": list(classes.names), "spread": parts.spreads.astype(float)})
    return _frame(entropies), _frame(votes), spreads


Segment = tuple[str, str | None, float, float]


def _segments(row: str, sizes: np.ndarray, classes: Classes) -> list[Segment]:
    """The parts of one bar, the largest first, without empty parts."""
    table, end = list[Segment](), 0.0
    for label in sorted(range(len(sizes)), key=lambda i: -float(sizes[i])):
        if float(sizes[label]) > 0:
            table.append((row, classes.names[label], end, end + float(sizes[label])))
            end = table[-1][3]
    return table


def _frame(segments: Sequence[Segment]) -> pd.DataFrame:
    return pd.DataFrame(segments, columns=["row", "class", "start", "end"])


def _labelled(data: pd.DataFrame, limit: float, classes: Classes) -> pd.DataFrame:
    """The parts of bars as drawn: each with a name, and its class as text if there is room."""
    names = [None if pd.isna(name) else str(name) for name in data["class"]]
    size = data.end - data.start
    return data.drop(columns="class").assign(
        what=[
            row if name is None else _part(name, classes)
            for row, name in zip(data.row, names, strict=True)
        ],
        size=size,
        middle=(data.start + data.end) / 2,
        text=[
            name if name and share >= _LABEL_FROM * (1 + len(name)) / 2 else ""
            for name, share in zip(names, size / limit, strict=True)
        ],
    )


def _part(name: str, classes: Classes) -> str:
    return f"{classes.noun} {name}"


@cache
def _form(classes: Classes) -> dict[str, Any]:
    limit = math.log(len(classes))
    title = "Entropy in nats: BALD is the difference"
    rows = [_MEAN, _PASSES, _DIFFERENCE]
    entropies = _bars("entropies", rows, title, ".1f", 88, classes, domain=[0, limit])
    votes = _bars("votes", ["votes"], "Votes of the passes", "d", 30, classes)
    charts = alt.vconcat(entropies, votes, _spreads(classes), spacing=12, padding=PADDING)
    return form(charts.resolve_scale(color="shared"))


def _bars(
    table: str,
    rows: list[str],
    title: str,
    number: str,
    height: int,
    classes: Classes,
    **scale: Any,
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
        color=_colours(classes),
        tooltip=[
            alt.Tooltip("row:N", title="Bar"),
            alt.Tooltip("what:N", title="Part"),
            alt.Tooltip("size:Q", title="Size", format=".3~f"),
        ],
    )
    names = base.mark_text(color="white", fontWeight="bold", fontSize=11)
    layers = alt.layer(bars, names.encode(x="middle:Q", text="text:N"))
    return layers.properties(width=_WIDTH, height=height)


def _spreads(classes: Classes) -> alt.LayerChart | alt.FacetChart:
    base = alt.Chart(alt.NamedData("spreads"))
    y = alt.Y(
        "spread:Q",
        title=None,
        scale=alt.Scale(domain=[0, 0.5], clamp=True),
        axis=axis(values=[0, 0.25, 0.5], format=".2f", minExtent=_NAMES),
    )
    title = f"Standard deviation of each {classes.noun}; the line is their mean"
    x = classes.axis(alt.X, "class", title)
    tooltip = [
        alt.Tooltip("class:O", title=classes.title),
        alt.Tooltip("spread:Q", title="Standard deviation", format=".3f"),
    ]
    bars = base.mark_bar().encode(x=x, y=y, color=_colours(classes), tooltip=tooltip)
    middle = base.mark_rule(color=colour("mean_std"), strokeWidth=2).encode(
        y="mean(spread):Q",
        tooltip=alt.Tooltip("mean(spread):Q", title="Mean std", format=".3f"),
    )
    return alt.layer(bars, middle).properties(width=_WIDTH, height=70)


def _colours(classes: Classes) -> alt.Color:
    others = {_PASSES: PALETTE["grey"], _DIFFERENCE: colour("bald")}
    names = [_part(name, classes) for name in classes.names] + list(others)
    scale = alt.Scale(domain=names, range=[*classes.colours(), *others.values()])
    return alt.Color("what:N", scale=scale, legend=None)
