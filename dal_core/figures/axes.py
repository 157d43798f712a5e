"""Axes and legends shared by all charts: titles, number formats, domains and spacing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import altair as alt

from dal_core.results.curves import CALIBRATION, Metric

METRIC_TITLES: dict[Metric, str] = {
    "accuracy": "Test accuracy",
    "mutual_information": "Mutual information (nats)",
    "nll": "Test NLL (nats)",
    "brier": "Test Brier score",
    "ece": "Calibration error",
}
VALUE_FORMATS: dict[Metric, str] = {
    "accuracy": ".1%",
    **dict.fromkeys(("mutual_information", *CALIBRATION), ".3f"),
}
_AXIS_FORMATS: dict[Metric, str] = {
    "accuracy": ".0%",
    **dict.fromkeys(("mutual_information", *CALIBRATION), ".2f"),
}

FEW_MINUTES = 2.0  # shortest range of an axis of minutes
ROOM = 100  # shortest range of an axis of labels; leaves room for the next steps of a new run
PADDING = {"left": 5, "top": 5, "right": 5, "bottom": 5}
"""Pixels around a chart. Streamlit's theme fails on a single number, and leaves a large gap below
a chart without padding.
"""


def axis(**options: Any) -> alt.Axis:
    """An axis with fixed padding, independent of the page's theme."""
    return alt.Axis(**{"titlePadding": 6, "labelPadding": 4, **options})


def legend(orient: Any = "top", **options: Any) -> alt.Legend:
    """A legend of opaque lines, even if the marks are translucent."""
    return plain_legend(
        orient, **{"symbolType": "stroke", "symbolStrokeWidth": 2.5, "symbolOpacity": 1, **options}
    )


def plain_legend(orient: Any = "top", **options: Any) -> alt.Legend:
    """A legend with fixed padding; the caller chooses the symbols."""
    defaults = {
        "padding": 0,
        "offset": 8,
        "columnPadding": 14,
        "labelOffset": 2,
        "labelLimit": 320,
    }
    return alt.Legend(orient=orient, **{**defaults, **options})


def labels_axis(values: Iterable[float], at_least: int = 0, title: str = "Labels") -> alt.X:
    """The x axis of labels in the training set, with a range of at least `at_least` labels."""
    known = list(values)
    low, high = min(known, default=0), max(known, default=0)
    domain = [low, max(high, low + at_least)]
    scale = alt.Scale(domain=domain, nice=False, zero=False)
    return alt.X("n_labelled:Q", title=title, scale=scale, axis=axis(grid=False, tickCount=6))


def minutes_axis(values: Iterable[float]) -> alt.X:
    """The x axis of labelling time, from 0 minutes."""
    domain = [0.0, max([*values, FEW_MINUTES])]
    scale = alt.Scale(domain=domain, nice=False, zero=True)
    title = "Minutes of labelling"
    return alt.X("minutes:Q", title=title, scale=scale, axis=axis(grid=False, tickCount=6))


def ends(chart: alt.Chart, *groups: str) -> alt.Chart:
    """The last point of each curve, since a line through a single point is invisible."""
    return chart.transform_joinaggregate(
        end="max(n_labelled)", groupby=list(groups)
    ).transform_filter(alt.datum.n_labelled == alt.datum.end)


def metric_axis(values: Iterable[float], metric: Metric, field: str = "value") -> alt.Y:
    """The y axis of accuracy (up to 1) or of another measure (from 0).

    The axis of accuracy starts at the lowest value rounded down to a tenth, and at 0.8 at most.
    Small differences at 97% then look small.
    """
    known = [value for value in values if math.isfinite(value)]
    if metric == "accuracy":
        low = math.floor(min([*known, 0.8]) * 10 + 1e-9) / 10
        domain = [max(0.0, low), 1.0]
    else:
        domain = [0.0, max([*known, 0.05]) * 1.05]
    return alt.Y(
        f"{field}:Q",
        title=METRIC_TITLES[metric],
        scale=alt.Scale(domain=domain, nice=metric != "accuracy", zero=False),
        axis=axis(format=_AXIS_FORMATS[metric], tickCount=5),
    )
