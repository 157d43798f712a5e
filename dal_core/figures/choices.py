"""Comparison of functions: rank correlation, and the classes of their batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dal_core.figures.axes import PADDING, axis
from dal_core.figures.classes import Classes
from dal_core.results.titles import PRIMARY, TEXT, display_name

_CELL = 46
NAMES = 70  # pixels for the names of the rows, which a page counts as width


def correlation_figure(table: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Spearman's rank correlation of every pair of functions, as a coloured matrix.

    Args:
        table: [F, F], as `explain.choices.spearman` returns it.
    """
    data = correlation_data(table)
    order = [display_name(name, short=True) for name in table.index]
    x = alt.X("one:N", sort=order, title=None, axis=axis(labelAngle=-40, labelOverlap=False))
    y = alt.Y("other:N", sort=order, title=None, axis=axis())
    base = alt.Chart(data).encode(x=x, y=y)
    cells = base.mark_rect(color=PRIMARY).encode(
        opacity=alt.Opacity(
            "r:Q", scale=alt.Scale(domain=[0, 1], range=[0, 0.85], clamp=True), legend=None
        ),
        tooltip=[
            alt.Tooltip("one:N", title="One"),
            alt.Tooltip("other:N", title="Other"),
            alt.Tooltip("r:Q", title="Rank correlation", format=".3f"),
        ],
    )
    size = _CELL * len(order)
    numbers = base.mark_text(fontSize=11).encode(text="text:N", color=_on_cells("r", 0.55))
    layers = alt.layer(cells, numbers)
    return layers.properties(width=size + NAMES, height=int(size * 0.85), padding=PADDING)


def correlation_data(table: pd.DataFrame) -> pd.DataFrame:
    """Columns `one`, `other` (short display names), `r` and `text` (`r` as shown)."""
    rows = [
        (display_name(str(one), short=True), display_name(str(other), short=True), float(r))
        for one, line in table.iterrows()
        for other, r in line.items()
    ]
    data = pd.DataFrame(rows, columns=["one", "other", "r"])
    # Adding 0 turns a rounded -0 into 0.
    return data.assign(text=["–" if np.isnan(r) else f"{round(r, 2) + 0:.2f}" for r in data.r])


def _on_cells(field: str, dark_from: float) -> Any:
    """Text colour on cells: white if the cell is dark, else a grey that suits both themes."""
    return alt.condition(alt.datum[field] > dark_from, alt.value("white"), alt.value(TEXT))


def balance_figure(
    counts: Mapping[str, np.ndarray], classes: Classes
) -> alt.LayerChart | alt.FacetChart:
    """Images of each class in each function's batch: a row per function, a column per class."""
    data = balance_data(counts, classes)
    order = list(dict.fromkeys(data.function))
    base = alt.Chart(data).encode(
        x=classes.axis(alt.X, "class", classes.noun),
        y=alt.Y("function:N", sort=order, title=None, axis=axis(labelLimit=200)),
    )
    top = int(max(data.images.max(), 1))
    cells = base.mark_rect(color=PRIMARY).encode(
        opacity=alt.Opacity(
            "images:Q", scale=alt.Scale(domain=[0, top], range=[0, 0.85]), legend=None
        ),
        tooltip=[
            alt.Tooltip("function:N", title="Function"),
            alt.Tooltip("class:O", title=classes.title),
            alt.Tooltip("images:Q", title="Images"),
        ],
    )
    numbers = base.transform_filter(alt.datum.images > 0).mark_text(fontSize=11)
    layers = alt.layer(cells, numbers.encode(text="images:Q", color=_on_cells("images", 0.6 * top)))
    return layers.properties(width="container", height=32 * len(order) + 10, padding=PADDING)


def balance_data(counts: Mapping[str, np.ndarray], classes: Classes) -> pd.DataFrame:
    """Columns `function` (its display name), `class` (a name), `images`."""
    rows = [
        (display_name(name), label, int(n))
        for name, row in counts.items()
        for label, n in zip(classes.names, row, strict=True)
    ]
    return pd.DataFrame(rows, columns=["function", "class", "images"])
