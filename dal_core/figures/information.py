"""What a batch's labels tell together, beside the sum of what each tells alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from dal_core.figures.axes import PADDING, axis
from dal_core.results.titles import TEXT, colour, display_name

if TYPE_CHECKING:
    from dal_core.explain.information import Information

SUM, JOINT = "sum of single scores", "joint information"


def information_figure(found: Mapping[str, Information]) -> alt.LayerChart | alt.FacetChart:
    """The joint and the summed information after 1, 2, ... images of each function's batch.

    Joint information is a solid line, the sum a dashed one; a grey line is the bound ln T.

    Raises:
        ValueError: `found` is empty.
    """
    if not found:
        raise ValueError("found is empty; allowed: one batch or more")
    data = information_data(found)
    names = list(dict.fromkeys(data.function))
    bound = max(one.bound for one in found.values())
    n_samples = max(one.n_samples for one in found.values())
    base = alt.Chart(data).encode(
        x=alt.X("images:Q", title="images", axis=axis(tickMinStep=1, grid=False)),
        y=alt.Y("nats:Q", title="nats", axis=axis(tickCount=6)),
        color=alt.Color(
            "function:N",
            title=None,
            scale=alt.Scale(domain=names, range=[colour(name) for name in found]),
            legend=alt.Legend(orient="top", padding=0, symbolType="stroke", labelLimit=200),
        ),
        tooltip=[
            alt.Tooltip("function:N", title="Batch of"),
            alt.Tooltip("kind:N", title="What"),
            alt.Tooltip("images:Q", title="Images"),
            alt.Tooltip("nats:Q", title="Nats", format=".2f"),
        ],
    )
    text = f"bound: ln {n_samples} = {bound:.2f}"
    limit = alt.Chart(pd.DataFrame({"nats": [bound], "images": [0], "text": [text]}))
    layers = alt.layer(
        limit.mark_rule(color=TEXT, strokeDash=[2, 3]).encode(y="nats:Q"),
        limit.mark_text(align="left", dx=4, dy=-7, color=TEXT).encode(
            x="images:Q", y="nats:Q", text="text:N"
        ),
        base.mark_line(strokeWidth=2.5).encode(
            strokeDash=alt.StrokeDash(
                "kind:N", scale=alt.Scale(domain=[JOINT, SUM], range=[[1, 0], [5, 4]]), legend=None
            )
        ),
        base.mark_circle(size=36, opacity=1).encode(detail="kind:N"),
    )
    return layers.properties(width="container", height=260, padding=PADDING)


def information_data(found: Mapping[str, Information]) -> pd.DataFrame:
    """Columns `function` (its display name), `kind`, `images` and `nats`."""
    rows = [
        (display_name(name), kind, images, nats)
        for name, one in found.items()
        for kind, values in ((JOINT, one.joint), (SUM, one.summed))
        for images, nats in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["function", "kind", "images", "nats"])
