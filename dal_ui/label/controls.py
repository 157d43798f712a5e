"""The buttons under the batch: undo, review, the oracle, another run."""

from __future__ import annotations

import streamlit as st

from dal_core.data.base import ImageDataset
from dal_core.run.next_task import answers_itself
from dal_core.run.ownership import RunReadOnly
from dal_core.run.rows import NothingToUndo
from dal_ui.label import actions
from dal_ui.label.view import View
from dal_ui.review.table import is_open, toggle
from dal_ui.shared import runtime, shell


def controls(view: View, dataset: ImageDataset) -> None:
    """Draw the buttons; those that change the run only where people may change it."""
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        if view.read_only is None:
            _change(view, dataset)
        if st.button("New run"):
            shell.go_to(None)
        st.page_link("pages/explain.py", label="Why these?", icon=":material/lightbulb:")


def _change(view: View, dataset: ImageDataset) -> None:
    """The buttons that change the run."""
    _undo(view)
    st.button(
        "Review",
        icon=":material/fact_check:",
        type="primary" if is_open() else "secondary",
        on_click=toggle,
        help="Check and correct your labels, most suspicious first. Key: R",
    )
    if answers_itself(view.log):
        _hand_back(view)
    elif actions.oracle_can_answer(dataset):
        over = view.next_task.finished is not None
        with st.popover("Let the oracle answer", icon=":material/smart_toy:", disabled=over):
            _oracle(view)


def _undo(view: View) -> None:
    if st.button(
        "Undo the last batch",
        icon=":material/undo:",
        disabled=not view.log.submissions,
        help="Take back the last batch. The same images are asked again. Key: U",
        # Another key for each batch: a double click takes back only one.
        key=f"undo-{view.log.after}",
    ):
        try:
            actions.undo(runtime.store(), view.log)
        except (NothingToUndo, RunReadOnly) as error:
            st.session_state["notice"] = f"{error}."
        st.rerun()


def _hand_back(view: View) -> None:
    if st.button(
        "Pause: hand back to me",
        icon=":material/pause:",
        type="primary",
        help="The oracle answers no further query; the next batch is yours.",
    ):
        actions.take_back(runtime.store(), view.log.run.run_id)
        st.rerun()


def _oracle(view: View) -> None:
    st.caption("The simulated oracle answers with the data set's own labels.")
    if st.button("The next batch", width="stretch"):
        _hand_over(view, 1)
    n_batches = st.number_input("Number of batches", 1, 1000, 5)
    if st.button(f"The next {n_batches} batches", width="stretch"):
        _hand_over(view, int(n_batches))
    if st.button("To the end of the run", width="stretch"):
        _hand_over(view, None)


def _hand_over(view: View, n_batches: int | None) -> None:
    actions.hand_over(runtime.store(), view.log, n_batches)
    st.rerun()
