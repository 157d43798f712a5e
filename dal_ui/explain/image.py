"""One image: its matrix of softmax outputs, how each score is computed, its place in the pool.

A fragment of the page: a slider redraws this part only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from dal_core.acquisition import registry
from dal_core.data.base import ImageDataset
from dal_core.explain.parts import Parts, parts_of, scored_functions, settling
from dal_core.explain.pool import (
    Place,
    PoolScores,
    ambiguous_image,
    disagreement,
    disputed_image,
    place_of,
)
from dal_core.figures.classes import Classes
from dal_core.figures.passes import passes_spec, settling_spec
from dal_core.figures.png import image_data_uri
from dal_core.figures.score_breakdown import breakdown_spec
from dal_core.figures.score_histograms import histograms_data, histograms_spec
from dal_ui.components.canvas import drawing_canvas
from dal_ui.explain import model, words
from dal_ui.explain.model import Step
from dal_ui.shared.datasets import true_label
from dal_ui.shared.markdown import plain
from dal_ui.shared.vega import draw
from dal_ui.shared.widgets import key_for, renew

ASKED, AMBIGUOUS, QUARREL = "Asked for", "Ambiguous", "Quarrel"
ANY, NUMBER, DRAW = "Any", "By number", "Draw one"
IMAGE_SIDE = 168
SETTINGS = ("passes", "drop-1", "drop-2")
MOST_DROPOUT = 0.9  # on the sliders; more where the run has more


@dataclass(frozen=True)
class Chosen:
    """The image to explain: `pixels` uint8 of the data set's shape; `image_id` None if drawn."""

    pixels: np.ndarray
    image_id: int | None


@st.fragment
def image_view(step: Step) -> None:
    """Choose an image and settings, see its passes and scores."""
    pool = model.pool_scores(step)
    left, right = st.columns([1, 2.7], gap="medium")
    with left:
        chosen = _choose(step, pool)
        n_passes, dropout = _settings(step)
    if chosen is None:
        with right:
            st.caption(
                f"Draw a {step.dataset.noun} on the left; every stroke gives a new prediction."
            )
        return
    probs, is_own = _passes(step, chosen, dropout)
    eps = step.model.protocol.entropy_eps
    parts = parts_of(probs[:n_passes], eps)
    classes = Classes.of(step.dataset)
    with right:
        st.caption(words.matrix(step.model.posterior))
        with st.container(horizontal=True, gap="medium"):
            draw(passes_spec(parts, classes), "explain-passes-chart")
            with st.container(width=268):
                _outcome(step, parts, is_own)
                lines = {name: settling(probs, name, eps) for name in scored_functions()}
                draw(settling_spec(lines, n_passes), "explain-settling-chart", "stretch")
                st.caption(words.settles(step.model.has_dropout))
    _scores(pool, chosen, parts, classes)


# -- which image -------------------------------------------------------------------------------


def _choose(step: Step, pool: PoolScores) -> Chosen | None:
    sources = [ASKED, AMBIGUOUS, QUARREL, ANY, NUMBER]
    if step.dataset.from_drawing is not None:
        sources.append(DRAW)
    source = st.pills(
        "Which image?",
        sources,
        default=ASKED,
        required=True,
        wrap=True,
        key=key_for("explain-source", ()),
    )
    if source == DRAW:
        return _drawn(step.dataset)
    image_id = _image_id(source or ASKED, step, pool)
    pixels = step.dataset.images[image_id]
    st.image(image_data_uri(pixels, 6), width=IMAGE_SIDE)
    st.caption(_about(step, image_id))
    if source in (AMBIGUOUS, QUARREL):
        said = words.ambiguous if source == AMBIGUOUS else words.quarrel
        st.caption(said(disagreement(pool, image_id), step.model.posterior.rows))
    return Chosen(pixels, image_id)


def _image_id(source: str, step: Step, pool: PoolScores) -> int:
    if source == AMBIGUOUS:
        return ambiguous_image(pool)
    if source == QUARREL:
        return disputed_image(pool)
    if source == NUMBER:
        last = len(step.dataset) - 1
        return int(st.number_input("Image number", 0, last, 0, key="explain-number"))
    if source == ANY:
        st.button("Another", icon=":material/casino:", key="explain-any", on_click=_another)
        number = st.session_state.get("explain-draws", 0)
        place = np.random.default_rng(number).integers(len(pool))
        return int(pool.image_ids[place])
    images = step.images_wanted(pool)
    chosen = st.pills(
        f"The {len(images)} images it asks for now, best first",
        list(range(1, len(images) + 1)),
        default=1,
        required=True,
        wrap=True,
        key="explain-place",
    )
    return images[min(chosen or 1, len(images)) - 1]


def _another() -> None:
    st.session_state["explain-draws"] = st.session_state.get("explain-draws", 0) + 1


