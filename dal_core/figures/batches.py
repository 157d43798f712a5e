"""The batch of each function as a row of images; images in several batches are framed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from dal_core.figures.axes import PADDING, axis
from dal_core.figures.classes import Classes
from dal_core.figures.examples import LabelledImages
from dal_core.figures.png import image_data_uri
from dal_core.results.titles import PALETTE, TEXT, display_name

FRAME = PALETTE["vermillion"]
_CELL, _ROW, _IMAGE = 58, 74, 46
_NAMES = 150  # pixels for the names of the rows, which a page counts as width


def batches_figure(
    dataset: LabelledImages,
    chosen: Mapping[str, Sequence[int]],
    gains: Mapping[str, Sequence[float]],
    asked_by: Mapping[int, Sequence[str]] | None = None,
) -> alt.LayerChart | alt.FacetChart:
    """The images of each batch, best first; pointing at an image marks it in every row.

    Args:
        chosen: image ids of each function's batch, best first.
        gains: what each of these images adds to those before it, or its score.
        asked_by: all functions that ask for an image (`askers`), if the chart shows only some.
    """
    data = batches_data(dataset, chosen, gains, asked_by)
    urls = {i: image_data_uri(np.asarray(dataset.images[i]), 4) for i in data.image_id.unique()}
    shown = data.assign(image=[urls[i] for i in data.image_id])
    n = int(data.place.max()) if len(data) else 1
    pointed = alt.selection_point(
        name="pointed", on="pointerover", fields=["image_id"], empty=False
    )
    base = alt.Chart(shown).encode(
        x=alt.X(
            "place:O",
            title=None,
            scale=alt.Scale(domain=list(range(1, n + 1)), padding=0),
            axis=axis(orient="top", labelAngle=0, ticks=False, domain=False),
        ),
        y=alt.Y(
            "function:N",
            title=None,
            sort=list(dict.fromkeys(data.function)),
            scale=alt.Scale(padding=0),
            axis=axis(ticks=False, domain=False, labelLimit=150, minExtent=_NAMES),
        ),
    )
    frame = base.transform_filter(alt.datum.n_askers > 1)
    side = _IMAGE + 6
    layers = [
        frame.mark_point(shape="square", size=side**2, filled=True, opacity=1).encode(
            color=alt.condition(pointed, alt.value(PALETTE["sky"]), alt.value(FRAME))
        ),
        base.mark_image(width=_IMAGE, height=_IMAGE)
        .encode(url="image:N", tooltip=_tooltip(Classes.of(dataset)))
        .add_params(pointed),
        frame.mark_circle(size=190, opacity=1, color=FRAME, xOffset=19, yOffset=-19),
        frame.mark_text(
            xOffset=19, yOffset=-19, color="white", fontSize=10, fontWeight="bold"
        ).encode(text="n_askers:Q"),
        base.mark_text(yOffset=side / 2 + 7, fontSize=10, color=TEXT).encode(text="gain:N"),
    ]
    rows = max(1, data.function.nunique())
    return alt.layer(*layers).properties(
        width=_CELL * n + _NAMES, height=_ROW * rows + 20, padding=PADDING
    )


def batches_data(
    dataset: LabelledImages,
    chosen: Mapping[str, Sequence[int]],
    gains: Mapping[str, Sequence[float]],
    asked_by: Mapping[int, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """The numbers behind `batches_figure`.

    Returns:
        Columns `function` (its display name), `place`, `image_id`, `class` (a name), `n_askers`,
        `askers` (display names), `gain` (as text).
    """
    asked_by, classes = asked_by or askers(chosen), Classes.of(dataset)
    rows = [
        (
            display_name(name),
            place,
            image_id,
            classes.named([int(dataset.labels[image_id])])[0],
            len(asked_by[image_id]),
            ", ".join(display_name(other) for other in asked_by[image_id]),
            _short(gains[name][place - 1]),
        )
        for name, image_ids in chosen.items()
        for place, image_id in enumerate(image_ids, start=1)
    ]
    names = ["function", "place", "image_id", "class", "n_askers", "askers", "gain"]
    return pd.DataFrame(rows, columns=names)


def _short(gain: float) -> str:
    """Three digits, and no exponent for a large number."""
    return f"{gain:,.0f}" if abs(gain) >= 100 else f"{gain:.3g}"


def askers(chosen: Mapping[str, Sequence[int]]) -> dict[int, tuple[str, ...]]:
    """Image id -> the functions whose batch has it, for every image of any batch."""
    found: dict[int, tuple[str, ...]] = {}
    for name, image_ids in chosen.items():
        for image_id in image_ids:
            found[image_id] = (*found.get(image_id, ()), name)
    return found


def _tooltip(classes: Classes) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("image:N"),
        alt.Tooltip("image_id:Q", title="Image"),
        alt.Tooltip("class:N", title=f"{classes.title} in the data set"),
        alt.Tooltip("gain:N", title="Score or gain"),
        alt.Tooltip("askers:N", title="Asked for by"),
    ]
