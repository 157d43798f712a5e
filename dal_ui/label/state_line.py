"""The line under the batch: what the run waits for, or how far the work on it is."""

from __future__ import annotations

import streamlit as st

from dal_core.run.events import Failure
from dal_core.run.rows import Progress
from dal_ui.label import actions, words
from dal_ui.label.last_batch import Revealed
from dal_ui.label.view import View, has_moved
from dal_ui.shared import runtime, trouble
from dal_ui.shared.markdown import plain

WORKING_SECONDS, WAITING_SECONDS = 0.25, 1.0  # between two redraws of the line
LISTEN_SECONDS = 0.2  # of them spent polling the store while a person waits for the next batch
STATE_HEIGHT = 88  # pixels, room for the longest text on a phone: nothing moves between states


def state_line(view: View, last: list[Revealed]) -> None:
    """Draw the line; it redraws the page when the run or its baseline has changed."""
    store, run_id = runtime.store(), view.log.run.run_id
    baseline_id = view.baseline.run.run_id if view.baseline else None
    moving = view.next_task.has_work or view.baseline_works
    source = view.log.submissions[-1].source if view.log.submissions else "person"
    about_these = words.asked_by(view.log) or words.last_batch(last, source)
    below = about_these or words.first_fit(view.log)

    # While the page itself is drawn, nothing may start it over: a click on a button further down,
    # undo for one, would be lost.
    drawing = True

    @st.fragment(run_every=WORKING_SECONDS if moving else WAITING_SECONDS)
    @trouble.shown()
    def line() -> None:
        actions.ask_workers(store, runtime.workers(), view)
        with st.container(height=STATE_HEIGHT, border=False, gap="xsmall"):
            _state(view, store.progress(run_id), below)
        if drawing:
            return
        waits = view.next_task.has_work and not view.log.is_asked
        patience = LISTEN_SECONDS if waits else 0
        if has_moved(store, run_id, baseline_id, view.pulse, patience):
            st.rerun(scope="app")

    line()
    drawing = False


def _state(view: View, progress: Progress | None, below: str) -> None:
    if notice := st.session_state.pop("notice", None):
        st.toast(notice, icon=":material/info:", duration="long")
    if view.log.failure is not None:
        _failed(view.log.run.run_id, view.log.failure)
        return
    unstored = runtime.workers().unstored_failure(view.log.run.run_id)
    if unstored is not None:
        st.error(words.failed_unstored(unstored), icon=":material/error:")
        return
    if view.next_task.has_work:
        st.progress(*words.working(view, progress))
    elif view.next_task.finished:
        st.success(words.finished(view.next_task.finished), icon=":material/flag:")
        return
    else:
        st.markdown(words.waiting(view))
        if view.log.run.paused and view.read_only is None and st.button("Go on"):
            runtime.store().set_directives(view.log.run.run_id, paused=False)
            st.rerun(scope="app")
    if below:
        st.caption(below)


def _failed(run_id: str, failure: Failure) -> None:
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.error(f"Work on this run failed: {plain(failure.reason)}", icon=":material/error:")
    if right.button("Try again", width="stretch"):
        runtime.store().retry(run_id)
        st.rerun(scope="app")
