"""Figures 2 and 3 of the report: accuracy and mutual information of every function over labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import altair as alt
import numpy as np
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
from dal_core.results.alignment import aligned
from dal_core.results.crossings import band, by_function
from dal_core.results.curves import Bound, Metric, RunCurve
from dal_core.results.published import CURVE_POINTS
from dal_core.results.titles import FULL_DATA, colour, display_name, in_order

FULL_DATA_NAME = display_name("full_data")
_COLUMNS = [
    *("kind", "acquisition", "series", "seed", "n_labelled"),
    *("mean", "std", "low", "high", "n_runs"),
]
_DIAMONDS = alt.Title(
    "Diamonds: published three-run means", fontSize=11, anchor="end", frame="group"
)


def bands_figure(
    runs: Iterable[RunCurve],
    bounds: Sequence[Bound] = (),
    metric: Metric = "accuracy",
    *,
    published: bool = False,
    each_run: bool = False,
    width: int | str = "container",
    height: int = 320,
    legend_columns: int = 6,
) -> alt.LayerChart | alt.FacetChart:
    """Figure 2 (accuracy) or 3 (mutual information) of the report.

    Each function is shown as the mean over its runs, with a band of one population standard
    deviation, where all its runs were measured. The mean of the full-data bounds is a thin line.

    Args:
        published: also show the published accuracies of BALD and Random as diamonds.
        each_run: also show each run as a thin line, for an unfinished experiment whose means end
            with its shortest run. Runs without a common number of labels are always shown so.
    """
    data = bands_data(runs, bounds, metric, published=published, each_run=each_run)
    x = labels_axis(data.n_labelled.dropna(), at_least=ROOM, title="Labels in the training set")
    low = data.low.fillna(data["mean"])
    high = data.high.fillna(data["mean"])
    y = metric_axis([*low, *high] if metric != "accuracy" else low, metric, "mean")
    names = list(dict.fromkeys(data.series)) or [FULL_DATA_NAME]
    base = alt.Chart(data).encode(color=series_colour(data, names, legend_columns))
    kind = alt.datum.kind
    has = {name: name in set(data.kind) for name in ("mean", "bound", "run", "published")}
    tooltip = _tooltips(metric)
    # aria: hides empty layers, which a screen reader would announce without a name
    layers = [
        base.transform_filter(kind == "mean")
        .mark_area(opacity=0.18, clip=True, aria=has["mean"])
        .encode(x=x, y=alt.Y("low:Q"), y2="high:Q"),
        base.transform_filter(kind == "bound")
        .mark_rule(strokeWidth=1, aria=has["bound"])
        .encode(y=y, tooltip=[tooltip[0], *tooltip[2:]]),
        base.transform_filter(kind == "run")
        .mark_line(strokeWidth=1, opacity=0.45, clip=True, aria=has["run"])
        .encode(x=x, y=y, detail="seed:N"),
        ends(base.transform_filter(kind == "run"), "series", "seed")
        .mark_circle(size=14, opacity=0.45, aria=has["run"])
        .encode(x=x, y=y),
        base.transform_filter(kind == "mean")
        .mark_line(strokeWidth=1.75, clip=True, aria=has["mean"])
        .encode(x=x, y=y),
        ends(base.transform_filter(kind == "mean"), "series")
        .mark_circle(size=20, opacity=1, aria=has["mean"])
        .encode(x=x, y=y),
        base.transform_filter(kind == "mean")
        .mark_circle(size=60, opacity=0, aria=has["mean"])  # invisible, shows the tooltip
        .encode(x=x, y=y, tooltip=tooltip),
        base.transform_filter(kind == "published")
        .mark_point(shape="diamond", size=70, strokeWidth=2, opacity=1, aria=has["published"])
        .encode(x=x, y=y, tooltip=tooltip),
    ]
    figure = alt.layer(*layers).properties(width=width, height=height, padding=PADDING)
    return figure.properties(title=_DIAMONDS) if published else figure


def bands_data(
    runs: Iterable[RunCurve],
    bounds: Sequence[Bound] = (),
    metric: Metric = "accuracy",
    *,
    published: bool = False,
    each_run: bool = False,
) -> pd.DataFrame:
    """The numbers behind `bands_figure`.

    Returns:
        Columns `kind` (mean, run, bound, published), `acquisition`, `series` (display name),
        `seed` (only for a run), `n_labelled` (missing for the bound), `mean` (for a run, its
        value), `std`, `low`, `high`, `n_runs`.
    """
    groups = by_function(run for run in runs if len(run))
    frames = [
        band(groups[name], metric).assign(kind="mean", acquisition=name, series=display_name(name))
        for name in in_order(list(groups))
    ]
    # Runs without a common number of labels have no mean: they are shown themselves.
    alone = {name for name in groups if each_run or not len(aligned(groups[name], metric)[0])}
    frames += [_one_run(run, metric) for name in groups if name in alone for run in groups[name]]
    if published and metric == "accuracy":
        frames += [_published_points(name, CURVE_POINTS[name]) for name in CURVE_POINTS]
    known = [value for bound in bounds if (value := getattr(bound, metric)) is not None]
    if known:
        values = np.array(known)
        mean, std = values.mean(), values.std()
        row = {"mean": mean, "std": std, "low": mean - std, "high": mean + std}
        names = {"kind": "bound", "acquisition": "", "series": FULL_DATA_NAME}
        frames.append(pd.DataFrame([{**row, "n_runs": len(known), **names}]))
    if not frames:
        return pd.DataFrame(columns=_COLUMNS)
    data = pd.concat(frames, ignore_index=True).reindex(columns=_COLUMNS)
    return data.astype({"seed": "Int64", "n_labelled": "Int64", "mean": float, "std": float})


def series_colour(data: pd.DataFrame, names: Sequence[str], columns: int = 6) -> alt.Color:
    """The colour of each series, with the legend above the chart."""
    function_of = dict(zip(data.series, data.acquisition, strict=True))
    return alt.Color(
        "series:N",
        title=None,
        scale=alt.Scale(
            domain=list(names),
            range=[
                colour(function_of[name]) if function_of.get(name) else FULL_DATA for name in names
            ],
        ),
        legend=legend(columns=columns),
    )


def _one_run(run: RunCurve, metric: Metric) -> pd.DataFrame:
    points = run.points(metric)
    return pd.DataFrame(
        {
            "kind": "run",
            "acquisition": run.acquisition,
            "series": display_name(run.acquisition),
            "seed": run.seed,
            "n_labelled": list(points),
            "mean": list(points.values()),
            "n_runs": 1,
        }
    )


def _published_points(acquisition: str, points: Mapping[int, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "kind": "published",
            "acquisition": acquisition,
            "series": display_name(acquisition),
            "n_labelled": list(points),
            "mean": list(points.values()),
            "n_runs": 3,
        }
    )


def _tooltips(metric: Metric) -> list[alt.Tooltip]:
    number = VALUE_FORMATS[metric]
    return [
        alt.Tooltip("series:N", title="Curve"),
        alt.Tooltip("n_labelled:Q", title="Labels"),
        alt.Tooltip("mean:Q", title=METRIC_TITLES[metric], format=number),
        alt.Tooltip("std:Q", title="Std over runs", format=number),
        alt.Tooltip("n_runs:Q", title="Runs"),
    ]
