"""One image's passes (T x C matrix, mean, entropies, votes), and its scores over passes.

Probability is blue. An orange dot marks the class that a pass votes for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dal_core.figures.axes import PADDING, axis, legend
from dal_core.figures.classes import Classes
from dal_core.figures.one_image import ImageParts
from dal_core.figures.spec import filled, form
from dal_core.results.titles import PALETTE, PRIMARY, TEXT, colour, display_name

VOTE = PALETTE["orange"]
_MATRIX, _BARS, _ENTROPY, _MEAN = 300, 300, 96, 70  # pixels: widths and heights


def passes_spec(parts: ImageParts, classes: Classes) -> dict[str, Any]:
    """The T x C matrix (report, section 2.1.1), above its mean and left of each pass's entropy."""
    matrix, rows, mean = passes_data(parts, classes)
    return filled(_passes_form(classes), {"matrix": matrix, "rows": rows, "mean": mean})


def passes_data(
    parts: ImageParts, classes: Classes
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The numbers behind `passes_spec`.

    Returns:
        Three tables. T x C rows: `pass`, `class` (a name), `p` and `dot` (area of the dot of a
        vote, else 0). T rows: `pass` and `entropy` (nats). C rows: `class` and `p` (the mean).
        Passes are numbered from 1.
    """
    n_passes, n_classes = parts.probs.shape
    number, label = np.divmod(np.arange(n_passes * n_classes), n_classes)
    voted = parts.probs.argmax(-1)[number] == label
    matrix = pd.DataFrame(
        {
            "pass": number + 1,
            "class": classes.named(label),
            "p": parts.probs.ravel().astype(float),
            "dot": np.where(voted, min(50.0, (0.7 * _BARS / n_passes) ** 2), 0.0),  # fits its row
        }
    )
    rows = pd.DataFrame({"pass": np.arange(n_passes) + 1, "entropy": parts.entropies.astype(float)})
    mean = pd.DataFrame({"class": list(classes.names), "p": parts.mean.astype(float)})
    return matrix, rows, mean


@cache
def _passes_form(classes: Classes) -> dict[str, Any]:
    top = alt.hconcat(_matrix(classes), _entropies(len(classes)), spacing=14)
    return form(alt.vconcat(top, _mean(classes), spacing=6, padding=PADDING))


def _matrix(classes: Classes) -> alt.LayerChart | alt.FacetChart:
    cells = alt.Chart(alt.NamedData("matrix")).encode(
        x=classes.axis(alt.X, "class", classes.noun, grid=False),
        y=alt.Y("pass:O", title="pass", axis=axis(grid=False, ticks=False, labelOverlap=True)),
    )
    opacity = alt.Scale(domain=[0, 1], range=[0, 1], clamp=True)
    heat = cells.mark_rect(color=PRIMARY).encode(
        opacity=alt.Opacity("p:Q", scale=opacity, legend=None),
        tooltip=[
            alt.Tooltip("pass:O", title="Pass"),
            alt.Tooltip("class:O", title=classes.title),
            alt.Tooltip("p:Q", title="Probability", format=".3f"),
        ],
    )
    votes = (
        cells.transform_filter(alt.datum.dot > 0)
        .mark_circle(color=VOTE, opacity=1)
        .encode(
            size=alt.Size("dot:Q", scale=None),
            tooltip=[
                alt.Tooltip("pass:O", title="Pass"),
                alt.Tooltip("class:O", title="Votes for"),
                alt.Tooltip("p:Q", title="Probability", format=".3f"),
            ],
        )
    )
    return alt.layer(heat, votes).properties(width=_MATRIX, height=_BARS)


def _entropies(n_classes: int) -> alt.LayerChart | alt.FacetChart:
    base = alt.Chart(alt.NamedData("rows"))
    x = alt.X(
        "entropy:Q",
        title="entropy (nats)",
        scale=alt.Scale(domain=[0, math.log(n_classes)], nice=False, clamp=True),
        axis=axis(tickCount=3, format=".1f"),
    )
    tooltip = [
        alt.Tooltip("pass:O", title="Pass"),
        alt.Tooltip("entropy:Q", title="Entropy", format=".3f"),
    ]
    bars = base.mark_bar(color=PALETTE["grey"]).encode(
        x=x, y=alt.Y("pass:O", axis=None), tooltip=tooltip
    )
    middle = base.mark_rule(color=PALETTE["vermillion"], strokeWidth=2).encode(
        x=alt.X("mean(entropy):Q"),
        tooltip=alt.Tooltip("mean(entropy):Q", title="Mean of the entropies", format=".3f"),
    )
    return alt.layer(bars, middle).properties(width=_ENTROPY, height=_BARS)


def _mean(classes: Classes) -> alt.LayerChart | alt.FacetChart:
    x = alt.X("class:O", sort=list(classes.names), axis=None)
    y = alt.Y(
        "p:Q",
        title="mean",
        scale=alt.Scale(domain=[0, 1]),
        axis=axis(values=[0, 0.5, 1], format=".1f"),
    )
    base = alt.Chart(alt.NamedData("mean")).encode(x=x, y=y)
    tooltip = [
        alt.Tooltip("class:O", title=classes.title),
        alt.Tooltip("p:Q", title="Mean probability", format=".3f"),
    ]
    bars = base.mark_bar(color=PRIMARY).encode(tooltip=tooltip)
    values = base.transform_filter(alt.datum.p >= 0.005).mark_text(dy=-6, fontSize=10, color=TEXT)
    layers = alt.layer(bars, values.encode(text=alt.Text("p:Q", format=".2f")))
    return layers.properties(width=_MATRIX, height=_MEAN)


# -- scores over passes ------------------------------------------------------------------------


def settling_spec(lines: Mapping[str, np.ndarray], n_passes: int) -> dict[str, Any]:
    """Scores after 1, 2, ... passes, with a vertical rule at the chosen number of passes.

    Args:
        lines: function -> scores [T], as `explain.parts.settling` returns them.
        n_passes: position of the rule.
    """
    rule = pd.DataFrame({"passes": [n_passes]})
    longest = max(map(len, lines.values()), default=1)
    tables = {"lines": settling_data(lines), "rule": rule}
    return filled(_settling_form(tuple(lines), longest), tables)


def settling_data(lines: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Columns `function` (its short display name), `passes`, `score`."""
    parts = [
        pd.DataFrame(
            {
                "function": display_name(name, short=True),
                "passes": np.arange(1, len(line) + 1),
                "score": line.astype(float),
            }
        )
        for name, line in lines.items()
    ]
    return pd.concat(parts, ignore_index=True)


@cache
def _settling_form(functions: tuple[str, ...], n_passes: int) -> dict[str, Any]:
    names = [display_name(name, short=True) for name in functions]
    x = alt.X(
        "passes:Q",
        title="passes T",
        scale=alt.Scale(domain=[1, max(n_passes, 2)], nice=False),
        axis=axis(grid=False, tickCount=8),
    )
    line = (
        alt.Chart(alt.NamedData("lines"))
        .mark_line(strokeWidth=2)
        .encode(
            x=x,
            y=alt.Y("score:Q", title="score", axis=axis(tickCount=5)),
            color=alt.Color(
                "function:N",
                title=None,
                scale=alt.Scale(domain=names, range=[colour(name) for name in functions]),
                legend=legend("top", columns=3),
            ),
            tooltip=[
                alt.Tooltip("function:N", title="Function"),
                alt.Tooltip("passes:Q", title="Passes"),
                alt.Tooltip("score:Q", title="Score", format=".3f"),
            ],
        )
    )
    rule = alt.Chart(alt.NamedData("rule")).mark_rule(strokeDash=[4, 3], color=PALETTE["grey"])
    layers = alt.layer(rule.encode(x=x), line)
    return form(layers.properties(width="container", height=180, padding=PADDING))
