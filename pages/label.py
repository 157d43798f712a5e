"""The labelling page: a person answers what the network asks, or hands over to the oracle.

Draws one `View` of a run; everything it does to the run is in `dal_ui.labelling`. While there is
work in the background a fragment looks at the store several times a second and has the page drawn
anew when something changed; the grid keeps its half-typed labels through that.
"""

from __future__ import annotations

import streamlit as st

from dal_core.answers import AnswerError
from dal_core.datasets import Dataset
from dal_core.display import display_name
from dal_core.figures import learning_curve
from dal_core.runfiles import run_curve
from dal_core.store import NothingToUndo, Progress
from dal_ui import labelling, runtime, shell
from dal_ui.grid import image_data_uri, label_grid
from dal_ui.labelling import View
from dal_ui.plain import plain_grid
from dal_ui.start import start_form

WORKING_SECONDS, WAITING_SECONDS = 0.25, 2.0  # between two looks at the store
CHART_HEIGHT = 268


def render() -> None:
    """Draw the page for the run in the address, or the start form."""
    runtime.workers()
    run_id = st.query_params.get("run")
    if not run_id:
        start_form()
        return
    view = labelling.find_view(runtime.store(), run_id)
    if view is None:
        st.error(f"There is no run {run_id!r} here. It may have been deleted.")
        if st.button("Start a new run", type="primary"):
            _leave()
        return
    try:
        dataset = runtime.dataset(view.log.run.spec.protocol.dataset)
    except Exception as error:  # missing or broken files: said in one line, the run is untouched
        st.error(f"This run's digits cannot be read: {error}")
        return
    labelling.ask_baseline(runtime.store(), dataset, view)
    view = labelling.look(runtime.store(), run_id)
    labelling.ask_workers(runtime.store(), runtime.workers(), view)
    _draw(view, dataset)


def _draw(view: View, dataset: Dataset) -> None:
    _header(view)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _grid(view, dataset)
        _watch(view)
        _controls(view)
    with right:
        _charts(view)
    _reveal(view, dataset)
    _details(view, dataset)


# -- top line ----------------------------------------------------------------------------------


def _header(view: View) -> None:
    spec = view.log.run.spec
    title, labels, accuracy = st.columns([5, 2, 3], vertical_alignment="center")
    title.markdown(
        f"**{view.log.run.title or view.log.run.run_id}** · "
        f"{display_name(spec.acquisition)} · {spec.protocol.dataset} · "
        f"{spec.protocol.describe()} · seed {spec.seed}"
    )
    labels.markdown(f"**{view.log.n_labelled}** labels given")
    accuracy.markdown(_accuracy_line(view))


def _accuracy_line(view: View) -> str:
    latest, beside = view.latest, view.random_beside
    if latest is None:
        return "accuracy: not measured yet"
    line = f"**{latest.accuracy:.1%}** accuracy at {latest.n_labelled} labels"
    return f"{line} · random {beside.accuracy:.1%}" if beside else line


# -- the ten images ----------------------------------------------------------------------------


def _grid(view: View, dataset: Dataset) -> None:
    shown = labelling.batch_on_screen(view.log)
    if shown is None:
        with st.container(height=440, border=True, vertical_alignment="center"):
            _first_fit(view)
        return
    query, answered = shown
    waiting = answered is None and not labelling.hands_over(view.log) and not view.agenda.finished
    if st.query_params.get("plain") == "1":
        submission = plain_grid(query, dataset, disabled=not waiting)
    else:
        submission = label_grid(
            query_id=query.query_id,
            images=_images(dataset.name, query.ranking),
            batch_size=query.batch_size,
            saved=answered is not None,
            disabled=not waiting,
        )
    if submission is not None and waiting:
        _submit(view, submission)


def _first_fit(view: View) -> None:
    n = view.log.n_labelled
    st.markdown(
        f"**The network is learning its first {n} digits**, two of each kind, "
        "labelled already. Then it asks you for the ten it would learn most from."
    )


@st.cache_data(show_spinner=False, max_entries=32)
def _images(name: str, image_ids: tuple[int, ...]) -> list[tuple[int, str]]:
    images = runtime.dataset(name).images
    return [(image_id, image_data_uri(images[image_id])) for image_id in image_ids]


def _submit(view: View, submission: object) -> None:
    try:
        outcome = labelling.submit(runtime.store(), view.log, submission)  # type: ignore[arg-type]
    except AnswerError as error:
        st.error(f"Nothing was saved: {error}")
        return
    if outcome.status == "refused":
        st.session_state["notice"] = f"Not saved: {outcome.reason}. What is stored stays."
    st.rerun()


# -- the state line ----------------------------------------------------------------------------


def _watch(view: View) -> None:
    """The line under the grid; it redraws the page when the run, or its baseline, has moved."""
    run_id, stamp = view.log.run.run_id, view.stamp
    working = view.agenda.has_work or _baseline_works(view)

    @st.fragment(run_every=WORKING_SECONDS if working else WAITING_SECONDS)
    def line() -> None:
        now = labelling.find_view(runtime.store(), run_id)
        if now is None or now.stamp != stamp:
            st.rerun(scope="app")
        labelling.ask_workers(runtime.store(), runtime.workers(), now)
        with st.container(height=64, border=False):
            _state(now, runtime.store().progress(run_id))

    line()


def _baseline_works(view: View) -> bool:
    return view.baseline is not None and labelling.agenda(view.baseline).has_work


