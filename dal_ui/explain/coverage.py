"""What a batch covers: the weight of the pool beside no labelled or chosen image, pick by pick."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dal_core.acquisition import registry
from dal_core.explain.batches import Asked
from dal_core.explain.uncovered import Uncovered
from dal_core.figures.classes import Classes
from dal_core.figures.coverage_map import coverage_map_spec, covered_figure
from dal_core.figures.png import thumbnail
from dal_core.results.titles import display_name
from dal_ui.explain import batches, words
from dal_ui.explain.model import Step
from dal_ui.shared.vega import draw
from dal_ui.shared.widgets import choice

BESIDE = ("bald", "random")  # compared with the batch shown


@st.fragment
def coverage_view(step: Step) -> None:
    """The map of the batch chosen, and what other batches cover."""
    usual = batches.usual_coverage(step)
    first = dict.fromkeys([usual, *registry.names()])
    name = choice(
        "Batch of", {one: display_name(one) for one in first}, name="explain-covered", width=360
    )
    asked = batches.batch(step, name)
    if not isinstance(asked, Asked):
        for line in words.left_out({name: asked}):
            st.info(line)
        return
    found = batches.left_uncovered(step, asked.image_ids)
    st.caption(words.coverage(found.weight))
    draw(_spec(step.key, step, name, asked.image_ids), "explain-coverage-chart", "stretch")
    st.caption(words.coverage_legend(len(found.labelled), found.shown, len(found.image_ids)))
    _beside(step, name, usual)


def _beside(step: Step, *names: str) -> None:
    """The share covered by several batches."""
    shown = {}
    for name in dict.fromkeys([*names, *BESIDE]):
        asked = batches.batch(step, name)
        if isinstance(asked, Asked):
            shown[name] = batches.left_uncovered(step, asked.image_ids)
    st.markdown("#### What each pick adds")
    chart = covered_figure(shown).to_dict(validate=False)
    st.vega_lite_chart(chart, width="stretch", key="explain-covered-chart")
    st.caption(words.covered({name: one.covered for name, one in shown.items()}))


@st.cache_data(show_spinner="Drawing the map ...", max_entries=12)
def _spec(key: Any, _step: Step, name: str, image_ids: tuple[int, ...]) -> dict[str, Any]:
    found = batches.left_uncovered(_step, image_ids)
    points, picks, labelled = tables(_step, found, image_ids)
    return coverage_map_spec(points, picks, labelled, found.totals, _step.dataset.noun)


def tables(
    step: Step, found: Uncovered, image_ids: tuple[int, ...]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The map's images with the weight left after each pick, the picks, the labelled images."""
    points = _images(step, found.image_ids, found.coordinates)
    left = {f"left_{number}": values.astype(float) for number, values in enumerate(found.left)}
    points = points.assign(**left).sort_values("left_0", kind="stable")  # the highest on top
    picks = _images(step, np.asarray(image_ids), found.picks)
    picks.insert(0, "number", np.arange(1, len(picks) + 1))
    x, y = found.labelled.T.astype(float)
    return points.reset_index(drop=True), picks, pd.DataFrame({"x": x, "y": y})


def _images(step: Step, ids: np.ndarray, at: np.ndarray) -> pd.DataFrame:
    images, labels = step.dataset.images, step.dataset.labels
    return pd.DataFrame(
        {
            "image_id": ids,
            "x": at[:, 0].astype(float),
            "y": at[:, 1].astype(float),
            "class": Classes.of(step.dataset).named(labels[ids]),
            "image": [thumbnail(images[i]) for i in ids],
        }
    )
