"""A step's network computed again: asking a worker for it, how far it is, why it was not done.

Shared by the explaining page and the replay. `dal_core.execution.recompute` does the work;
`dal_core.execution.pool` knows who does it and how it went.
"""

from __future__ import annotations

import streamlit as st

from dal_core.execution.pool import Workers
from dal_core.store.base import Store

HELP = "Trains this one network again, to the same weights, in the background."


def again_button(store: Store, workers: Workers, run_id: str, after: int, label: str) -> None:
    """The button that asks for the network; its progress instead, while that is at work.

    Where it was asked for and not computed, it says so: the work failed, or was refused.
    """
    if workers.weights_active(run_id, after):
        _progress(store, run_id)
        return
    if problem := workers.weights_problem(run_id, after):
        st.error(f"It was not computed: {problem}.", icon=":material/error:")
    st.button(
        label,
        icon=":material/refresh:",
        key=f"again-{run_id}-{after}",
        help=HELP,
        on_click=workers.ask_weights,
        args=(run_id, after),
    )


def _progress(store: Store, run_id: str) -> None:
    progress = store.progress(run_id)
    done = (progress.epoch or 0) if progress else 0
    total = (progress.n_epochs if progress else None) or 1
    st.progress(min(1.0, done / total), "Computing this network again ...")
