"""The labelling page: a person answers what the network asks, or hands over to the oracle.

Draws one `View` of a run; what it does to the run is in `dal_ui.label.actions`. While there is
work in the background a fragment looks at the store several times a second and has the page drawn
anew when something changed; the grid keeps its half-typed labels through that.
"""

from __future__ import annotations

import streamlit as st

from dal_core.data.base import ImageDataset
from dal_core.figures.png import image_data_uri
from dal_core.run.next_task import answers_itself
from dal_core.run.rows import NothingToUndo, Progress
from dal_ui.components.grid import label_grid, sent_review, sent_submission, sent_undo
from dal_ui.components.grid.submission import GridSubmission, GridUndo
from dal_ui.label import actions, words
from dal_ui.label.actions import Revealed, View
from dal_ui.label.charts import charts
from dal_ui.label.plain import plain_grid
from dal_ui.label.reveal import last_batch
from dal_ui.label.start import start_form
from dal_ui.review.table import is_open, note_kept, obey, review_section, toggle
from dal_ui.shared import runtime, shell
from dal_ui.shared.downloads import download_buttons
from dal_ui.shared.images import digits_are_here

FIRST = "first"  # what the grid calls the query that is yet to come
WORKING_SECONDS, WAITING_SECONDS = 0.25, 1.0  # between two draws of the state line
LISTEN_SECONDS = 0.2  # of them the store is listened to while a person waits for the next ten
STATE_HEIGHT = 88  # pixels, room for the longest text on a phone: nothing moves between states


def render() -> None:
    """Draw the page for the run in the address, or the start form."""
    runtime.workers()
    run_id = shell.current_run("label")
    if run_id is None:
        start_form()
        return
    view = actions.find_view(runtime.store(), run_id)
    if view is None:
        _unknown(run_id)
        return
    spec = view.log.run.spec
    if not digits_are_here(spec.protocol.dataset, spec.fingerprint):
        _other_run()
        return
    dataset = runtime.dataset(spec.protocol.dataset)
    obey(sent_review())
    if _take(view, sent_submission()) or _take_back(view, sent_undo()):
        view = actions.look(runtime.store(), run_id)
    actions.ask_workers(runtime.store(), runtime.workers(), view)  # nobody waits for drawing
    _draw(view, dataset)


def _draw(view: View, dataset: ImageDataset) -> None:
    """The page from top to bottom, save that the grid comes before all that costs time.

    A person who has submitted waits for it to say "Saved.".
    """
    _header(view)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _grid(view, dataset)
    note_kept(sent_review())
    if actions.ask_baseline(runtime.store(), dataset, view):
        view = actions.look(runtime.store(), view.log.run.run_id)
        actions.ask_workers(runtime.store(), runtime.workers(), view)
    last = actions.reveal(runtime.store(), dataset, view.log)
    with left:
        _watch(view, last)
        _controls(view)
    with right:
        charts(view)
    review_section(view, dataset)
    last_batch(view, dataset, last)
    _details(view, dataset)


def _unknown(run_id: str) -> None:
    st.error(f"There is no run “{words.plain(run_id)}” here. It may have been deleted.")
    _other_run()


def _other_run() -> None:
    if st.button("Start a new run", type="primary", icon=":material/add:"):
        shell.go_to(None)


# -- top line ----------------------------------------------------------------------------------


def _header(view: View) -> None:
    left, right = st.columns([3, 2], gap="medium")
    left.markdown(f"{words.about(view.log)} · **{view.log.n_labelled}** labels")
    right.markdown(words.accuracy(view))


# -- the ten images ----------------------------------------------------------------------------


def _grid(view: View, dataset: ImageDataset) -> None:
    shown = actions.batch_on_screen(view.log)
    if shown is None:
        label_grid(
            query_id=FIRST,
            images=[],
            batch_size=view.log.run.spec.protocol.n_samples_to_acquire,
            disabled=True,
            message=words.PLACES,
            reviewing=is_open(),
        )
        return
    query, answered = shown
    waits = answered is None and not answers_itself(view.log) and not view.next_task.finished
    try:
        if st.query_params.get("plain") == "1":
            _take(view, plain_grid(query, dataset, disabled=not waits), redraw=True)
            return
        label_grid(
            query_id=query.query_id,
            images=_images(dataset.name, query.ranking),
            batch_size=query.batch_size,
            saved=answered is not None,
            stored=answered.labels if answered else None,
            disabled=not waits,
            last=view.log.after or None,
            reviewing=is_open(),
        )
    except ValueError as error:  # the browser sent something else than answers to this query
        st.error(f"Nothing was saved: {error}. Reload the page, and label these ten again.")


@st.cache_data(show_spinner=False, max_entries=32)
def _images(name: str, image_ids: tuple[int, ...]) -> list[tuple[int, str]]:
    images = runtime.dataset(name).images
    return [(image_id, image_data_uri(images[image_id])) for image_id in image_ids]


