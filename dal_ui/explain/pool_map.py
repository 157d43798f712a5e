"""The map of the pool: where images lie in the network's features, and where queries fall."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dal_core.explain.parts import scored_functions
from dal_core.explain.pool import PoolScores
from dal_core.explain.pool_map import UNASKED
from dal_core.figures.classes import Classes
from dal_core.figures.pool_map import CLASS, pool_map_spec
from dal_core.results.titles import display_name
from dal_ui.explain import model, words
from dal_ui.explain.model import Step
from dal_ui.shared.vega import draw


@st.fragment
def map_view(step: Step) -> None:
    """The map and the choice of its colours; the slider over the queries belongs to the chart."""
    st.caption(words.MAP)
    by = st.pills(
        "Colour by",
        [CLASS, *scored_functions()],
        default=CLASS,
        required=True,
        format_func=lambda name: "Data set's label" if name == CLASS else display_name(name),
        wrap=True,
        key="explain-colour",
    )
    spec, explained = _spec(step.key, step, by or CLASS)
    draw(spec, f"explain-map-{by}", "stretch")
    st.caption(_legend(by or CLASS, step.model.labelled.step, explained))


def _legend(by: str, n_answered: int, explained: np.ndarray) -> str:
    labelled = "Diamonds" if by == CLASS else "Blue diamonds (no longer scored)"
    hollow = "" if by == CLASS else ", filled with the score they had then, where the run kept it"
    return (
        f"{labelled}: labelled before that query, initial images included. Orange rings: images "
        f"that query asked for (query {n_answered} is the current one){hollow}. Crosses: skipped. "
        "Point at "
        "a mark to see its image. The two directions hold "
        f"{explained[0]:.0%} and {explained[1]:.0%} of the variance. Images far apart differ, but "
        "images close together may still differ in directions not shown."
    )


@st.cache_data(show_spinner=False, max_entries=16)
def _spec(key: model.Key, _step: Step, by: str) -> tuple[dict[str, Any], np.ndarray]:
    points, explained = model.mapped(_step)
    pool = model.pool_scores(_step)
    table = points_to_show(points, pool, by, _step)
    return pool_map_spec(table, by, _step.model.labelled.step, Classes.of(_step.dataset)), explained


def points_to_show(points: pd.DataFrame, pool: PoolScores, by: str, step: Step) -> pd.DataFrame:
    """The map's points with the images asked for now, the answers, and the score to colour by."""
    asked_now = step.images_wanted(pool)
    last = step.model.labelled.step
    now = points.image_id.isin(asked_now) & (points.step == UNASKED)
    names = step.dataset.class_names
    said = ["" if np.isnan(label) else names[int(label)] for label in points.label]
    said = ["can't tell" if skip else one for one, skip in zip(said, points.skipped, strict=True)]
    shown = points.assign(step=points.step.where(~now, last), said=said)
    if by == CLASS:
        return shown
    scores = dict(zip(pool.image_ids.tolist(), pool.scores[by].astype(float), strict=True))
    if by == step.log.run.spec.acquisition:
        scores |= _when_asked(step)
    return shown.assign(**{by: [scores.get(i, float("nan")) for i in points.image_id]})


def _when_asked(step: Step) -> dict[int, float]:
    """The score with which the run asked for each image that it has no score for now."""
    found: dict[int, float] = {}
    for one in step.model.state.submissions:
        query = step.model.state.queries[one.query_id]
        scores = dict(zip(query.ranking, query.scores, strict=True))
        found |= {a.image_id: scores[a.image_id] for a in one.answers if a.image_id in scores}
    return found
