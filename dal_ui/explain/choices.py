"""All functions, one model: the batch each would ask for now, and how the batches differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dal_core.data.base import ImageDataset
from dal_core.explain import choices
from dal_core.explain.batches import Asked, in_groups
from dal_core.figures.batches import askers, batches_figure
from dal_core.figures.choices import balance_figure, correlation_figure
from dal_core.figures.classes import Classes
from dal_core.figures.information import information_figure
from dal_core.results.titles import display_name
from dal_ui.explain import batches, model, words
from dal_ui.explain.batches import Judged
from dal_ui.explain.model import Step
from dal_ui.shared.markdown import plain

COMPARED = ("bald", "batchbald")  # whose information is drawn


@st.fragment
def choices_view(step: Step) -> None:
    """The batches by group, how each repeats itself, and comparisons."""
    st.caption(words.FUNCTIONS)
    asked, problems = batches.all_batches(step)
    _batches(step, asked)
    for line in words.left_out(problems):
        st.caption(line)
    judged = batches.all_judged(step, asked)
    _redundancy(step, judged)
    left, right = st.columns(2, gap="large")
    with left:
        _information(judged)
    with right:
        _agreement(step)
    _classes(step.dataset, asked)


def _batches(step: Step, asked: Mapping[str, Asked]) -> None:
    chosen = {name: one.image_ids for name, one in asked.items()}
    gains = {name: one.gains for name, one in asked.items()}
    asked_by = askers(chosen)
    for group, names in in_groups().items():
        shown = {name: chosen[name] for name in names if name in chosen}
        if not shown:
            continue
        title, about = words.GROUPS[group]
        st.markdown(f"#### {title}")
        st.caption(about)
        _show(batches_figure(step.dataset, shown, gains, asked_by), f"tens-{group}", "content")


def _redundancy(step: Step, judged: Mapping[str, Judged]) -> None:
    st.markdown("#### How much each batch repeats itself")
    table = redundancy_table(step.dataset, judged)
    share = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
    st.dataframe(
        table,
        hide_index=True,
        height=35 * (len(table) + 1) + 3,  # all rows, without a bar to scroll
        column_config={
            "similarity": st.column_config.NumberColumn(format="%.3f"),
            "joint share": share,
            "covered": st.column_config.NumberColumn(format="percent"),
        },
        key="explain-redundancy",
    )
    by_chance = batches.alike_by_chance(step)
    low, high = np.quantile(by_chance, [0.05, 0.95])
    st.caption(words.redundancy(step.batch_size, float(by_chance.mean()), float(low), float(high)))


def redundancy_table(dataset: ImageDataset, judged: Mapping[str, Judged]) -> pd.DataFrame:
    """A row per function: the numbers of docs/method.md, section 3.5."""
    rows = [
        {
            "function": display_name(name),
            "classes predicted": one.alike.n_predicted,
            "classes": _n_known(dataset, one.asked.image_ids),
            "similarity": one.alike.similarity,
            "joint share": one.information.share,
            "covered": one.covered,
        }
        for name, one in judged.items()
    ]
    table = pd.DataFrame(rows)
    if "classes" in table and table["classes"].isna().all():
        table = table.drop(columns="classes")
    return table.rename(columns={"classes": "classes in the data set"})


def _n_known(dataset: ImageDataset, image_ids: tuple[int, ...]) -> int | None:
    ids = list(image_ids)
    return len(set(dataset.labels[ids].tolist())) if dataset.known[ids].all() else None


def _information(judged: Mapping[str, Judged]) -> None:
    found = {name: judged[name].information for name in COMPARED if name in judged}
    if not found:
        return
    st.markdown("#### Together, and one by one")
    _show(information_figure(found), "information", "stretch")
    st.caption(words.information(found))


def _agreement(step: Step) -> None:
    pool = model.pool_scores(step)
    st.markdown("#### Rank agreement")
    _show(correlation_figure(choices.spearman(pool.scores)), "correlation", "content")
    st.caption(
        f"Spearman's rank correlation of the scores of single images over all {len(pool):,} "
        "images: 1 for the same order, 0 for unrelated orders. It can be high while the batches "
        "differ: most images are easy for every function, and only the top of the list is asked "
        "for."
    )


def _classes(dataset: ImageDataset, asked: Mapping[str, Asked]) -> None:
    """The classes of each batch, as far as the data set knows them."""
    known = {name: [i for i in one.image_ids if dataset.known[i]] for name, one in asked.items()}
    if not any(known.values()):
        return
    st.markdown("#### Classes chosen")
    counts = {
        name: choices.class_counts(dataset.labels[image_ids], dataset.n_classes)
        for name, image_ids in known.items()
    }
    _show(balance_figure(counts, Classes.of(dataset)), "balance", "stretch")
    noun = plain(dataset.noun)
    st.caption(
        "Labels are the data set's; no function sees them. A random batch mixes the classes as the "
        f"pool does. Many images of one {noun} mean that the function scores it high."
    )


def _show(chart: Any, key: str, width: Any) -> None:
    st.vega_lite_chart(chart.to_dict(validate=False), width=width, key=f"explain-{key}-chart")
