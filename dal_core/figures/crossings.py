"""Figure 4 of the report: where the runs of a function, and their mean, cross an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from dal_core.figures.axes import PADDING, ROOM, axis, labels_axis, legend
from dal_core.results.crossings import average_step, band, step_average
from dal_core.results.curves import RunCurve
from dal_core.results.titles import PALETTE, colour, display_name

_MEAN = "mean of the runs"
_RUN_COLOURS = [PALETTE[name] for name in ("sky", "orange", "green", "purple", "blue")]
_DASHES = {"run": [1, 0], "Step-Average": [6, 4], "Average-Step": [1.5, 3]}


def crossings_figure(
    runs: Sequence[RunCurve],
    error: float = 0.05,
    *,
    width: int | str = "container",
    height: int = 320,
) -> alt.LayerChart | alt.FacetChart:
    """The error of a function's runs and of their mean, with the crossings of `error`.

    Vertical lines show each run's first crossing (solid), their average (Step-Average, dashed) and
    the crossing of the averaged curve (Average-Step, dotted). If the error is never reached, there
    is no line and the legend shows "never".
    """
    data = crossings_data(runs, error)
    curves = data[data.kind == "error"]
    names = list(dict.fromkeys(data.series[data.kind.isin(["error", "run"])])) or [_MEAN]
    function = colour(runs[0].acquisition) if runs else PALETTE["grey"]
    colours = [
        function if name == _MEAN else _RUN_COLOURS[i % len(_RUN_COLOURS)]
        for i, name in enumerate(names)
    ]
    x = labels_axis(curves.n_labelled.dropna(), at_least=ROOM, title="Labels in the training set")
    top = max([0.2, *curves["value"]])
    y = alt.Y(
        "value:Q",
        title="Test error",
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=axis(format=".0%", tickCount=6),
    )
    by_series = alt.Color(
        "series:N",
        title=None,
        scale=alt.Scale(domain=names, range=colours),
        legend=legend(columns=4),
    )
    lines = list(dict.fromkeys(data.label[data.kind.isin(_DASHES)]))
    by_label = dict(zip(data.label, data.kind, strict=True))
    dashes: list[Any] = [_DASHES[by_label[line]] for line in lines]
    by_line = alt.StrokeDash(
        "label:N",
        title=None,
        scale=alt.Scale(domain=lines, range=dashes),
        legend=legend(
            "bottom", symbolSize=500, symbolStrokeWidth=1.5, symbolStrokeColor=PALETTE["grey"]
        ),
    )
    number = [alt.Tooltip("n_labelled:Q", title="Labels", format="~g")]
    error_tooltip = alt.Tooltip("value:Q", title="Test error", format=".1%")
    base = alt.Chart(data).encode(color=by_series)
    kind = alt.datum.kind
    reached = alt.expr.isValid(alt.datum.n_labelled)
    errors, found = data[data.kind == "error"], data[data.kind != "error"]
    is_run, is_mean = errors.series != _MEAN, errors.series == _MEAN
    # aria: hides empty layers, which a screen reader would announce without a name
    layers = [
        alt.Chart(pd.DataFrame({"value": [error]}))
        .mark_rule(strokeWidth=1, color=PALETTE["grey"])
        .encode(y=y),
        base.transform_filter((kind == "error") & (alt.datum.series != _MEAN))
        .mark_line(strokeWidth=1.25, aria=bool(is_run.any()))
        .encode(x=x, y=y),
        base.transform_filter((kind == "error") & (alt.datum.series == _MEAN))
        .mark_line(strokeWidth=2.75, aria=bool(is_mean.any()))
        .encode(x=x, y=y),
        base.transform_filter(kind == "error")
        .mark_circle(size=60, opacity=0)
        .encode(x=x, y=y, tooltip=["series:N", *number, error_tooltip]),
        base.transform_filter((kind != "error") & reached)
        .mark_rule(strokeWidth=1.5, aria=bool(found.n_labelled.notna().any()))
        .encode(x=x, strokeDash=by_line, tooltip=["series:N", "label:N", *number]),
    ]
    return alt.layer(*layers).properties(width=width, height=height, padding=PADDING)


def crossings_data(runs: Sequence[RunCurve], error: float = 0.05) -> pd.DataFrame:
    """The numbers behind `crossings_figure`.

    Returns:
        Columns `kind` (error: a point of a curve; run, Step-Average, Average-Step: a crossing),
        `series` (the run, or the mean), `label` (legend of a crossing), `n_labelled` (missing if
        the error is never reached) and `value` (test error, 0 .. 1).
    """
    name = display_name(runs[0].acquisition) if runs else ""
    average, mean = step_average(runs, error), band(runs)
    rows: list[tuple[str, str, str, float | None, float]] = []
    for run, crossed in zip(runs, average.labels, strict=True):
        series = f"{name}, seed {run.seed}" + ("" if crossed is not None else " (never)")
        rows += [
            ("error", series, "", n, 1 - accuracy)
            for n, accuracy in zip(run.n_labelled, run.accuracy, strict=True)
        ]
        rows.append(("run", series, "a run's crossing", crossed, error))
    rows += [
        ("error", _MEAN, "", n, 1 - accuracy)
        for n, accuracy in zip(mean.n_labelled, mean["mean"], strict=True)
    ]
    averages = {"Step-Average": average.mean, "Average-Step": average_step(runs, error)}
    for kind, value in averages.items():
        reached = f"{value:.1f}".removesuffix(".0") if value is not None else "never"
        rows.append((kind, _MEAN, f"{kind}: {reached}", value, error))
    return pd.DataFrame(rows, columns=["kind", "series", "label", "n_labelled", "value"])
