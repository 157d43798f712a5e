"""What a person sees of an error that nobody foresaw: one sentence. The log has the rest."""

from __future__ import annotations

import streamlit as st

SORRY = (
    "Something went wrong on this page. Everything that was saved is still there. Reload the page. "
    "If it happens again, the server's log says why ({kind})."
)


def say_sorry(error: Exception) -> bool:
    """Say it in place of a traceback, which Streamlit has already logged."""
    st.error(SORRY.format(kind=f"`{type(error).__name__}`"), icon=":material/error:")
    return True
