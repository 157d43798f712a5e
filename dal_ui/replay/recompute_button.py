"""The button that recomputes a step's network in the background, for Explain and Replay."""

from __future__ import annotations

import streamlit as st

from dal_core.execution.pool import Workers
from dal_core.store.base import Store
from dal_ui.shared.markdown import plain

HELP = "Trains this network again in the background, to the same weights."


def recompute_button(store: Store, workers: Workers, run_id: str, after: int, label: str) -> None:
    """Draw the button, or the progress while a worker recomputes the network.

    After a failure or a refusal the reason is shown above the button.
    """
    if workers.weights_active(run_id, after):
        _progress(store, run_id)
        return
    if problem := workers.weights_problem(run_id, after):
        st.error(f"Could not compute it: {plain(problem)}.", icon=":material/error:")
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
    st.progress(min(1.0, done / total), "Recomputing this network ...")
