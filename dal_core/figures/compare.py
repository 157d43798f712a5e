"""Comparison of records: the effect of a protocol parameter on each function's curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from dal_core.figures.axes import (
    METRIC_TITLES,
    PADDING,
    ROOM,
    VALUE_FORMATS,
    ends,
    labels_axis,
    legend,
    metric_axis,
)
from dal_core.figures.report import bands_data, series_colour
from dal_core.results.crossings import by_function
from dal_core.results.curves import Metric, RunCurve
from dal_core.results.titles import PALETTE, display_name, in_order

_DASHES = ([1, 0], [6, 3], [1.5, 2.5], [8, 3, 1.5, 3])
MAX_COMPARED = len(_DASHES)


def compare_figure(
    records: Mapping[str, Sequence[RunCurve]],
    metric: Metric = "accuracy",
    *,
    up_to: int | None = None,
    width: int = 300,
    height: int = 200,
) -> alt.FacetChart | alt.LayerChart:
    """One panel per function: its mean curve in each record, with the record's Random curve.

    Args:
        records: record name -> runs, such as {"report": ..., "released": ...}. The first record
            is drawn solid, the second dashed.
        up_to: the largest number of labels shown.

    Raises:
        ValueError: there are fewer than two or more than four records.
    """
    if not 2 <= len(records) <= MAX_COMPARED:
        raise ValueError(f"two to four records can be compared, got {len(records)}")
    data = compare_data(records, metric, up_to=up_to)
    panels = list(dict.fromkeys(data.panel))
    x = labels_axis(data.n_labelled, at_least=ROOM, title="Labels in the training set")
    low, high = data.low, data.high
    y = metric_axis([*low, *high] if metric != "accuracy" else low, metric, "mean")
    dash = alt.StrokeDash(
        "record:N",
        title=None,
        scale=alt.Scale(domain=list(records), range=list(_DASHES[: len(records)])),
        legend=legend(symbolSize=500, symbolStrokeWidth=1.75, symbolStrokeColor=PALETTE["grey"]),
    )
    names = [display_name(name) for name in in_order(list(data.acquisition))]
    number = VALUE_FORMATS[metric]
    base = alt.Chart().encode(x=x, color=series_colour(data, names))
    layers = alt.layer(
        base.mark_area(opacity=0.12, clip=True).encode(
            y=alt.Y("low:Q"), y2="high:Q", detail="record:N"
        ),
        base.mark_line(strokeWidth=1.75, clip=True).encode(y=y, strokeDash=dash),
        ends(base, "series", "record", "panel").mark_circle(size=16, opacity=1).encode(y=y),
        base.mark_circle(size=60, opacity=0).encode(
            y=y,
            tooltip=[
                alt.Tooltip("record:N", title="Record"),
                alt.Tooltip("series:N", title="Function"),
                alt.Tooltip("n_labelled:Q", title="Labels"),
                alt.Tooltip("mean:Q", title=METRIC_TITLES[metric], format=number),
                alt.Tooltip("n_runs:Q", title="Runs"),
            ],
        ),
        data=data,
    ).properties(width=width, height=height)
    facet = alt.Facet("panel:N", title=None, sort=panels, header=alt.Header(labelFontSize=12))
    return layers.facet(facet, columns=2).properties(padding=PADDING)


def compare_data(
    records: Mapping[str, Sequence[RunCurve]],
    metric: Metric = "accuracy",
    *,
    up_to: int | None = None,
) -> pd.DataFrame:
    """The numbers behind `compare_figure`.

    Returns:
        Columns `panel` (display name of its function), `record`, and those of `bands_data`.
        Random is in every panel. It has a panel of its own only if there is no other function.
    """
    frames = []
    for record, runs in records.items():
        frames.append(bands_data(runs, metric=metric).assign(record=record))
    bands = pd.concat(frames, ignore_index=True)
    if up_to is not None:
        bands = bands[bands.n_labelled <= up_to]
    groups = by_function(run for runs in records.values() for run in runs)
    functions = in_order([name for name in groups if name != "random"]) or ["random"]
    panels = [
        bands[bands.acquisition.isin([name, "random"])].assign(panel=display_name(name))
        for name in functions
    ]
    return pd.concat(panels, ignore_index=True)
