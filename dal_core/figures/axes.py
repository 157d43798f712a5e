"""Axes that all charts share: titles, number formats and how far they reach."""

from __future__ import annotations

import math
from collections.abc import Iterable

import altair as alt

from dal_core.analysis import Metric

METRIC_TITLES: dict[Metric, str] = {
    "accuracy": "Test accuracy",
    "mutual_information": "Test mutual information (nats)",
}
VALUE_FORMATS: dict[Metric, str] = {"accuracy": ".1%", "mutual_information": ".3f"}
_AXIS_FORMATS: dict[Metric, str] = {"accuracy": ".0%", "mutual_information": ".2f"}


def labels_axis(values: Iterable[float], at_least: int = 0, title: str = "Labels") -> alt.X:
    """The x axis: labels in the training set, over at least `at_least` labels."""
    known = list(values)
    low, high = min(known, default=0), max(known, default=0)
    domain = [low, max(high, low + at_least)]
    scale = alt.Scale(domain=domain, nice=False, zero=False)
    return alt.X("n_labelled:Q", title=title, scale=scale, axis=alt.Axis(grid=False, tickCount=6))


def metric_axis(values: Iterable[float], metric: Metric, field: str = "value") -> alt.Y:
    """The y axis of accuracy (up to 1) or of mutual information (from 0), never squashed.

    Accuracy starts at the whole tenth below the lowest value, and never shows less than the last
    fifth: a curve at 97% does not look like a mountain range.
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
        axis=alt.Axis(format=_AXIS_FORMATS[metric], tickCount=5),
    )
