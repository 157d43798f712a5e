"""The images each function asks for, a row per function; images that several ask for are framed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from dal_core.explain.choices import shared
from dal_core.figures.axes import PADDING, axis
from dal_core.figures.examples import LabelledImages
from dal_core.figures.png import picture
from dal_core.results.titles import PALETTE, display_name

FRAME = PALETTE["vermillion"]
_CELL, _IMAGE = 58, 46
_NAMES = 150  # pixels; a page counts the names of the rows as width


def tens_figure(
    dataset: LabelledImages, chosen: Mapping[str, Sequence[int]]
) -> alt.LayerChart | alt.FacetChart:
    """Images best first; pointing at one marks it wherever it comes again.

    Args:
        chosen: image ids by function.
    """
    data = tens_data(dataset, chosen)
    urls = {i: picture(np.asarray(dataset.images[i])) for i in data.image_id.unique()}
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
            axis=axis(ticks=False, domain=False, labelLimit=150),
        ),
    )
    frame = base.transform_filter(alt.datum.n_askers > 1)
    side = _IMAGE + 6
    layers = [
        frame.mark_point(shape="square", size=side**2, filled=True, opacity=1).encode(
            color=alt.condition(pointed, alt.value(PALETTE["sky"]), alt.value(FRAME))
        ),
        base.mark_image(width=_IMAGE, height=_IMAGE)
        .encode(url="image:N", tooltip=_tooltip())
        .add_params(pointed),
        frame.mark_circle(size=190, opacity=1, color=FRAME, xOffset=19, yOffset=-19),
        frame.mark_text(
            xOffset=19, yOffset=-19, color="white", fontSize=10, fontWeight="bold"
        ).encode(text="n_askers:Q"),
    ]
    rows = max(1, data.function.nunique())
    return alt.layer(*layers).properties(
        width=_CELL * n + _NAMES, height=(_CELL + 2) * rows + 20, padding=PADDING
    )


def tens_data(dataset: LabelledImages, chosen: Mapping[str, Sequence[int]]) -> pd.DataFrame:
    """Columns `function` (its display name), `place`, `image_id`, `label`, `n_askers`, `askers`."""
    asked_by = shared(chosen)
    rows = [
        (
            display_name(name),
            place,
            image_id,
            int(dataset.labels[image_id]),
            len(asked_by[image_id]),
            ", ".join(display_name(other) for other in asked_by[image_id]),
        )
        for name, image_ids in chosen.items()
        for place, image_id in enumerate(image_ids, start=1)
    ]
    names = ["function", "place", "image_id", "label", "n_askers", "askers"]
    return pd.DataFrame(rows, columns=names)


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("image:N"),
        alt.Tooltip("image_id:Q", title="Image"),
        alt.Tooltip("label:N", title="MNIST says"),
        alt.Tooltip("askers:N", title="Asked for by"),
    ]
