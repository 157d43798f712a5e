"""Several functions, one model: the batch each would ask for now, and how the batches differ."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dal_core.data.base import ImageDataset
from dal_core.explain import choices
from dal_core.figures.batches import batches_figure
from dal_core.figures.choices import balance_figure, correlation_figure, redundancy_figure
from dal_core.figures.classes import Classes
from dal_core.results.titles import display_name
from dal_ui.explain import model, words
from dal_ui.explain.model import Step


@st.fragment
def choices_view(step: Step) -> None:
    """The batches side by side, their overlaps, and three comparisons."""
    pool = model.pool_scores(step)
    chosen = choices.choices(pool, step.batch_size)
    st.caption(words.FUNCTIONS)
    _batches(step, chosen)
    left, right = st.columns(2, gap="large")
    with left:
        _classes(step.dataset, chosen)
        st.markdown("#### Similarity within a batch")
        values, by_chance = model.redundancies(step, chosen)
        _show(redundancy_figure(values, by_chance, step.batch_size), "redundancy", "stretch")
        st.caption(
            "Mean cosine similarity of two images of a batch, in the network's own features. The "
            "band holds the middle 90% of 400 random batches. A batch far above it repeats itself "
            "(*redundancy*): each image is chosen without regard to the others."
        )
    with right:
        st.markdown("#### Rank agreement")
        _show(correlation_figure(choices.spearman(pool.scores)), "correlation", "content")
        st.caption(
            f"Spearman's rank correlation over all {len(pool):,} images: 1 for the same order, "
            "0 for unrelated orders. It can be high while the batches differ: most images are easy "
            "for every function, and only the top of the list is asked for."
        )


def _classes(dataset: ImageDataset, chosen: dict[str, tuple[int, ...]]) -> None:
    """The classes of each batch, as far as the data set knows them."""
    known = {name: [i for i in image_ids if dataset.known[i]] for name, image_ids in chosen.items()}
    if not any(known.values()):
        return
    st.markdown("#### Classes chosen")
    counts = {
        name: choices.class_counts(dataset.labels[image_ids], dataset.n_classes)
        for name, image_ids in known.items()
    }
    _show(balance_figure(counts, Classes.of(dataset)), "balance", "stretch")
    st.caption(
        "Labels are the data set's; no function sees them. A random batch mixes the classes as the "
        f"pool does. Many images of one {dataset.noun} mean that the function scores it high."
    )


def _batches(step: Step, chosen: dict[str, tuple[int, ...]]) -> None:
    _show(batches_figure(step.dataset, chosen), "tens", "content")
    overlap = choices.overlap(chosen)
    own = step.log.run.spec.acquisition
    own = own if own in chosen and own != "random" else "bald"
    shared = ", ".join(
        f"{display_name(name)} {int(overlap[own][name])}" for name in chosen if name != own
    )
    st.caption(f"Images also in {display_name(own)}'s batch of {step.batch_size}: {shared}.")


def _show(chart: Any, key: str, width: Any) -> None:
    st.vega_lite_chart(chart.to_dict(validate=False), width=width, key=f"explain-{key}-chart")
