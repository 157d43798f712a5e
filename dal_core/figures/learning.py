"""The chart of the Label page: the learning curve of a run against the random baseline.

The run is drawn with points, the baseline with a band, published values dotted, and the full-data
bound as a thin line. Points measured before a correction are hollow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

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
    minutes_axis,
)
from dal_core.results.crossings import band
from dal_core.results.curves import Metric, RunCurve, as_curve
from dal_core.results.titles import FULL_DATA, PRIMARY, display_name
from dal_core.results.titles import colour as function_colour

LONGEST_TITLE = 16  # characters of a function's title beside which "random" fits in a narrow legend


def learning_curve(
    run: RunCurve | pd.DataFrame,
    baseline: Sequence[RunCurve] = (),
    metric: Metric = "accuracy",
    bound: float | None = None,
    published: Mapping[int, float] | None = None,
    *,
    minutes: Mapping[int, float] | None = None,
    stale: Collection[int] = (),
    colour: str | None = None,
    width: int | str = "container",
    height: int = 230,
) -> alt.LayerChart | alt.FacetChart:
    """The curve of a run over its number of labels, with curves to compare it to.

    Args:
        run: the run, or its steps as columns `n_labelled`, `accuracy`, `mutual_information`; one
            point, or none, is enough.
        baseline: runs with acquisition `random`; several give their mean and a band of one
            population standard deviation, where all were measured.
        bound: the value of the model trained on all images.
        published: published values by number of labels.
        minutes: minutes of labelling by number of labels. If given, they are the x axis of every
            curve, and points without minutes are left out.
        stale: numbers of labels at which the run was measured before a correction.
        colour: colour of the run; default: that of its function, or another one if the baseline
            has the same function.
        width: pixels, or "container" to fill the page's column.

    Raises:
        ValueError: a column is missing.
    """
    data = learning_curve_data(run, baseline, metric, bound, published, minutes, stale)
    values = [*data.value, *data.low.dropna(), *data.high.dropna().clip(upper=1.0)]
    names = list(dict.fromkeys(data.series)) or ["this run"]  # an empty legend has no size
    colour = colour or _own_colour(run, baseline)
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
    if minutes is None:
        x = labels_axis(data.n_labelled.dropna(), at_least=ROOM, title="Labels in the training set")
    else:
        x = minutes_axis(data.minutes.dropna())
    shared = _Shared(x, metric_axis(values, metric), dash, _tooltips(metric, minutes is not None))
    base = alt.Chart(data).encode(color=series)
    layers = [
        layer
        for kind in ("random", "bound", "published", "run")
        if kind == "run" or kind in set(data.kind)  # a screen reader announces empty layers
        for layer in _LAYERS[kind](base.transform_filter(alt.datum.kind == kind), shared, data)
    ]
    summary = _in_words(data, metric)
    return alt.layer(*layers).properties(
        width=width, height=height, padding=PADDING, description=summary
    )


def learning_curve_data(
    run: RunCurve | pd.DataFrame,
    baseline: Sequence[RunCurve] = (),
    metric: Metric = "accuracy",
    bound: float | None = None,
    published: Mapping[int, float] | None = None,
    minutes: Mapping[int, float] | None = None,
    stale: Collection[int] = (),
) -> pd.DataFrame:
    """The numbers behind `learning_curve`.

    Returns:
        Columns `kind` (run, random, published, bound), `series` (display name), `n_labelled`
        (missing for the bound), `value`, `low` and `high` of the band (missing if there is none),
        `stale` (measured before a correction) and, if given, `minutes` of labelling.
    """
    curve = run if isinstance(run, RunCurve) else as_curve(run)
    title = display_name(curve.acquisition)
    if len(title) > LONGEST_TITLE:
        title = display_name(curve.acquisition, short=True)
    name = f"this run ({title})" if title else "this run"
    parts = [_points("run", name, curve.points(metric))]
    parts[0]["stale"] = parts[0].n_labelled.isin(list(stale))
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
    data = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    if minutes is None:
        return data
    data["minutes"] = [minutes.get(int(n)) if pd.notna(n) else None for n in data.n_labelled]
    return data[data.minutes.notna() | (data.kind == "bound")].reset_index(drop=True)


@dataclass(frozen=True)
class _Shared:
    """Axes, dashes and tooltip that all layers share."""

    x: alt.X
    y: alt.Y
    dash: alt.StrokeDash
    tooltip: list[alt.Tooltip]


def _random_layers(base: alt.Chart, at: _Shared, data: pd.DataFrame) -> Iterator[alt.Chart]:
    if data.low.notna().any():
        band = base.mark_area(opacity=0.25, clip=True)
        yield band.encode(x=at.x, y=alt.Y("low:Q"), y2="high:Q")
    yield base.mark_line(strokeWidth=2, clip=True).encode(x=at.x, y=at.y, strokeDash=at.dash)
    yield ends(base, "series").mark_circle(size=24, opacity=1).encode(x=at.x, y=at.y)
    yield _invisible(base, at)


def _bound_layers(base: alt.Chart, at: _Shared, data: pd.DataFrame) -> Iterator[alt.Chart]:
    tooltip = at.tooltip[:1] + at.tooltip[-1:]
    yield base.mark_rule(strokeWidth=1).encode(y=at.y, strokeDash=at.dash, tooltip=tooltip)


def _published_layers(base: alt.Chart, at: _Shared, data: pd.DataFrame) -> Iterator[alt.Chart]:
    yield base.mark_line(strokeWidth=2, clip=True).encode(x=at.x, y=at.y, strokeDash=at.dash)
    yield _invisible(base, at)
    points = base.mark_point(shape="diamond", size=45, strokeWidth=1.75, opacity=1)
    yield points.encode(x=at.x, y=at.y)


def _run_layers(base: alt.Chart, at: _Shared, data: pd.DataFrame) -> Iterator[alt.Chart]:
    points = data[data.kind == "run"]
    line = base.mark_line(strokeWidth=2.5, clip=True, aria=len(points) > 0)
    yield line.encode(x=at.x, y=at.y, strokeDash=at.dash)
    filled = base.transform_filter(~alt.datum.stale).mark_circle(size=36, opacity=1)
    hollow = base.transform_filter(alt.datum.stale).mark_point(
        size=40, strokeWidth=1.75, opacity=1, filled=False
    )
    if not points.stale.all():
        yield filled.encode(x=at.x, y=at.y, tooltip=at.tooltip)
    if points.stale.any():
        yield hollow.encode(x=at.x, y=at.y, tooltip=at.tooltip)


def _invisible(base: alt.Chart, at: _Shared) -> alt.Chart:
    """Invisible points that show the tooltip."""
    return base.mark_circle(size=90, opacity=0).encode(x=at.x, y=at.y, tooltip=at.tooltip)


_LAYERS = {
    "random": _random_layers,
    "bound": _bound_layers,
    "published": _published_layers,
    "run": _run_layers,
}


def _in_words(data: pd.DataFrame, metric: Metric) -> str:
    """The chart in words for a screen reader: the last value of each curve."""
    latest = data[data.n_labelled.notna()].groupby("series", sort=False).tail(1)
    parts = [
        f"{row.series} {row.value:{VALUE_FORMATS[metric]}} at {row.n_labelled} labels"
        for row in latest.itertuples()
    ]
    return f"{METRIC_TITLES[metric]}: {', '.join(parts) or 'nothing measured yet'}"


def _points(
    kind: str, series: str, values: Mapping[int, float] | Mapping[None, float]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "kind": kind,
            "series": series,
            "n_labelled": pd.array(list(values), dtype="Int64"),
            "value": pd.array(list(values.values()), dtype="float64"),
            "low": float("nan"),
            "high": float("nan"),
            "stale": False,
        }
    )


def _own_colour(run: RunCurve | pd.DataFrame, baseline: Sequence[RunCurve]) -> str:
    """The colour of the run's function; another one if the baseline has that colour."""
    own = run.acquisition if isinstance(run, RunCurve) else ""
    if not own or own in {one.acquisition for one in baseline}:
        return PRIMARY
    return function_colour(own)


def _look(series: str, colour: str) -> tuple[str, list[int]]:
    """Colour and dash pattern of a series."""
    if series.startswith("random"):
        return function_colour("random"), [1, 0]
    if series == "published":
        return colour, [2, 3]
    return (FULL_DATA if series == "trained on all images" else colour), [1, 0]


def _tooltips(metric: Metric, minutes: bool) -> list[alt.Tooltip]:
    spent = [alt.Tooltip("minutes:Q", title="Minutes", format=".1f")] if minutes else []
    return [
        alt.Tooltip("series:N", title="Curve"),
        alt.Tooltip("n_labelled:Q", title="Labels"),
        *spent,
        alt.Tooltip("value:Q", title=METRIC_TITLES[metric], format=VALUE_FORMATS[metric]),
    ]
