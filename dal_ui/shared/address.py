"""The page's address: its parameters are changed in one step, and Back and Forward are followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from urllib.parse import parse_qsl, urlencode

import streamlit as st

KEY = "dal_address_watch"
_FOLLOWED = "dal_followed"  # the parameters that Back or Forward led to
MAX_CHARACTERS, MAX_PARAMETERS = 2000, 50


def change(**parameters: str | None) -> None:
    """Set parameters, or remove those that are None: one entry in the browser's history."""
    now = st.query_params.to_dict()
    wanted = {**now, **parameters}
    kept = {name: value for name, value in wanted.items() if value is not None}
    if kept != now:
        st.query_params.from_dict(kept)


def is_followed() -> bool:
    """Whether Back or Forward led here. What the page adds to the address would undo that."""
    return st.session_state.get(_FOLLOWED) == st.query_params.to_dict()


def n_followed() -> int:
    """How often Back or Forward was followed: a widget with it in its key starts anew."""
    return int(st.session_state.get("dal_n_followed", 0))


def follow(place: str, page: str, pages: Sequence[str]) -> None:
    """Compare the browser's address with what was drawn; called when the page is complete.

    Args:
        place: names what the page shows; another one is shown from its top.
        page: the drawn page's name in the address.
        pages: those of all pages; the first page's is empty.
    """
    # Registered here and not on import: a registration outside a script run is lost to it.
    component = st.components.v2.component("dal_address", js=_script())
    drawn = {"parameters": _drawn(), "place": place, "page": page, "pages": list(pages)}
    component(key=KEY, data=drawn, on_moved_change=_moved)


def parameters_of(search: object) -> Mapping[str, str] | None:
    """The parameters in the message of the browser; None where it is none."""
    if not isinstance(search, str) or len(search) > MAX_CHARACTERS:
        return None
    try:
        pairs = parse_qsl(
            search.removeprefix("?"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS
        )
    except ValueError:
        return None
    return {name: value for name, value in pairs if not name.lower().startswith("embed")}


def _moved() -> None:
    """Take the parameters over before the page is drawn."""
    found = parameters_of(getattr(st.session_state.get(KEY), "moved", None))
    if found is None:
        return
    if found != st.query_params.to_dict():
        st.query_params.from_dict(found)
    st.session_state[_FOLLOWED] = dict(found)
    st.session_state["dal_n_followed"] = n_followed() + 1


def _drawn() -> str:
    return urlencode([(n, v) for n in st.query_params for v in st.query_params.get_all(n)])


@cache
def _script() -> str:
    return (files(__package__) / "address.js").read_text(encoding="utf-8")
