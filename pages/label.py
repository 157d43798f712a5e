"""The labelling page: a person answers what the network asks, or hands over to the oracle.

What the grid sent is stored first; then the page is drawn from one `View` of the run. While there
is work in the background, a fragment reads the store several times a second and redraws the page
when something has changed. The grid keeps labels not yet submitted through that.
"""

from __future__ import annotations

import streamlit as st

from dal_core.data.base import ImageDataset
from dal_core.run.rows import StoreFailed
from dal_core.run.rules import AnswerError
from dal_core.store.base import Store
from dal_ui.components.grid import sent_review, sent_submission, sent_undo
from dal_ui.components.grid.submission import GridSubmission
from dal_ui.components.memory import remember
from dal_ui.label import actions, words
from dal_ui.label.batch import draw_batch
from dal_ui.label.charts import charts
from dal_ui.label.controls import controls
from dal_ui.label.identity import ask_name, who
from dal_ui.label.last_batch import reveal
from dal_ui.label.read_only import notice
from dal_ui.label.reveal import last_batch
from dal_ui.label.start import start_form
from dal_ui.label.state_line import state_line
from dal_ui.label.view import View, find_view, read_view
from dal_ui.review.table import note_kept, obey, review_section
from dal_ui.shared import person, runtime, shell, trouble
from dal_ui.shared.datasets import dataset_available
from dal_ui.shared.downloads import download_buttons
from dal_ui.shared.markdown import plain, quoted


def render() -> None:
    """Store what was sent; then draw the page for the run in the address, or the start form."""
    store, workers = runtime.store(), runtime.workers()
    if run_id := st.query_params.get("run"):
        _store_sent(store, run_id)
    run_id = _open_run(store)
    if run_id is None:
        start_form()
        remember(person.kept())
        return
    view = find_view(store, run_id)
    if view is None:
        st.error(f"There is no run {quoted(run_id)} here. It may have been deleted.")
        _other_run()
        return
    spec = view.log.run.spec
    if not dataset_available(spec.protocol.dataset, spec.fingerprint):
        _other_run()
        return
    obey(sent_review())
    actions.ask_workers(store, workers, view)  # before drawing, which takes time
    _draw(view, runtime.dataset(spec.protocol.dataset))


def _open_run(store: Store) -> str | None:
    """The run in the address. If it names none: a run of people that another page has shown, or,
    in a new session, the one labelled last in this browser."""
    named, is_new = st.query_params.get("run"), "dal_page" not in st.session_state
    carried = shell.current_run("label")
    if named or (carried and actions.is_peoples(store, carried)):
        return carried
    last = person.last_run() if carried or is_new else None
    if last is not None and actions.is_peoples(store, last):
        st.query_params["run"] = last
    else:
        st.query_params.pop("run", None)
    return shell.current_run("label")


# -- what was sent -----------------------------------------------------------------------------


def _store_sent(store: Store, run_id: str) -> None:
    """Store the labels, then the undo, that the grid sent since the last run of this script."""
    try:
        submission = sent_submission()
    except ValueError as error:
        _nothing_saved(error)
        submission = None
    if submission is not None:
        _take(store, run_id, submission)
    undo = sent_undo()
    if undo is not None:
        with trouble.noted():
            _notify(actions.undo_if_last(store, run_id, undo.submission_id))


def _take(store: Store, run_id: str, submission: GridSubmission) -> bool:
    """Store a submission once; returns whether it was new."""
    if submission.nonce == st.session_state.get("taken"):
        return False
    try:
        outcome = actions.take(store, run_id, submission, person.name_or_unknown())
    except AnswerError as error:
        _nothing_saved(error)
        return False
    except (StoreFailed, OSError) as error:  # the grid sends it again until it is stored
        trouble.show(error, "Your labels are still on this page.")
        return False
    if outcome is None:
        _dropped(store, submission)
        return False
    st.session_state["taken"] = submission.nonce
    if outcome.status != "refused":
        person.note_labelled(run_id)
    if outcome.status == "refused":
        dataset = runtime.dataset(store.run(run_id).spec.protocol.dataset)
        _notify(words.refused(outcome, dataset))
    return True


def _dropped(store: Store, submission: GridSubmission) -> None:
    """Say that the labels answer a batch that is not asked any more, unless they were stored."""
    st.session_state["taken"] = submission.nonce
    if store.find_submitted(submission.nonce) is None:
        st.session_state["dropped"] = submission.nonce
        _notify(words.DROPPED)


def _nothing_saved(error: ValueError) -> None:
    st.error(
        f"Nothing was saved: {plain(str(error))}. Reload the page, and label this batch again."
    )


def _notify(notice: str) -> None:
    """Show the notice with the state line."""
    if notice:
        st.session_state["notice"] = notice


# -- drawing -----------------------------------------------------------------------------------


def _draw(view: View, dataset: ImageDataset) -> None:
    """The page from top to bottom, except that the grid precedes everything that takes time.

    A person who has submitted waits for it to say "Saved.".
    """
    store = runtime.store()
    _header(view)
    if view.read_only:
        notice(view, dataset)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if view.read_only is None and person.name() is None:
            ask_name()
        plain_answers = draw_batch(view, dataset)
    if plain_answers is not None and _take(store, view.log.run.run_id, plain_answers):
        st.rerun()
    note_kept(sent_review())
    if view.read_only is None and _asks_baseline(view, dataset):
        view = read_view(store, view.log.run.run_id)
        actions.ask_workers(store, runtime.workers(), view)
    revealed = reveal(store, dataset, view.log)
    with left:
        state_line(view, revealed)
        controls(view, dataset)
    with right:
        charts(view)
    if view.read_only is None:
        review_section(view.log, dataset, person.name_or_unknown())
    last_batch(view, dataset, revealed)
    _details(view, dataset)
    remember(person.kept())


def _asks_baseline(view: View, dataset: ImageDataset) -> bool:
    """Whether the baseline was changed; the page works without it where nothing can be stored."""
    store = runtime.store()
    if not store.read_only:
        with trouble.noted():
            return actions.ask_baseline(store, dataset, view)
    return False


def _header(view: View) -> None:
    left, right = st.columns([3, 2], gap="medium")
    with left, st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.markdown(f"{words.about(view.log)} · **{view.log.n_labelled}** labels")
        if view.read_only is None:
            who()
    right.markdown(words.accuracy(view))


def _details(view: View, dataset: ImageDataset) -> None:
    with st.expander("Protocol and downloads"):
        left, right = st.columns([3, 2])
        values = view.log.run.spec.protocol.model_dump()
        left.dataframe(
            {"parameter": list(values), "value": [str(value) for value in values.values()]},
            hide_index=True,
            height=280,
        )
        with right:
            st.caption(
                f"Run `{view.log.run.run_id}` on {dataset.title}; {words.left_out(view.log)}."
            )
            download_buttons(view.log)


def _other_run() -> None:
    if st.button("Start a new run", type="primary", icon=":material/add:"):
        shell.go_to(None)


if shell.is_alone():
    shell.enter()
else:
    render()
