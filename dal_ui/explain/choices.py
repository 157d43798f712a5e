"""Several functions, one model: the images each would ask for now, and how the choices differ."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dal_core.explain import choices
from dal_core.figures.batches import batches_figure
from dal_core.figures.choices import balance_figure, correlation_figure, redundancy_figure
from dal_core.figures.classes import Classes
from dal_core.results.titles import display_name
from dal_ui.explain import model, words
from dal_ui.explain.model import Step


@st.fragment
def choices_view(step: Step) -> None:
    """The tens side by side, their overlaps, and three ways to compare them."""
    pool = model.pool_scores(step)
    chosen = choices.choices(pool, step.batch_size)
    st.caption(words.FUNCTIONS)
    _tens(step, chosen)
    labels = step.dataset.labels
    counts = {
        name: choices.class_counts(labels[list(ids)], step.dataset.n_classes)
        for name, ids in chosen.items()
    }
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("#### Which digits")
        _show(balance_figure(counts, Classes.of(step.dataset)), "balance", "stretch")
        st.caption(
            "By MNIST's labels, which no function knows. A random ten holds about one of each; "
            "a function that asks for many of one digit found that one hard."
        )
        st.markdown("#### How alike the ten are")
        values, by_chance = model.redundancies(step, chosen)
        _show(redundancy_figure(values, by_chance, step.batch_size), "redundancy", "stretch")
        st.caption(
            "Mean cosine similarity of two of the ten, in the network's own features. The band "
            "holds the middle 90% of 400 random tens. Far above it, the ten repeat each other "
            "(*redundancy*): each image is chosen by itself, without regard to the other nine."
        )
    with right:
        st.markdown("#### Do they agree on the order?")
        _show(correlation_figure(choices.spearman(pool.scores)), "correlation", "content")
        st.caption(
            f"Spearman's rank correlation over all {len(pool):,} images: 1 for the same order, "
            "0 for none in common. High over the whole pool and still different tens: most "
            "images are easy for every function, only the head of the list decides."
        )


def _tens(step: Step, chosen: dict[str, tuple[int, ...]]) -> None:
    _show(batches_figure(step.dataset, chosen), "tens", "content")
    overlap = choices.overlap(chosen)
    own = step.log.run.spec.acquisition
    own = own if own in chosen and own != "random" else "bald"
    shared = ", ".join(
        f"{int(overlap[own][name])} with {display_name(name)}" for name in chosen if name != own
    )
    st.caption(f"{display_name(own)}'s {step.batch_size} share {shared}.")


def _show(chart: Any, key: str, width: Any) -> None:
    st.vega_lite_chart(chart.to_dict(validate=False), width=width, key=f"explain-{key}-chart")
