"""Figure 1 of the report: thirty digits of the data set with their labels."""

from __future__ import annotations

import base64
import io
from typing import Protocol

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

N_DIGITS, _COLUMNS, _SIZE = 30, 10, 56


class LabelledImages(Protocol):
    """What is needed of a data set: images uint8 [n, h, w], labels [n], ids of test images."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """All images."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Their labels."""

    @property
    def test_ids(self) -> NDArray[np.int64] | None:
        """The images of a test set of its own, None where it has none."""


def digits_figure(
    dataset: LabelledImages, ids: NDArray[np.int64] | None = None
) -> alt.LayerChart | alt.FacetChart:
    """Thirty images, ten in a row, each under its label.

    Args:
        ids: the images to show; default: thirty spread evenly over those not in the test set.
    """
    data = digits_data(dataset, ids)
    urls = [_data_url(dataset.images[image_id]) for image_id in data.image_id]
    shown = data.assign(url=urls, label=data.label.map(str))
    shown = shown.assign(column=data.index % _COLUMNS, row=data.index // _COLUMNS)
    n_rows = int(shown.row.max()) + 1 if len(shown) else 1
    x = alt.X("column:O", axis=None, scale=alt.Scale(domain=list(range(_COLUMNS)), padding=0))
    y = alt.Y("row:O", axis=None, scale=alt.Scale(domain=list(range(n_rows)), padding=0))
    base = alt.Chart(shown).encode(x=x, y=y, tooltip=["image_id:Q", "label:N"])
    layers = alt.layer(
        base.mark_image(width=_SIZE - 8, height=_SIZE - 8, yOffset=8).encode(url="url:N"),
        base.mark_text(dy=-_SIZE // 2 + 2, fontSize=12).encode(text="label:N"),
    )
    return layers.properties(width=_COLUMNS * _SIZE, height=n_rows * (_SIZE + 18))


def digits_data(dataset: LabelledImages, ids: NDArray[np.int64] | None = None) -> pd.DataFrame:
    """Columns `image_id` and `label` of the images `digits_figure` shows."""
    if ids is None:
        test = () if dataset.test_ids is None else dataset.test_ids
        known = np.setdiff1d(np.arange(len(dataset.images)), test)
        ids = known[np.linspace(0, len(known) - 1, min(N_DIGITS, len(known))).astype(np.int64)]
    return pd.DataFrame({"image_id": ids, "label": np.asarray(dataset.labels)[ids]})


def _data_url(image: NDArray[np.uint8]) -> str:
    """Black on white as in print, enlarged fourfold so that viewers do not blur the pixels."""
    large = np.kron(255 - image, np.ones((4, 4), np.uint8))
    buffer = io.BytesIO()
    Image.fromarray(large).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
