"""Who sits at this browser: their name, and the run they labelled last.

The name belongs to the session, not to a run: who opens another person's link labels under their
own. Session state holds both values, and cookies keep them for the next visit
(`dal_ui.components.memory` writes them). Cookies come from outside, so they are checked here.
"""

from __future__ import annotations

from urllib.parse import unquote

import streamlit as st

from dal_core.limits.text import clean_name

NAME, LAST_RUN = "dal_name", "dal_last_run"  # in the session and in the browser's cookies
UNNAMED = "unknown"  # stored with labels of a browser that lost its name before they arrived
DEFAULT = "me"  # proposed to a person who has given no name yet


def name() -> str | None:
    """The person's name; None until they have given one."""
    return _kept(NAME)


def name_or_unknown() -> str:
    """The name to store with labels. Labels are kept also where the name is lost."""
    return name() or UNNAMED


def set_name(text: str) -> None:
    """Keep the name for this session and this browser. Raises ValueError by `clean_name`."""
    st.session_state[NAME] = clean_name(text, "your name")


def last_run() -> str | None:
    """Id of the run that was labelled last in this browser; it may have been deleted since."""
    return _kept(LAST_RUN)


def note_labelled(run_id: str) -> None:
    """Keep the run as the one labelled last."""
    st.session_state[LAST_RUN] = run_id


def kept() -> dict[str, str]:
    """What the browser should remember."""
    values = {NAME: name(), LAST_RUN: last_run()}
    return {key: value for key, value in values.items() if value is not None}


def _kept(key: str) -> str | None:
    held: str | None = st.session_state.get(key)
    if held is not None:
        return held
    try:
        return clean_name(unquote(st.context.cookies.get(key, "")), key)
    except ValueError:
        return None
