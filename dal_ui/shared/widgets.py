"""Widgets whose value the program sets, through the widget's default.

Streamlit 1.64 sends a value set through the session state to the browser only once, with the draw
that set it. A click that interrupts this draw leaves the widget at its least value or first option,
which the next draw takes for the person's choice. A default is sent with every draw. To make a
widget start at its default again, give it another key.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import streamlit as st

from dal_ui.shared import address

Option = TypeVar("Option", bound=Hashable)


def key_for(name: str, wanted: Hashable) -> str:
    """The key of a widget that starts at `wanted`; it changes whenever `wanted` does.

    Args:
        name: one per widget of the page; the first key is the name itself.
        wanted: what the widget's default depends on.
    """
    held = st.session_state.get(f"{name}-wanted")
    if held is not None and held != (wanted,):
        renew(name)
    st.session_state[f"{name}-wanted"] = (wanted,)
    turn = st.session_state.get(f"{name}-turn", 0)
    return f"{name}-{turn}" if turn else name


def renew(name: str) -> None:
    """Make the widget start at its default again."""
    st.session_state[f"{name}-turn"] = st.session_state.get(f"{name}-turn", 0) + 1


def accept(name: str, value: Hashable) -> None:
    """Note that the person chose this value: wanting it next does not reset the widget."""
    st.session_state[f"{name}-wanted"] = (value,)


def choice(title: str, options: Mapping[Option, str], *, name: str, **more: Any) -> Option:
    """A selectbox that keeps its choice by value when the list of options changes.

    Args:
        options: value -> title, all different; before a choice the first is selected.
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
    """A selectbox in step with a parameter of the address, both ways.

    Args:
        options, name, more: as in `choice`.
        start: the address's value; where it is not an option the first is selected.
        parameter: the address's parameter.
        forgets: parameters to remove when another value is chosen.
    """

    def say(chosen: str) -> None:
        address.change(**{parameter: chosen}, **dict.fromkeys(forgets))

    return _select(title, options, start, name, say, more)


def _select(
    title: str,
    options: Mapping[Option, str],
    start: Option | None,
    name: str,
    chose: Callable[[Option], None],
    more: Mapping[str, Any],
) -> Option:
    """A selectbox that starts at `start`.

    The browser knows an option only by its title. If titles were exchanged under one key, it would
    take the title's new owner for the person's choice.
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
