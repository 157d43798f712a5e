"""Charts of one step of a run: confusion matrix, accuracy by class, balance of the labels.

The numbers come from `dal_core.results.run_history`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from dal_core.figures.axes import (
    METRIC_TITLES,
    PADDING,
    ROOM,
    VALUE_FORMATS,
    axis,
    ends,
    labels_axis,
    legend,
    metric_axis,
    plain_legend,
)
from dal_core.figures.classes import Classes
from dal_core.results.curves import Metric, RunCurve
from dal_core.results.run_history import class_accuracy
from dal_core.results.titles import PALETTE, PRIMARY
from dal_core.results.titles import colour as function_colour
from dal_core.run.events import Confusion

Width = int | str
# A confusion matrix has light cells with dark numbers, on light pages and on dark ones.
_RIGHT, _WRONG, _INK = "#a9cfe6", ("#fdeade", "#e8803f"), "#111827"
_DASHES = ([1, 0], [6, 4], [1.5, 3], [8, 3, 1.5, 3])  # for runs with the same function
_BARS = {"labelled": PRIMARY, "pool": PALETTE["grey"]}


def confusion_figure(
    confusion: Confusion, classes: Classes, *, width: Width = "container", height: int = 320
) -> alt.LayerChart | alt.FacetChart:
    """Test images by label (row) and predicted class (column); mistakes are coloured."""
    data = confusion_data(confusion, classes)
    most_wrong = int(data.images[~data.right].max())
    any_right = bool(data.images[data.right].any())
    x = classes.axis(alt.X, "predicted", "Predicted", orient="top")
    y = classes.axis(alt.Y, "label", "Label")
    tooltip = [
        alt.Tooltip("label:O", title="Label"),
        alt.Tooltip("predicted:O", title="Predicted"),
        alt.Tooltip("images:Q", title="Images"),
        alt.Tooltip("share:Q", title="Of this label", format=".1%"),
    ]
    base = alt.Chart(data).encode(x=x, y=y, tooltip=tooltip)
    # aria: hides empty layers, which a screen reader would announce without a name
    cells = alt.layer(
        base.transform_filter(alt.datum.right & (alt.datum.images > 0)).mark_rect(
            color=_RIGHT, aria=any_right
        ),
        base.transform_filter(~alt.datum.right & (alt.datum.images > 0))
        .mark_rect(aria=most_wrong > 0)
        .encode(
            color=alt.Color(
                "images:Q",
                scale=alt.Scale(domain=[1, max(most_wrong, 2)], range=list(_WRONG), type="sqrt"),
                legend=None,
            )
        ),
        base.transform_filter(alt.datum.images > 0)
        .mark_text(fontSize=11, color=_INK)
        .encode(text=alt.Text("images:Q")),
    )
    return cells.properties(width=width, height=height, padding=PADDING)


def confusion_data(confusion: Confusion, classes: Classes) -> pd.DataFrame:
    """The numbers behind `confusion_figure`.

    Returns:
        Columns `label` and `predicted` (names), `images`, `share` (of the label's images), `right`.
    """
    counts = np.array(confusion)
    rows, columns = np.indices(counts.shape)
    of_label = np.maximum(counts.sum(1), 1)
    return pd.DataFrame(
        {
            "label": classes.named(rows.ravel()),
            "predicted": classes.named(columns.ravel()),
            "images": counts.ravel(),
            "share": (counts / of_label[:, None]).ravel(),
            "right": (rows == columns).ravel(),
        }
    )


def class_accuracy_figure(
    confusion: Confusion,
    classes: Classes,
    before: Confusion | None = None,
    *,
    width: Width = "container",
    height: int = 180,
) -> alt.LayerChart | alt.FacetChart:
    """Test accuracy of each class as a bar, with a mark for the previous step."""
    data = class_accuracy_data(confusion, classes, before)
    y = alt.Y(
        "accuracy:Q",
        title="Right",
        scale=alt.Scale(domain=[0, 1]),
        axis=axis(format=".0%", tickCount=4),
    )
    x = classes.axis(alt.X, "label", classes.title)
    tooltip = [
        alt.Tooltip("label:O", title=classes.title),
        alt.Tooltip("accuracy:Q", title="Right now", format=".1%"),
        alt.Tooltip("before:Q", title="Step before", format=".1%"),
    ]
    base = alt.Chart(data).encode(x=x, tooltip=tooltip)
    chart = alt.layer(
        base.mark_bar(color=PRIMARY, opacity=0.75).encode(y=y),
        base.transform_filter("isValid(datum.before)")
        .mark_tick(color=PALETTE["orange"], thickness=3, width=16, aria=before is not None)
        .encode(y="before:Q"),
    )
    return chart.properties(width=width, height=height, padding=PADDING)


def class_accuracy_data(
    confusion: Confusion, classes: Classes, before: Confusion | None = None
) -> pd.DataFrame:
    """The numbers behind `class_accuracy_figure`: `label`, `accuracy` and `before` (or NaN)."""
    now = class_accuracy(confusion)
    earlier = np.full(len(now), np.nan) if before is None else class_accuracy(before)
    return pd.DataFrame({"label": list(classes.names), "accuracy": now, "before": earlier})


def balance_figure(
    labelled: Sequence[int],
    pool: Sequence[int],
    classes: Classes,
    *,
    width: Width = "container",
    height: int = 200,
) -> alt.Chart:
    """Share of each class in the labelled set, beside its share in the pool."""
    data = balance_data(labelled, pool, classes)
    x = classes.axis(alt.X, "label", classes.title)
    y = alt.Y("share:Q", title="Share", axis=axis(format=".0%", tickCount=4))
    colour = alt.Color(
        "of:N",
        title=None,
        scale=alt.Scale(domain=list(_BARS), range=list(_BARS.values())),
        legend=plain_legend(symbolType="square"),
    )
    tooltip = [
        alt.Tooltip("of:N", title="Of"),
        alt.Tooltip("label:O", title=classes.title),
        alt.Tooltip("images:Q", title="Images"),
        alt.Tooltip("share:Q", title="Share", format=".1%"),
    ]
    offset = alt.XOffset("of:N", sort=list(_BARS))
    chart = alt.Chart(data).mark_bar().encode(x=x, y=y, xOffset=offset, color=colour)
    return chart.encode(tooltip=tooltip).properties(width=width, height=height, padding=PADDING)


def balance_data(labelled: Sequence[int], pool: Sequence[int], classes: Classes) -> pd.DataFrame:
    """The numbers behind `balance_figure`: `of` (labelled, pool), `label`, `images`, `share`."""
    frames = []
    for name, counts in (("labelled", labelled), ("pool", pool)):
        images = np.asarray(counts)
        share = images / max(int(images.sum()), 1)
        values = {"of": name, "label": list(classes.names), "images": images, "share": share}
        frames.append(pd.DataFrame(values))
    return pd.concat(frames, ignore_index=True)


def steps_figure(
    runs: Mapping[str, RunCurve],
    n_labelled: int,
    metric: Metric = "accuracy",
    *,
    width: Width = "container",
    height: int = 200,
) -> alt.LayerChart | alt.FacetChart:
    """A measure of runs over their labels, with a vertical rule at the shown step.

    Each run has the colour of its function; runs of the same function have different dashes.

    Args:
        runs: display name -> run.
        n_labelled: labels at the shown step.
    """
    frames = [
        pd.DataFrame({"series": name, "n_labelled": list(points), "value": list(points.values())})
        for name, points in ((name, run.points(metric)) for name, run in runs.items())
    ]
    data = pd.concat(frames, ignore_index=True)
    colour = alt.Color(
        "series:N",
        title=None,
        scale=alt.Scale(
            domain=list(runs), range=[function_colour(run.acquisition) for run in runs.values()]
        ),
        legend=legend(columns=2),
    )
    dash = alt.StrokeDash(
        "series:N", title=None, scale=alt.Scale(domain=list(runs), range=_dashes(runs))
    )
    tooltip = [
        alt.Tooltip("series:N", title="Run"),
        alt.Tooltip("n_labelled:Q", title="Labels"),
        alt.Tooltip("value:Q", title=METRIC_TITLES[metric], format=VALUE_FORMATS[metric]),
    ]
    x = labels_axis([*data.n_labelled, n_labelled], at_least=ROOM, title="Labels")
    y = metric_axis(data.value, metric)
    base = alt.Chart(data).encode(x=x, color=colour)
    rule = alt.Chart(pd.DataFrame({"n_labelled": [n_labelled]}))
    layers = [
        rule.mark_rule(color=PALETTE["grey"], strokeWidth=1.5, strokeDash=[4, 3]).encode(
            x="n_labelled:Q"
        ),
        base.mark_line(strokeWidth=2, clip=True).encode(y=y, strokeDash=dash),
        ends(base, "series").mark_circle(size=20, opacity=1).encode(y=y),
        base.transform_filter(alt.datum.n_labelled == n_labelled)
        .mark_circle(size=70, opacity=1)
        .encode(y=y),
        base.mark_circle(size=80, opacity=0).encode(y=y, tooltip=tooltip),
    ]
    return alt.layer(*layers).properties(width=width, height=height, padding=PADDING)


def _dashes(runs: Mapping[str, RunCurve]) -> list[list[float]]:
    """A dash pattern for each run: solid for the first of a function."""
    functions = [run.acquisition for run in runs.values()]
    earlier = [functions[:place].count(name) for place, name in enumerate(functions)]
    return [list(_DASHES[n % len(_DASHES)]) for n in earlier]