def _drawn(dataset: ImageDataset) -> Chosen | None:
    try:
        drawing = drawing_canvas(dataset.noun)
    except ValueError as error:
        st.error(plain(str(error)))
        return None
    if drawing is None or dataset.from_drawing is None:
        return None
    pixels = dataset.from_drawing(drawing)
    st.image(image_data_uri(pixels, 3), width=84)
    st.caption(
        "What the network sees: your drawing, scaled and centred like the data set's images."
    )
    return Chosen(pixels, None)


def _about(step: Step, image_id: int) -> str:
    labels = dict(step.model.state.labels())
    if image_id in labels:
        state = f"Labelled {plain(step.dataset.class_name(labels[image_id]))} in this run."
    elif image_id in step.model.split.initial:
        state = "In the initial training set."
    elif image_id in step.model.labelled.skipped:
        state = "Skipped in this run."
    elif image_id in step.model.split.pool:
        state = "In the pool."
    else:
        state = "Held out for testing or validation."
    truth = true_label(step.dataset, image_id)
    if truth is None:
        return f"Image {image_id}. {state}"
    name = plain(step.dataset.class_name(truth))
    return f"Image {image_id}. Label in the data set: **{name}**. {state}"


# -- settings ----------------------------------------------------------------------------------


def _settings(step: Step) -> tuple[int, tuple[float, float] | None]:
    """T, and the dropout rates where they differ from the run's."""
    own = step.model.protocol.dropout
    if step.most_passes == 1:  # a slider needs two ends
        return 1, None
    title = f"{step.model.posterior.rows.capitalize()} T"
    n_passes = int(_slider(step, "passes", title, 1, step.most_passes, step.run_passes, 1))
    if not step.model.has_dropout:
        return n_passes, None
    most = max(MOST_DROPOUT, *own)
    grid = 0.05 if all(abs(rate * 20 - round(rate * 20)) < 1e-9 for rate in own) else 0.01
    title = "Dropout before the first dense layer"
    first = _slider(step, "drop-1", title, 0.0, most, own[0], grid)
    second = _slider(step, "drop-2", "... and before the second", 0.0, most, own[1], grid)
    is_own = abs(first - own[0]) < 1e-9 and abs(second - own[1]) < 1e-9
    st.button(
        "Reset to run settings",
        icon=":material/restart_alt:",
        disabled=is_own and n_passes == step.run_passes,
        on_click=_reset,
    )
    return n_passes, None if is_own else (first, second)


def _slider(
    step: Step, name: str, title: str, least: float, most: float, own: float, grid: float
) -> float:
    """A slider that starts at the run's own value."""
    key = key_for(f"explain-{name}", (step.log.run.run_id, own))
    return float(st.slider(title, least, most, own, grid, key=key))


def _reset() -> None:
    for name in SETTINGS:
        renew(f"explain-{name}")


def start_again() -> None:
    """Put the view back to the first image asked for, at the run's own settings."""
    _reset()
    renew("explain-source")


def _passes(step: Step, chosen: Chosen, dropout: tuple[float, float] | None) -> tuple[Any, bool]:
    if chosen.image_id is None:
        return model.passes_of(step, chosen.pixels, dropout), False
    return model.passes(step, chosen.image_id, dropout)


# -- the result -------------------------------------------------------------------------------


def _outcome(step: Step, parts: Parts, is_own: bool) -> None:
    st.markdown(words.votes(parts, step.dataset.class_names, step.model.posterior.rows))
    n = step.model.protocol.num_mc_samples
    st.caption(words.whose_passes(is_own, len(parts.probs), n))


def _scores(pool: PoolScores, chosen: Chosen, parts: Parts, classes: Classes) -> None:
    scores, places = standing(pool, chosen.image_id, parts)
    st.markdown("#### How each score is computed")
    st.caption(words.SUMS)
    with st.container(horizontal=True, gap="large"):
        draw(breakdown_spec(parts, classes), "explain-sums-chart")
        with st.container(width=600):
            st.markdown(words.scores_table(parts, scores, places))
            draw(histograms_spec(histograms_data(pool.scores), scores), "explain-places-chart")
            st.caption(
                f"All {len(pool):,} pool images the run scored at this step, with its own "
                f"T = {pool.n_passes}. Heights are square roots. The line marks this image."
            )
    with st.expander("Equations and sources"):
        st.caption("p: softmax output of pass t for image n and class c. Logarithms are natural.")
        for name in pool.scores:
            entry = registry.get(name)
            st.markdown(f"**{entry.title}** ({entry.source})")
            st.latex(entry.equation)


def standing(
    pool: PoolScores, image_id: int | None, parts: Parts
) -> tuple[dict[str, float], dict[str, Place]]:
    """The image's score by each of the pool's functions, and its place among the pool's images.

    `random` scores pool images only.
    """
    scores = dict(parts.scores)
    by_chance = None if image_id is None else pool.score_of("random", image_id)
    if by_chance is not None:
        scores["random"] = by_chance
    known = {name: scores[name] for name in pool.scores if name in scores}
    return known, {name: place_of(pool, name, s, image_id) for name, s in known.items()}
