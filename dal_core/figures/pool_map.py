"""A map of the pool: thousands of images as points, with a slider over the queries.

The slider is part of the chart, so moving it needs no server and the points do not move.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dal_core.figures.axes import PADDING, axis, plain_legend
from dal_core.figures.classes import Classes
from dal_core.figures.spec import filled, form
from dal_core.results.titles import PALETTE, PRIMARY, display_name

CLASS = "class"
ASKED = PALETTE["vermillion"]
_COLUMNS = ["image_id", "x", "y", "step", "skipped", "class", "said", "image"]


def pool_map_spec(
    points: pd.DataFrame, by: str, n_steps: int, classes: Classes, height: int = 520
) -> dict[str, Any]:
    """Images as points; those in the query of the slider's step are larger and ringed.

    Args:
        points: a row per image: `image_id`, `x`, `y`; `step` of the query it was in (-1: initial
            set, -2: none, `n_steps`: current query); `skipped`; `class` (name of the data set's
            class); `said` (the answer, as text); `image` (a data URI); and a column of scores for
            each function to colour by.
        by: what to colour by: CLASS, or the name of a function's column.
        n_steps: number of answered queries; the slider goes from 0 to `n_steps`.
    """
    columns = _COLUMNS if by == CLASS else [*_COLUMNS, by]
    if by != CLASS:  # draw the highest scores on top
        points = points.sort_values(by, na_position="last", kind="stable")
    slider = alt.binding_range(min=0, max=n_steps, step=1, name="Query  ")
    step = alt.param(name="step", value=n_steps, bind=slider if n_steps else alt.Undefined)
    asked, before, rest, skipped = _states()
    base = (
        alt.Chart(alt.NamedData("points"))
        .transform_calculate(image=f"'{prefix(points)}' + datum.image")
        .encode(
            x=place("x", points),
            y=place("y", points),
            color=_colour(points, by, classes),
            tooltip=_tooltip(by, classes),
        )
    )
    layers = [
        base.transform_filter(rest).mark_circle(size=22, opacity=0.55),
        _labelled(base.transform_filter(before), by),
        base.transform_filter(skipped)
        .mark_point(shape="cross", size=110, filled=True, opacity=1, angle=45)
        .encode(color=alt.value(PALETTE["grey"])),
        base.transform_filter(asked)
        .mark_point(shape="circle", size=190, filled=True, opacity=1, strokeWidth=3)
        .encode(stroke=alt.value(ASKED)),
    ]
    if by == CLASS:
        layers.append(_names(base, points))
    else:  # an image without a score is no point of a coloured layer
        layers.append(
            base.transform_filter(f"{asked} && !isValid(datum['{by}'])")
            .mark_point(shape="circle", size=190, filled=False, opacity=1, strokeWidth=3)
            .encode(color=alt.value(ASKED))
        )
    chart = alt.layer(*layers).add_params(step)
    # Referred to by name, because Altair allows at most 5,000 rows in an inline table.
    table = {"points": compact(points[columns])}
    return filled(form(chart.properties(width="container", height=height, padding=PADDING)), table)


def _labelled(base: alt.Chart, by: str) -> alt.Chart:
    """Labelled images, which are no longer scored."""
    marks = base.mark_point(shape="diamond", size=80, filled=True, opacity=1, strokeWidth=1.2)
    if by == CLASS:
        return marks.encode(stroke=alt.value(PALETTE["grey"]))
    return marks.encode(color=alt.value(PRIMARY))


def _states() -> tuple[str, str, str, str]:
    """Filters: queried at the slider's step, labelled before, not yet queried, skipped before."""
    asked = "datum.step == step"
    before = "datum.step < step && datum.step >= -1"
    rest = "datum.step > step || datum.step == -2"
    return asked, f"{before} && !datum.skipped", rest, f"{before} && datum.skipped"


def compact(points: pd.DataFrame) -> pd.DataFrame:
    """The points with rounded numbers and images without their common prefix: half the size."""
    shared = len(prefix(points))
    numbers = {
        name: points[name].round(4) for name in points.columns if points[name].dtype == float
    }
    return points.assign(image=[uri[shared:] for uri in points.image], **numbers)


def prefix(points: pd.DataFrame) -> str:
    """The common prefix of all images, which is that of the first and last in sorted order."""
    first, last = min(points.image), max(points.image)
    differs = (n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return str(first[: next(differs, len(first))])


def place(name: str, points: pd.DataFrame) -> Any:
    """The axis of a direction of the map, "x" or "y", whose range holds all points."""
    kind = alt.X if name == "x" else alt.Y
    title = "first direction" if name == "x" else "second direction"
    low, high = float(points[name].min()), float(points[name].max())
    room = 0.03 * (high - low) or 1.0
    domain = [low - room, high + room]  # of all points, so that the slider does not change it
    hidden = axis(labels=False, ticks=False, grid=False)
    return kind(f"{name}:Q", title=title, axis=hidden, scale=alt.Scale(domain=domain, nice=False))


def _colour(points: pd.DataFrame, by: str, classes: Classes) -> alt.Color:
    if by == CLASS:
        others = sorted({*points["class"]} - {*classes.names})  # images of unknown class
        scale = alt.Scale(
            domain=[*classes.names, *others],
            range=classes.colours() + [PALETTE["grey"]] * len(others),
        )
        legend = plain_legend(
            "top",
            columns=min(10, len(classes)),
            symbolType="circle",
            symbolSize=90,
            symbolOpacity=1,
            symbolStrokeWidth=0,  # otherwise the grey edge of labelled images hides the colour
        )
        return alt.Color("class:N", title=None, scale=scale, legend=legend)
    top = float(points[by].max())
    return alt.Color(
        f"{by}:Q",
        title=display_name(by),
        # grey to a warm colour: both ends are visible on light and dark pages
        scale=alt.Scale(
            domain=[0, top / 2, top], range=["#a3adbb", "#f59e0b", "#c2185b"], interpolate="rgb"
        ),
        legend=plain_legend("top", gradientLength=220, titleOrient="left"),
    )


def _tooltip(by: str, classes: Classes) -> list[alt.Tooltip]:
    tooltip = [
        alt.Tooltip("image:N"),
        alt.Tooltip("image_id:Q", title="Image"),
        alt.Tooltip("class:N", title=f"{classes.title} in the data set"),
        alt.Tooltip("said:N", title="Answer"),
    ]
    return (
        tooltip
        if by == CLASS
        else [*tooltip, alt.Tooltip(f"{by}:Q", title=display_name(by), format=".3f")]
    )


def _names(base: alt.Chart, points: pd.DataFrame) -> alt.Chart:
    """The name of each class at the median of its points, since ten colours are hard to tell."""
    return (
        base.transform_aggregate(x="median(x)", y="median(y)", groupby=["class"])
        .mark_text(fontSize=20, fontWeight="bold", stroke="white", strokeWidth=0.6)
        .encode(x=place("x", points), y=place("y", points), text="class:N", tooltip=alt.value(None))
    )
