"""The weight of the pool that is not covered, with a slider over the picks of a batch.

The slider is part of the chart, as that of `pool_map`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from dal_core.figures.axes import PADDING, axis, plain_legend
from dal_core.figures.pool_map import ASKED, compact, place, prefix
from dal_core.figures.spec import filled, form
from dal_core.results.titles import PRIMARY, TEXT, colour, display_name

if TYPE_CHECKING:
    from dal_core.explain.uncovered import Uncovered


def coverage_map_spec(
    points: pd.DataFrame,
    picks: pd.DataFrame,
    labelled: pd.DataFrame,
    totals: np.ndarray,
    noun: str,
    height: int = 480,
) -> dict[str, Any]:
    """Images as points, coloured by the weight that the slider's picks leave uncovered.

    Args:
        points: a row per image to be covered: `image_id`, `x`, `y`, `class`, `image` (a data URI)
            and `left_0`, `left_1`, ...: the weight not covered after that many picks.
        picks: a row per pick, in order: `number` from 1, `image_id`, `x`, `y`, `class`, `image`.
        labelled: `x` and `y` of the labelled images.
        totals: [b + 1] sum of the weight not covered after each number of picks.
        noun: word for a class, such as "digit".
    """
    n = len(picks)
    slider = alt.binding_range(min=0, max=n, step=1, name="Picks  ")
    step = alt.param(name="picks", value=n, bind=slider)
    everything = pd.concat([points[["x", "y"]], picks[["x", "y"]], labelled])
    x, y = place("x", everything), place("y", everything)
    top = float(points.left_0.quantile(0.99)) or 1.0
    left = alt.Color(
        "left:Q",
        title="weight not covered",
        scale=alt.Scale(
            domain=[0, top / 2, top],
            range=["#a3adbb", "#f59e0b", "#c2185b"],
            interpolate="rgb",
            clamp=True,
        ),
        legend=plain_legend("top", gradientLength=220, titleOrient="left"),
    )
    shared = f"'{prefix(pd.concat([points[['image']], picks[['image']]]))}' + datum.image"
    seen = [
        alt.Tooltip("image:N"),
        alt.Tooltip("image_id:Q", title="Image"),
        alt.Tooltip("class:N", title=f"{noun[:1].upper()}{noun[1:]} in the data set"),
    ]
    cloud = alt.Chart(alt.NamedData("points")).transform_calculate(
        image=shared, left="datum['left_' + picks]"
    )
    chosen = (
        alt.Chart(alt.NamedData("picks"))
        .transform_calculate(image=shared)
        .transform_filter("datum.number <= picks")
        .encode(x=x, y=y, tooltip=[alt.Tooltip("number:Q", title="Pick"), *seen])
    )
    layers = [
        cloud.mark_circle(size=26, opacity=0.75).encode(
            x=x, y=y, color=left, tooltip=[*seen, alt.Tooltip("left:Q", format=".3f")]
        ),
        alt.Chart(alt.NamedData("labelled"))
        .mark_point(shape="diamond", size=60, filled=True, opacity=1, color=PRIMARY)
        .encode(x=x, y=y),
        chosen.mark_circle(size=330, opacity=1, color="white", stroke=ASKED, strokeWidth=3),
        chosen.mark_text(fontSize=11, fontWeight="bold", color="#0f172a").encode(text="number:Q"),
        alt.Chart(alt.NamedData("totals"))
        .transform_filter("datum.number == picks")
        .mark_text(align="left", baseline="top", fontSize=15, fontWeight="bold", color=TEXT)
        .encode(x=alt.value(8), y=alt.value(8), text="text:N"),
    ]
    chart = alt.layer(*layers).add_params(step)
    everyone = pd.concat([points.assign(number=0), picks], ignore_index=True)
    small = compact(everyone)
    tables = {
        "points": small[: len(points)].drop(columns="number"),
        "picks": small[len(points) :][list(picks.columns)],
        "labelled": labelled,
        "totals": totals_data(totals),
    }
    return filled(form(chart.properties(width="container", height=height, padding=PADDING)), tables)


def totals_data(totals: np.ndarray) -> pd.DataFrame:
    """Columns `number` of picks and `text`: the weight not covered, and its share."""
    first = totals[0] or 1.0
    texts = [
        f"not covered: {total:.1f} of {totals[0]:.1f} ({total / first:.1%})" for total in totals
    ]
    return pd.DataFrame({"number": range(len(totals)), "text": texts})


def covered_figure(found: Mapping[str, Uncovered]) -> alt.LayerChart | alt.FacetChart:
    """The share of the weight that each function's batch covers after 0, 1, ... picks."""
    data = covered_data(found)
    base = alt.Chart(data).encode(
        x=alt.X("picks:Q", title="picks", axis=axis(tickMinStep=1, grid=False)),
        y=alt.Y("covered:Q", title="weight covered", axis=axis(format=".0%", tickCount=5)),
        color=alt.Color(
            "function:N",
            title=None,
            scale=alt.Scale(
                domain=list(dict.fromkeys(data.function)), range=[colour(name) for name in found]
            ),
            legend=alt.Legend(orient="top", padding=0, symbolType="stroke", labelLimit=200),
        ),
        tooltip=[
            alt.Tooltip("function:N", title="Batch of"),
            alt.Tooltip("picks:Q", title="Picks"),
            alt.Tooltip("covered:Q", title="Weight covered", format=".1%"),
        ],
    )
    layers = alt.layer(base.mark_line(strokeWidth=2.5), base.mark_circle(size=36, opacity=1))
    return layers.properties(width="container", height=220, padding=PADDING)


def covered_data(found: Mapping[str, Uncovered]) -> pd.DataFrame:
    """Columns `function` (its display name), `picks` and `covered`, a share."""
    rows = [
        (display_name(name), picks, (one.totals[0] - total) / (one.totals[0] or 1.0))
        for name, one in found.items()
        for picks, total in enumerate(one.totals.tolist())
    ]
    return pd.DataFrame(rows, columns=["function", "picks", "covered"])
