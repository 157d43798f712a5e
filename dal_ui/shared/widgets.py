"""Widgets whose value the program sets: it goes with every draw, as the widget's default.

Streamlit (1.64) sends a value set through the session state to the browser once, with the draw
that set it. A click during that draw interrupts it: the widget then stands at its least value or
its first option, and the next draw takes that for the person's choice. A default is sent with
every draw; a widget that shall start anew gets another key.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
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

    Args:
        options: what can be chosen -> its title, no two alike; without a choice it is the first.
        name: one per widget of the page.
        more: further arguments of `st.selectbox`.
    """

    def keep(chosen: Option) -> None:
        st.session_state[f"{name}-chosen"] = chosen

    return _select(title, options, st.session_state.get(f"{name}-chosen"), name, keep, more)


def address_choice(
    title: str,
    options: Mapping[str, str],
    start: str | None,
    *,
    name: str,
    parameter: str,
    forgets: Sequence[str] = (),
    **more: Any,
) -> str:
    """A selectbox that follows the address, and the address it.

    Args:
        options, name, more: as of `choice`.
        start: what the address asks for; where that cannot be chosen it is the first.
        parameter: where the address says it.
        forgets: parameters that mean nothing once another is chosen.
    """

    def say(chosen: str) -> None:
        st.query_params[parameter] = chosen
        for other in forgets:
            st.query_params.pop(other, None)

    return _select(title, options, start, name, say, more)


def _select(
    title: str,
    options: Mapping[Option, str],
    start: Option | None,
    name: str,
    chose: Callable[[Option], None],
    more: Mapping[str, Any],
) -> Option:
    """A selectbox at `start`.

    The browser knows an option only by its title: were titles exchanged under one key, it would
    take the new owner of the title for the person's choice.
    """
    values, titles = list(options), tuple(options.items())
    place = next((place for place, value in enumerate(values) if value == start), 0)
    key = key_for(name, (values[place], titles))

    def changed() -> None:
        chosen = st.session_state[key]
        accept(name, (chosen, titles))
        chose(chosen)

    return st.selectbox(
        title, values, place, options.__getitem__, key=key, on_change=changed, **more
    )
