"""Widgets whose value the program sets: it goes with every draw, as the widget's default.

Streamlit (1.64) sends a value set through the session state to the browser once, with the draw
that set it. A click during that draw interrupts it: the widget then stands at its least value or
its first option, and the next draw takes that for the person's choice. A default is sent with
every draw; a widget that shall start anew gets another key.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import streamlit as st

Option = TypeVar("Option", bound=Hashable)


def key_for(name: str, wanted: Hashable) -> str:
    """The key of a widget that starts at `wanted`: another one whenever `wanted` is another.

    Args:
        name: one per widget of the page; the first key is the name itself.
        wanted: what the widget's default is made of.
    """
    held = st.session_state.get(f"{name}-wanted")
    if held is not None and held != (wanted,):
        renew(name)
    st.session_state[f"{name}-wanted"] = (wanted,)
    turn = st.session_state.get(f"{name}-turn", 0)
    return f"{name}-{turn}" if turn else name


def renew(name: str) -> None:
    """Have the widget start at its default again."""
    st.session_state[f"{name}-turn"] = st.session_state.get(f"{name}-turn", 0) + 1


def accept(name: str, value: Hashable) -> None:
    """The person moved the widget to this value: wanting it next is no reason to start anew."""
    st.session_state[f"{name}-wanted"] = (value,)


def choice(title: str, options: Mapping[Option, str], *, name: str, **more: Any) -> Option:
    """A selectbox that keeps what was chosen by what it is, however the list changes.

    The browser knows an option only by its title: were titles exchanged under one key, it would
    take the new owner of the title for the person's choice.

    Args:
        options: what can be chosen -> its title; without a choice it is the first.
        name: one per widget of the page.
        more: further arguments of `st.selectbox`.
    """
    values = list(options)
    held = st.session_state.get(f"{name}-chosen")
    start = next((place for place, value in enumerate(values) if value == held), 0)
    key = key_for(name, tuple(options.items()))

    def changed() -> None:
        st.session_state[f"{name}-chosen"] = st.session_state[key]

    return st.selectbox(
        title, values, start, options.__getitem__, key=key, on_change=changed, **more
    )