def _state(view: View, progress: Progress | None) -> None:
    notice = st.session_state.pop("notice", None)
    if notice:
        st.toast(notice, icon=":material/warning:")
    if progress is not None and progress.part == "failed":
        _failed(view, progress)
    elif view.agenda.finished and not view.agenda.has_work:
        st.success(f"Finished: {view.agenda.finished}.", icon=":material/flag:")
    elif not view.agenda.has_work:
        asks = display_name(view.log.run.spec.acquisition)
        st.caption(f"Waiting for you. These are the ten {asks} asks for.")
    else:
        st.progress(*_progress(view, progress))


def _progress(view: View, progress: Progress | None) -> tuple[float, str]:
    saved = "Saved. " if view.log.submissions and view.log.open_query is None else ""
    if progress is None or progress.part == "idle" or not progress.n_epochs:
        return 0.0, f"{saved}Starting ..."
    share = (progress.epoch or 0) / progress.n_epochs
    left = f", {progress.seconds_left:.0f} s left" if progress.seconds_left is not None else ""
    if progress.part == "train":
        loss = f", training loss {progress.train_loss:.3f}" if progress.train_loss else ""
        return share, (
            f"{saved}Training on {progress.n_labelled} labels: "
            f"epoch {progress.epoch} of {progress.n_epochs}{loss}{left}"
        )
    what = "Looking for the next ten" if progress.part == "score" else "Measuring on test images"
    return share, f"{saved}{what}: {progress.epoch:,} of {progress.n_epochs:,} images{left}"


def _failed(view: View, progress: Progress) -> None:
    left, right = st.columns([4, 1])
    left.error(f"The last piece of work failed: {progress.message}")
    if right.button("Try again"):
        runtime.store().set_progress(view.log.run.run_id, Progress("idle"))
        st.rerun(scope="app")


# -- undo and the oracle -----------------------------------------------------------------------


def _controls(view: View) -> None:
    undo, oracle, pause = st.columns([1, 1, 1])
    if undo.button(
        "Undo the last ten",
        icon=":material/undo:",
        disabled=not view.log.submissions,
        width="stretch",
        help="Take back the batch answered last; the same images are asked again.",
    ):
        try:
            labelling.undo(runtime.store(), view.log)
        except NothingToUndo as error:
            st.toast(str(error))
        st.rerun()
    over = view.agenda.finished is not None
    with oracle.popover("Let the oracle answer", width="stretch", disabled=over):
        _oracle(view)
    if pause.button(
        "Hand back to me",
        icon=":material/pause:",
        disabled=not labelling.hands_over(view.log),
        width="stretch",
    ):
        labelling.take_back(runtime.store(), view.log)
        st.rerun()


def _oracle(view: View) -> None:
    """The simulated oracle answers with the data set's own labels."""
    st.caption("The oracle answers with the data set's own labels.")
    store = runtime.store()
    if st.button("The next ten", width="stretch"):
        labelling.hand_over(store, view.log, 1)
        st.rerun()
    n_batches = st.number_input("Steps", 1, 1000, 5)
    if st.button(f"The next {n_batches} steps", width="stretch"):
        labelling.hand_over(store, view.log, int(n_batches))
        st.rerun()
    if st.button("To the end of the run", width="stretch"):
        labelling.hand_over(store, view.log, None)
        st.rerun()


# -- charts ------------------------------------------------------------------------------------


def _charts(view: View) -> None:
    baseline = labelling.baseline_curves(view)
    curve = run_curve(view.log)
    st.altair_chart(
        learning_curve(curve, baseline, "accuracy", height=CHART_HEIGHT), width="stretch"
    )
    st.altair_chart(
        learning_curve(curve, baseline, "mutual_information", height=CHART_HEIGHT), width="stretch"
    )


# -- below: reveal, protocol, downloads --------------------------------------------------------


def _reveal(view: View, dataset: Dataset) -> None:
    revealed = labelling.reveal(runtime.store(), dataset, view.log)
    if not revealed:
        return
    same, given = labelling.agreement(dataset, view.log)
    title = "The last ten: what you said, what MNIST says, what the network thought"
    with st.expander(title, expanded=True):
        if given:
            st.caption(f"You and MNIST agree on {same} of the {given} digits you labelled.")
        for column, one in zip(st.columns(max(10, len(revealed))), revealed, strict=False):
            with column:
                st.image(dataset.images[one.image_id], width=56, output_format="PNG")
                st.markdown(_reveal_text(one))


def _reveal_text(one: labelling.Revealed) -> str:
    said = "skipped" if one.said is None else f"**{one.said}**"
    mark = "" if one.said is None else (" :green[=]" if one.agrees else " :red[≠]")
    thought = "–" if one.believed is None else f"{one.believed} ({one.confidence:.0%})"
    return f"you {said}  \nMNIST {one.truth}{mark}  \nnetwork {thought}"


def _details(view: View, dataset: Dataset) -> None:
    with st.expander("Protocol and downloads"):
        left, right = st.columns([3, 2])
        spec = view.log.run.spec
        left.dataframe(
            {
                "parameter": list(spec.protocol.model_dump()),
                "value": [str(value) for value in spec.protocol.model_dump().values()],
            },
            hide_index=True,
            height=280,
        )
        right.caption(
            f"Run `{view.log.run.run_id}` on {dataset.title}; "
            f"{len(view.log.skipped)} images skipped, "
            f"{view.log.n_retracted} batches taken back."
        )


def _leave() -> None:
    st.query_params.clear()
    st.rerun()


if shell.is_alone():
    shell.enter("label")
else:
    render()
