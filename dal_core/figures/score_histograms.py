"""An image's scores among those of the pool: one histogram per function."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dal_core.figures.axes import PADDING, axis
from dal_core.figures.spec import filled, form
from dal_core.results.titles import PALETTE, colour, display_name

N_BINS = 40
_WIDTH, _HEIGHT = 330, 34


def histograms_spec(bins: pd.DataFrame, scores: Mapping[str, float]) -> dict[str, Any]:
    """A histogram of the pool's scores per function, with a line at the image's score.

    Args:
        bins: as `histograms_data` returns them.
        scores: function -> the image's score; functions without bins are left out.
    """
    names = tuple(name for name in dict.fromkeys(bins.function) if name in scores)
    own = pd.DataFrame({"function": list(names), "score": [float(scores[n]) for n in names]})
    return filled(_form(names), {"bins": bins, "own": own})


def histograms_data(pool: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Histograms of the pool's scores [N] by function.

    Returns:
        Columns `function`, `low` and `high` of each bin, and `images` in the bin.
    """
    parts = []
    for name, scores in pool.items():
        top = float(scores.max(initial=0.0)) or 1.0
        images, edges = np.histogram(np.clip(scores, 0, top), bins=N_BINS, range=(0.0, top))
        part = {"function": name, "low": edges[:-1], "high": edges[1:], "images": images}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


@cache
def _form(names: tuple[str, ...]) -> dict[str, Any]:
    rows = alt.vconcat(*map(_row, names), spacing=4, padding=PADDING)
    return form(rows.resolve_scale(x="independent"))


def _row(name: str) -> alt.LayerChart | alt.FacetChart:
    x = alt.X(
        "low:Q",
        title=None,
        scale=alt.Scale(nice=False, zero=True),
        axis=axis(tickCount=5, grid=False, labelFontSize=9),
    )
    # Square root scale: the model is certain of most images, and the few others matter.
    y = alt.Y(
        "images:Q",
        title=display_name(name, short=True),
        scale=alt.Scale(type="sqrt"),
        axis=alt.Axis(
            labels=False, ticks=False, grid=False, titleAngle=0, titleAlign="right", titlePadding=8
        ),
    )
    tooltip = [
        alt.Tooltip("low:Q", title="Scores from", format=".3f"),
        alt.Tooltip("high:Q", title="to", format=".3f"),
        alt.Tooltip("images:Q", title="Images"),
    ]
    bars = (
        alt.Chart(alt.NamedData("bins"))
        .transform_filter(alt.datum.function == name)
        .mark_rect(color=PALETTE["grey"], opacity=0.75)
        .encode(x=x, x2="high:Q", y=y, y2=alt.datum(0), tooltip=tooltip)
    )
    rule = (
        alt.Chart(alt.NamedData("own"))
        .transform_filter(alt.datum.function == name)
        .mark_rule(color=colour(name), strokeWidth=3)
        .encode(x="score:Q", tooltip=alt.Tooltip("score:Q", title="This image", format=".3f"))
    )
    return alt.layer(bars, rule).properties(width=_WIDTH, height=_HEIGHT)
