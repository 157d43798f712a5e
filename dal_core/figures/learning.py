"""The labelling page's chart: this run over its labels, against the random baseline.

Owns the encoding of "this run": primary colour with points; random grey with its band; published
values dotted; the full-data bound a thin line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from dal_core.analysis import Metric, band
from dal_core.curves import RunCurve, as_curve
from dal_core.display import FULL_DATA, PALETTE, PRIMARY, display_name
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

_COLUMNS = ["series", "n_labelled", "value", "low", "high"]


def learning_curve(
    run: RunCurve | pd.DataFrame,
    baseline: Sequence[RunCurve] = (),
    metric: Metric = "accuracy",
    bound: float | None = None,
    published: Mapping[int, float] | None = None,
    *,
    colour: str = PRIMARY,
    width: int | str = "container",
    height: int = 230,
) -> alt.LayerChart | alt.FacetChart:
    """This run over the number of labels, with what it is to be compared to.

    Args:
        run: the run, or its steps as columns `n_labelled`, `accuracy`, `mutual_information`; one
            point, or none, is enough.
        baseline: runs with acquisition `random`; several give their mean and a band of one
            population standard deviation, which ends with the shortest.
        bound: the value of the model trained on all images, a thin line.
        published: published values by number of labels, dotted.
        colour: of this run.
        width: in pixels, or "container" to fill the page's column.
    """
    data = learning_curve_data(run, baseline, metric, bound, published)
    values = [*data.value, *data.low.dropna(), *data.high.dropna().clip(upper=1.0)]
    x = labels_axis(data.n_labelled.dropna(), at_least=ROOM, title="Labels given")
    y = metric_axis(values, metric)
    names = list(dict.fromkeys(data.series)) or ["this run"]  # a legend of nothing is no size
    looks = {name: _look(name, colour) for name in names}
    series = alt.Color(
        "series:N",
        title=None,
        scale=alt.Scale(domain=names, range=[looks[name][0] for name in names]),
        legend=legend(columns=2 if len(names) > 3 else 3),
    )
    dash = alt.StrokeDash(
        "series:N",
        title=None,
        scale=alt.Scale(domain=names, range=[looks[name][1] for name in names]),
    )
    base = alt.Chart(data).encode(color=series)
    this, others = alt.datum.kind == "run", alt.datum.kind != "run"
    layers = [
        base.transform_filter(alt.datum.kind == "random")
        .mark_area(opacity=0.25, clip=True)
        .encode(x=x, y=alt.Y("low:Q"), y2="high:Q"),
        base.transform_filter(alt.datum.kind == "bound")
        .mark_rule(strokeWidth=1)
        .encode(y=y, strokeDash=dash, tooltip=_tooltips(metric)[:1] + _tooltips(metric)[2:]),
        base.transform_filter(others & (alt.datum.kind != "bound"))
        .mark_line(strokeWidth=2, clip=True)
        .encode(x=x, y=y, strokeDash=dash),
        ends(base.transform_filter(alt.datum.kind == "random"), "series")
        .mark_circle(size=24, opacity=1)
        .encode(x=x, y=y),
        base.transform_filter(others & (alt.datum.kind != "bound"))
        .mark_circle(size=90, opacity=0)  # unseen: something for the pointer to find
        .encode(x=x, y=y, tooltip=_tooltips(metric)),
        base.transform_filter(alt.datum.kind == "published")
        .mark_point(shape="diamond", size=45, strokeWidth=1.75, opacity=1)
        .encode(x=x, y=y),
        base.transform_filter(this)
        .mark_line(strokeWidth=2.5, clip=True)
        .encode(x=x, y=y, strokeDash=dash),
        base.transform_filter(this)
        .mark_circle(size=36, opacity=1)
        .encode(x=x, y=y, tooltip=_tooltips(metric)),
    ]
    return alt.layer(*layers).properties(width=width, height=height, padding=PADDING)


def learning_curve_data(
    run: RunCurve | pd.DataFrame,
    baseline: Sequence[RunCurve] = (),
    metric: Metric = "accuracy",
    bound: float | None = None,
    published: Mapping[int, float] | None = None,
) -> pd.DataFrame:
    """The numbers behind `learning_curve`.

    Returns:
        Columns `kind` (run, random, published, bound), `series` (its name for people),
        `n_labelled` (missing for the bound), `value`, and `low`, `high` of the band (missing
        where there is none).
    """
    curve = run if isinstance(run, RunCurve) else as_curve(run)
    name = f"this run ({display_name(curve.acquisition)})" if curve.acquisition else "this run"
    parts = [_points("run", name, dict(zip(curve.n_labelled, getattr(curve, metric), strict=True)))]
    baseline = [one for one in baseline if len(one)]
    if baseline:
        mean = band(baseline, metric)
        name = f"random, mean of {len(baseline)} seeds" if len(baseline) > 1 else "random"
        part = _points("random", name, dict(zip(mean.n_labelled, mean["mean"], strict=True)))
        if len(baseline) > 1:
            part = part.assign(low=mean.low, high=mean.high)
        parts.append(part)
    if published:
        parts.append(_points("published", "published", dict(sorted(published.items()))))
    if bound is not None:
        parts.append(_points("bound", "trained on all images", {None: bound}))
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _points(kind: str, series: str, values: Mapping[int | None, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "kind": kind,
            "series": series,
            "n_labelled": pd.array(list(values), dtype="Int64"),
            "value": pd.array(list(values.values()), dtype="float64"),
            "low": float("nan"),
            "high": float("nan"),
        }
    )


def _look(series: str, colour: str) -> tuple[str, list[int]]:
    """Colour and dash pattern of a series."""
    if series.startswith("random"):
        return PALETTE["grey"], [1, 0]
    if series == "published":
        return colour, [2, 3]
    return (FULL_DATA if series == "trained on all images" else colour), [1, 0]


def _tooltips(metric: Metric) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("series:N", title="Curve"),
        alt.Tooltip("n_labelled:Q", title="Labels"),
        alt.Tooltip("value:Q", title=METRIC_TITLES[metric], format=VALUE_FORMATS[metric]),
    ]
