"""How a network asks, as forms offer it: acquisition functions in groups, and posteriors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from dal_core.acquisition import registry
from dal_core.acquisition.registry import Group
from dal_core.protocol import posteriors
from dal_core.protocol.posteriors import DEFAULT_POSTERIOR, PosteriorEntry
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
    entries = posteriors.posteriors()
    reasons = {entry.title: _why_not(entry, acquisitions) for entry in entries}
    offered = [entry.name for entry in entries if not reasons[entry.title]]
    chosen: str = st.selectbox(
        "Posterior (whose predictions it reads)",
        offered,
        index=offered.index(start),
        format_func=lambda name: posteriors.get(name).title,
        key=key,
    )
    hint = posteriors.get(chosen).hint
    line = f"{hint[0].upper()}{hint[1:]}."
    for title, reason in reasons.items():
        if reason:
            line += f" {title}: not offered, since {reason}."
    st.caption(line)
    return chosen


def _why_not(entry: PosteriorEntry, acquisitions: Sequence[str]) -> str:
    """Why a posterior does not work with one of these functions; empty if it works with all."""
    for name in acquisitions:
        function = registry.get(name)
        if entry.one_sample and function.needs_disagreement:
            return f"nothing can disagree, and {display_name(name)} asks where predictions do"
        if entry.per_image and function.needs == "joint":
            return f"it looks at one image at a time, and {display_name(name)} at several together"
    return ""
