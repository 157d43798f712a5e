"""Who labels here: asked once, shown, changeable."""

from __future__ import annotations

import streamlit as st

from dal_ui.shared import person
from dal_ui.shared.markdown import plain

HELP = "Stored with every label you give and every correction you make. Kept in this browser."


def ask_name() -> None:
    """Draw the question that a person without a name answers before labelling."""
    with st.form("name-form", border=True):
        st.markdown("**Who labels here?** Your labels are stored under your name.")
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        text = left.text_input("Your name", max_chars=40, help=HELP, key="name-asked")
        if right.form_submit_button("Label under this name", type="primary", width="stretch"):
            _take(text)


def who() -> None:
    """Draw the name, and the field that changes it."""
    name = person.name()
    if name is None:
        return
    menu = st.popover(
        plain(name),
        icon=":material/person:",
        help="You label under this name.",
        type="tertiary",
    )
    with menu, st.form("name-change", border=False):
        text = st.text_input("Your name", name, max_chars=40, help=HELP, key=f"name-{name}")
        st.caption("Labels given so far keep the name they were given under.")
        if st.form_submit_button("Change", width="stretch"):
            _take(text)


def _take(text: str) -> None:
    try:
        person.set_name(text)
    except ValueError as error:
        st.error(f"{plain(str(error))}.")
        return
    st.rerun()
