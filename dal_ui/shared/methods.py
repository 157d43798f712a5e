"""How a network asks, as forms offer it: acquisition functions in groups, and posteriors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from dal_core.acquisition import registry
from dal_core.acquisition.registry import Group
from dal_core.protocol import posteriors
from dal_core.protocol.posteriors import DEFAULT_POSTERIOR
from dal_core.protocol.presets import for_people
from dal_core.results.titles import display_name

GROUPS: Mapping[Group, str] = {
    "places": "where images lie",
    "scores": "one score per image",
    "noise": "a score and chance",
    "joint": "what labels tell together",
    "labels": "the labels so far",
    "random": "the baseline",
}
"""Titles of the groups, in the order in which forms offer them."""


def functions_in_groups() -> list[str]:
    """All functions group by group; within the first, the one recommended to people leads."""
    order = list(GROUPS)
    first = for_people().acquisition
    entries = sorted(registry.functions(), key=lambda e: (order.index(e.group), e.name != first))
    return [entry.name for entry in entries]


def function_choice(offered: Sequence[str], start: str, key: str) -> str:
    """A selectbox of acquisition functions with their groups; says what the chosen one does."""
    chosen: str = st.selectbox(
        "Acquisition function",
        offered,
        index=list(offered).index(start),
        format_func=lambda name: f"{display_name(name)} · {GROUPS[registry.get(name).group]}",
        key=key,
    )
    st.caption(f"It {registry.get(chosen).hint}.")
    return chosen


def posterior_choice(acquisitions: Sequence[str], key: str, start: str = DEFAULT_POSTERIOR) -> str:
    """A selectbox of the posteriors that work with these functions; says which do not, and why."""
    refusing = [name for name in acquisitions if registry.get(name).needs_disagreement]
    entries = posteriors.posteriors()
    offered = [entry.name for entry in entries if not (refusing and entry.one_sample)]
    chosen: str = st.selectbox(
        "Posterior (whose predictions it reads)",
        offered,
        index=offered.index(start),
        format_func=lambda name: posteriors.get(name).title,
        key=key,
    )
    hint = posteriors.get(chosen).hint
    line = f"{hint[0].upper()}{hint[1:]}."
    left_out = " and ".join(entry.title for entry in entries if entry.name not in offered)
    if left_out:
        line += (
            f" {left_out}: not offered, since nothing can disagree, and "
            f"{display_name(refusing[0])} asks where predictions do."
        )
    st.caption(line)
    return chosen
