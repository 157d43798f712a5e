"""The explaining page: why this image, what would another function ask for, where does it lie?

Draws only, with the real models of real runs; the parts of the page are in `dal_ui.explain_*`,
`dal_ui.replay` and `dal_ui.tour`. The address names the run, so a reload or a second tab finds it.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dal_core.datasets import Dataset
from dal_core.display import display_name
from dal_core.protocol import FULL_DATA
from dal_core.store import RunLog, RunNotFound, RunSummary
from dal_ui import explain_model, runtime, shell, words
from dal_ui.digits import digits_are_here
from dal_ui.explain_choices import choices_view
from dal_ui.explain_image import image_view
from dal_ui.explain_map import map_view
from dal_ui.explain_model import Step
from dal_ui.replay import replay_section
from dal_ui.tour import VIEW_KEY, tour
from dal_ui.tour_stops import FUNCTIONS, IMAGE, MAP, REPLAY

VIEWS: dict[str, Callable[[Step], None]] = {
    IMAGE: image_view,
    FUNCTIONS: choices_view,
    MAP: map_view,
}
LOOK_SECONDS = 2.0  # between two looks whether a newer model is there


def render() -> None:
    """Draw the run in the address, or the newest that has a model."""
    store, workers = runtime.store(), runtime.workers()
    named = shell.current_run("explain")
    log = _log(named)
    if named is not None and log is None:
        st.error(f"There is no run “{words.plain(named)}” here. It may have been deleted.")
        named = None
    run_id = _choose(named)
    tour(store, workers, run_id)
    log = _log(run_id)
    if log is None:
        st.write(
            "It needs a run with a trained network: start one and label ten digits, or take the "
            "tour, which makes two runs of its own in about two minutes."
        )
        if st.button("Start a run", icon=":material/play_arrow:"):
            shell.go_to(None)
        return
    _draw(log)


def _log(run_id: str | None) -> RunLog | None:
    try:
        return runtime.store().log(run_id) if run_id is not None else None
    except RunNotFound:
        return None


def _choose(named: str | None) -> str | None:
    """The run looked at: that of the address, else the newest with a model that asks."""
    store = runtime.store()
    known = [
        run.run_id
        for run in store.runs()
        if run.spec.acquisition != FULL_DATA and explain_model.newest(run.run_id) is not None
    ]
    known = known if named is None or named in known else [named, *known]
    title, choice = st.columns([3, 2], vertical_alignment="center", gap="medium")
    title.markdown("### Why this image?")
    if not known:
        return None

    # One look at all of them: reading their logs would make every slider wait.
    names = {one.run.run_id: _name(one) for one in store.summaries(known)}
    chosen = choice.selectbox(
        "Run",
        known,
        index=known.index(named) if named is not None else 0,
        format_func=lambda run_id: names.get(run_id, run_id),
        key=f"explain-run-{named}",
        label_visibility="collapsed",
    )
    if chosen != st.query_params.get("run"):
        st.query_params["run"] = chosen
        shell.current_run("explain")
    return chosen


def _name(one: RunSummary) -> str:
    run = one.run
    function = display_name(run.spec.acquisition)
    return f"{run.title or run.run_id}: {function}, {one.n_labelled} labels, {run.created_at[:10]}"


def _draw(log: RunLog) -> None:
    titles = [*VIEWS, REPLAY]
    tabs = st.tabs(titles, key=VIEW_KEY, on_change="rerun")
    for title, tab in zip(titles, tabs, strict=True):
        if tab.open:
            with tab:
                _view(title, log)


def _view(title: str, log: RunLog) -> None:
    if title == REPLAY:
        replay_section(runtime.store(), runtime.workers(), log.run.run_id)
        return
    spec = log.run.spec
    if not digits_are_here(spec.protocol.dataset, spec.fingerprint):
        return
    step = _step(log, runtime.dataset(spec.protocol.dataset))
    if step is None:
        _no_model(log)
    elif not len(step.learner.pool_subset()):
        st.info("This network has nothing left to ask for: every image has its label.")
    else:
        VIEWS[title](step)
    _look_again(log, is_missing=step is None)


def _step(log: RunLog, dataset: Dataset) -> Step | None:
    """The model looked at: the newest, or another of the run's that is stored."""
    states = explain_model.stored(log)
    left, right = st.columns([3, 2], vertical_alignment="center", gap="medium")
    state = None
    if len(states) > 1:
        state = right.selectbox(
            "Network",
            states[::-1],
            format_func=lambda one: f"the network of {log.n_labelled_at(one[0])} labels",
            key=f"explain-network-{log.run.run_id}",
            label_visibility="collapsed",
            help="Replay can compute the network of any other step again.",
        )
    step = explain_model.open_step(log, dataset, state)
    if step is not None:
        left.caption(
            f"{words.about(log)}. Its network of **{step.learner.n_labelled}** labels"
            + ("; the next one is in training." if _is_training(log) else ".")
        )
    return step


def _is_training(log: RunLog) -> bool:
    """Whether there are answers that the newest network has not learned from."""
    return explain_model.newest(log.run.run_id) != (log.after, log.corrected)


def _no_model(log: RunLog) -> None:
    """Say why there is nothing to look at, and what can be done."""
    st.info(
        "No network of this run is stored at present: it is in training, or answers were taken "
        "back since. It is shown here as soon as it is there.",
        icon=":material/hourglass_empty:",
    )
    if st.button("Compute it again", icon=":material/replay:", help="One training, in a worker."):
        runtime.workers().ask_weights(log.run.run_id, log.after)


def _networks(log: RunLog) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Last submission and correction of every network that is stored, and of every one measured."""
    return explain_model.stored(log), [(step.after, step.corrected) for step in log.steps]


def _look_again(log: RunLog, is_missing: bool) -> None:
    """Draw anew when another network is stored, or a corrected one measured and so readable."""
    if not is_missing and not _is_training(log):
        return
    seen = _networks(log)

    @st.fragment(run_every=LOOK_SECONDS)
    def look() -> None:
        latest = _log(log.run.run_id)
        if latest is None or _networks(latest) != seen:
            st.rerun(scope="app")

    look()


if shell.is_alone():
    shell.enter()
else:
    render()
