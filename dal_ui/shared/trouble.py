"""What a person sees when the home fails: one sentence on the page, the detail in the server's log.

A full disk, a read-only home or a damaged run is not a mistake in the program, so no page shows a
traceback for it. Streamlit shows nothing but a general message for other errors (`config.toml`).
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from dal_core.run.rows import RunDamaged, StoreError, StoreFailed
from dal_core.store.experiments import ExperimentDamaged
from dal_ui.shared.markdown import plain

TROUBLE = (StoreFailed, StoreError, RunDamaged, ExperimentDamaged, OSError)


def sentence(error: Exception) -> str:
    """What happened, in one sentence for a person."""
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return f"A file could not be read or written: {error.strerror or error}{where}."
    text = " ".join(str(error).split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


def show(error: Exception, after: str = "") -> None:
    """Draw the sentence, and write the traceback to the server's log."""
    traceback.print_exception(error)
    st.error(plain(f"{sentence(error)} {after}".strip().replace("`", "'")), icon=":material/error:")


@contextmanager
def noted(after: str = "") -> Iterator[None]:
    """Draw a sentence if the block cannot write, and go on with the page.

    Args:
        after: a further sentence on what this means here.
    """
    try:
        yield
    except (StoreFailed, OSError) as error:
        show(error, after)


@contextmanager
def shown() -> Iterator[None]:
    """Draw a sentence in place of the rest of the block if the home fails in it.

    Also a decorator, for functions that Streamlit calls by itself (fragments).
    """
    try:
        yield
    except TROUBLE as error:
        show(error)
        if isinstance(error, RunDamaged | ExperimentDamaged):
            st.caption("Everything else in this home still works. Open another run or experiment:")
            _ways_out(isinstance(error, RunDamaged))


def _ways_out(is_run: bool) -> None:
    name, parameter = ("runs", "run") if is_run else ("reproduce", "experiment")
    if st.button("All runs" if is_run else "All experiments", key="leave-damaged"):
        st.query_params.pop(parameter, None)
        st.session_state.get("dal_address", {}).pop(parameter, None)
        st.switch_page(f"pages/{name}.py")