def _take(view: View, submission: GridSubmission | None, redraw: bool = False) -> bool:
    """Store what was submitted, once; also when another tab has moved the run on meanwhile.

    Returns whether there was something to take, so that the view is out of date.
    """
    if submission is None or submission.nonce == st.session_state.get("taken"):
        return False
    if not actions.is_of(view.log, submission):
        return False
    try:
        outcome = actions.submit(runtime.store(), view.log, submission)
    except ValueError as error:
        st.error(f"Nothing was saved: {error}. Reload the page, and label these ten again.")
        return False
    st.session_state["taken"] = submission.nonce
    if outcome.status == "refused":
        st.session_state["notice"] = words.refused(outcome)
    if redraw:
        st.rerun()
    return True


def _take_back(view: View, undo: GridUndo | None) -> bool:
    """Obey the undo key once; returns whether the view is out of date."""
    if undo is None or undo.submission_id != view.log.after:
        return False  # done already, or another tab was first
    _undo_last(view)
    return True


def _undo_last(view: View) -> None:
    try:
        actions.undo(runtime.store(), view.log)
    except NothingToUndo as error:
        st.session_state["notice"] = f"{error}."


# -- the state line ----------------------------------------------------------------------------


def _watch(view: View, last: list[Revealed]) -> None:
    """The line under the grid; it redraws the page when the run, or its baseline, has moved."""
    run_id = view.log.run.run_id
    baseline_id = view.baseline.run.run_id if view.baseline else None
    moving = view.next_task.has_work or view.baseline_works
    source = view.log.submissions[-1].source if view.log.submissions else "person"
    about_these = words.asked_by(view.log) or words.last_ten(last, source)
    below = about_these or words.first_fit(view.log)

    # While the page itself is drawn nothing starts it over: a click on a button further down,
    # undo for one, would be lost with it.
    drawing = True

    @st.fragment(run_every=WORKING_SECONDS if moving else WAITING_SECONDS)
    def line() -> None:
        actions.ask_workers(runtime.store(), runtime.workers(), view)
        with st.container(height=STATE_HEIGHT, border=False, gap="xsmall"):
            _state(view, runtime.store().progress(run_id), below)
        if drawing:
            return
        waits = view.next_task.has_work and not view.log.is_asked
        patience = LISTEN_SECONDS if waits else 0
        if actions.has_moved(runtime.store(), run_id, baseline_id, view.pulse, patience):
            st.rerun(scope="app")

    line()
    drawing = False


def _state(view: View, progress: Progress | None, below: str) -> None:
    if notice := st.session_state.pop("notice", None):
        st.toast(notice, icon=":material/info:", duration="long")
    if progress is not None and progress.part == "failed":
        _failed(view, progress)
        return
    if view.next_task.has_work:
        st.progress(*words.working(view, progress))
    elif view.next_task.finished:
        st.success(words.finished(view.next_task.finished), icon=":material/flag:")
        return
    else:
        st.markdown(words.waiting(view.log))
    if below:
        st.caption(below)


def _failed(view: View, progress: Progress) -> None:
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.error(f"The last piece of work failed: {progress.message}", icon=":material/error:")
    if right.button("Try again", width="stretch"):
        actions.retry(runtime.store(), view.log)
        st.rerun(scope="app")


# -- undo and the oracle -----------------------------------------------------------------------


def _controls(view: View) -> None:
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        _undo(view)
        st.button(
            "Review",
            icon=":material/fact_check:",
            type="primary" if is_open() else "secondary",
            on_click=toggle,
            help="Every label given, most suspicious first, to be corrected. Key: R",
        )
        if answers_itself(view.log):
            _hand_back(view)
        else:
            over = view.next_task.finished is not None
            with st.popover("Let the oracle answer", icon=":material/smart_toy:", disabled=over):
                _oracle(view)
        if st.button("New run"):
            shell.go_to(None)
        st.page_link("pages/explain.py", label="Why these?", icon=":material/lightbulb:")


def _undo(view: View) -> None:
    if st.button(
        "Undo the last ten",
        icon=":material/undo:",
        disabled=not view.log.submissions,
        help="Take back the batch answered last; the same images are asked again. Key: U",
        # A button of its own for each batch: pressed twice in haste, it takes back one.
        key=f"undo-{view.log.after}",
    ):
        _undo_last(view)
        st.rerun()


def _hand_back(view: View) -> None:
    if st.button(
        "Pause: hand back to me",
        icon=":material/pause:",
        type="primary",
        help="The oracle answers no further query; the next ten are yours.",
    ):
        actions.take_back(runtime.store(), view.log)
        st.rerun()


def _oracle(view: View) -> None:
    st.caption("The simulated oracle answers with the data set's own labels.")
    if st.button("The next ten", width="stretch"):
        _hand_over(view, 1)
    n_steps = st.number_input("Several steps of ten", 1, 1000, 5)
    if st.button(f"The next {n_steps} steps", width="stretch"):
        _hand_over(view, int(n_steps))
    if st.button("To the end of the run", width="stretch"):
        _hand_over(view, None)


def _hand_over(view: View, n_steps: int | None) -> None:
    actions.hand_over(runtime.store(), view.log, n_steps)
    st.rerun()


# -- below: protocol and downloads -------------------------------------------------------------


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
                f"Run `{view.log.run.run_id}` on {dataset.title}; {words.set_aside(view.log)}."
            )
            download_buttons(view.log)


if shell.is_alone():
    shell.enter()
else:
    render()
