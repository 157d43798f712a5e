"""Labels saved against Random at each accuracy from 70% to 99%."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dal_core.figures.axes import PADDING, axis
from dal_core.figures.report import series_colour
from dal_core.results.titles import PALETTE, display_name, in_order


def savings_figure(
    saved: pd.DataFrame, *, width: int | str = "container", height: int = 280
) -> alt.LayerChart | alt.FacetChart:
    """Mean labels saved over the accuracy to reach, with the interval if there is one.

    A line ends at the first accuracy that a pair of runs did not reach.

    Args:
        saved: as `results.seeds.mean_labels_saved` returns it.
    """
    acquisitions = in_order(list(saved.acquisition))
    data = saved.assign(series=[display_name(name) for name in saved.acquisition])
    data = data[data["mean"].notna()]
    names = [display_name(name) for name in acquisitions]
    functions = pd.DataFrame({"series": names, "acquisition": acquisitions})
    x = alt.X(
        "accuracy:Q",
        title="Test accuracy to reach",
        scale=alt.Scale(zero=False, nice=False),
        axis=axis(format=".0%", grid=False, tickMinStep=0.01),  # or two ticks could both read 71%
    )
    y = alt.Y("mean:Q", title="Labels saved against Random", axis=axis())
    tooltip = [
        alt.Tooltip("series:N", title="Function"),
        alt.Tooltip("accuracy:Q", title="Accuracy", format=".0%"),
        alt.Tooltip("mean:Q", title="Labels saved", format=".1f"),
        alt.Tooltip("low:Q", title="95% interval from", format=".1f"),
        alt.Tooltip("high:Q", title="to", format=".1f"),
        alt.Tooltip("n_seeds:Q", title="Seeds"),
    ]
    base = alt.Chart(data).encode(x=x, color=series_colour(functions, names))
    layers = [
        alt.Chart(pd.DataFrame({"mean": [0]}))
        .mark_rule(strokeWidth=1, color=PALETTE["grey"])
        .encode(y=y),
        base.transform_filter(alt.expr.isValid(alt.datum.low))
        .mark_area(opacity=0.15, aria=bool(data.low.notna().any()))
        .encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_line(strokeWidth=1.75).encode(y=y),
        base.mark_circle(size=22, opacity=1).encode(y=y, tooltip=tooltip),
    ]
    return alt.layer(*layers).properties(width=width, height=height, padding=PADDING)
