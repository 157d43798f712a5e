"""Figure 1 of the report: thirty images of the data set with their labels."""

from __future__ import annotations

from typing import Protocol

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dal_core.figures.png import image_data_uri

N_EXAMPLES, _COLUMNS, _SIZE = 30, 10, 56


class LabelledImages(Protocol):
    """The part of a data set that charts need to show its images."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """All images, uint8 [n, H, W] or [n, H, W, 3]."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels of the images [n]; negative if unknown."""

    @property
    def test_ids(self) -> NDArray[np.int64] | None:
        """Ids of its own test set [n]; None if it has none."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""

    @property
    def noun(self) -> str:
        """Word for a class, such as "digit"."""


def examples_figure(
    dataset: LabelledImages, ids: NDArray[np.int64] | None = None
) -> alt.LayerChart | alt.FacetChart:
    """Thirty images in rows of ten, each under its label.

    Args:
        ids: the images to show; default: thirty, spread evenly over the labelled images outside
            the test set.
    """
    data = examples_data(dataset, ids)
    urls = [image_data_uri(_printed(dataset.images[image_id]), 4) for image_id in data.image_id]
    shown = data.assign(url=urls, column=data.index % _COLUMNS, row=data.index // _COLUMNS)
    n_rows = int(shown.row.max()) + 1 if len(shown) else 1
    x = alt.X("column:O", axis=None, scale=alt.Scale(domain=list(range(_COLUMNS)), padding=0))
    y = alt.Y("row:O", axis=None, scale=alt.Scale(domain=list(range(n_rows)), padding=0))
    base = alt.Chart(shown).encode(x=x, y=y, tooltip=["image_id:Q", "label:N"])
    layers = alt.layer(
        base.mark_image(width=_SIZE - 8, height=_SIZE - 8, yOffset=8).encode(url="url:N"),
        base.mark_text(dy=-_SIZE // 2 + 2, fontSize=12, limit=_SIZE).encode(text="label:N"),
    )
    return layers.properties(width=_COLUMNS * _SIZE, height=n_rows * (_SIZE + 18))


def examples_data(dataset: LabelledImages, ids: NDArray[np.int64] | None = None) -> pd.DataFrame:
    """Columns `image_id` and `label` (name of the class) of the images in `examples_figure`."""
    labels = np.asarray(dataset.labels)
    if ids is None:
        test = () if dataset.test_ids is None else dataset.test_ids
        known = np.setdiff1d(np.flatnonzero(labels >= 0), test)
        ids = known[np.linspace(0, len(known) - 1, min(N_EXAMPLES, len(known))).astype(np.int64)]
    names = [dataset.class_names[label] for label in labels[ids]]
    return pd.DataFrame({"image_id": ids, "label": names})


def _printed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey images inverted to black on white, as in print; colour images unchanged."""
    return 255 - image if image.ndim == 2 else image
