"""The frame around every page: title, navigation, and the way in through a deep link.

`app.py` is the entry. A page's file may also be run alone, outside the navigation (a deep link on
a server nobody has opened yet, or a test): it then calls `enter` with its own name, which builds
the same frame and opens that page with the address as it was.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

PAGES_FOLDER = Path(__file__).resolve().parent.parent / "pages"
_PAGES = {  # file name: title, icon
    "label": ("Label", ":material/draw:"),
    "reproduce": ("Reproduce", ":material/science:"),
    "runs": ("Runs", ":material/list_alt:"),
}
_INSIDE = "dal_inside_navigation"


def enter(first: str = "label") -> None:
    """Draw the frame and run the page the address names; `first` where it names none."""
    st.set_page_config(page_title="dal", page_icon=":material/neurology:", layout="wide")
    chosen = st.navigation(
        [
            st.Page(PAGES_FOLDER / f"{name}.py", title=title, icon=icon, default=name == first)
            for name, (title, icon) in _PAGES.items()
        ],
        position="top",
    )
    st.session_state[_INSIDE] = True
    try:
        chosen.run()
    finally:
        st.session_state[_INSIDE] = False


def is_alone() -> bool:
    """Whether the page's file is run outside the navigation."""
    return not st.session_state.get(_INSIDE, False)
