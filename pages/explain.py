"""The explaining page: why this image, what would another function ask for, where does it lie?

Draws only, with the real model of a real run; the parts of the page are in `dal_ui.explain_*`. The
address names the run, so a reload or a second tab finds it.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dal_core.datasets import Dataset
from dal_core.display import display_name
from dal_core.store import RunLog, RunNotFound
from dal_ui import explain_model, runtime, shell, words
from dal_ui.digits import digits_are_here
from dal_ui.explain_choices import choices_view
from dal_ui.explain_image import image_view
from dal_ui.explain_map import map_view
from dal_ui.explain_model import Step

VIEWS: dict[str, Callable[[Step], None]] = {
    "One image": image_view,
    "Five functions, one model": choices_view,
    "A map of the pool": map_view,
}
LOOK_SECONDS = 2.0  # between two looks whether a newer model is there


def render() -> None:
    """Draw the run in the address, or offer those that have a model."""
    runtime.workers()
    named = shell.current_run("explain")
    log = _log(named)
    if named is not None and log is None:
        st.error(f"There is no run {named!r} here. It may have been deleted.")
    run_id = _choose(named if log is not None else None)
    if run_id is None:
        _nothing_to_show()
        return
    if log is None or log.run.run_id != run_id:
        log = _log(run_id)
    if log is None:
        return
    spec = log.run.spec
    if digits_are_here(spec.protocol.dataset, spec.fingerprint):
        _draw(log, runtime.dataset(spec.protocol.dataset))


def _log(run_id: str | None) -> RunLog | None:
    try:
        return runtime.store().log(run_id) if run_id is not None else None
    except RunNotFound:
        return None


def _choose(named: str | None) -> str | None:
    """The run looked at: that of the address, else the newest with a model."""
    store = runtime.store()
    runs = {run.run_id: run for run in store.runs() if explain_model.newest(run.run_id) is not None}
    known = list(runs) if named is None or named in runs else [named, *runs]
    if not known:
        return None
    title, choice = st.columns([3, 2], vertical_alignment="center", gap="medium")
    title.markdown("### Why this image?")

    def name(run_id: str) -> str:
        run, n_labelled = store.run(run_id), store.log(run_id).n_labelled
        function = display_name(run.spec.acquisition)
        return f"{run.title or run_id}: {function}, {n_labelled} labels, {run.created_at[:10]}"

    chosen = choice.selectbox(
        "Run",
        known,
        index=known.index(named) if named is not None else 0,
        format_func=name,
        key=f"explain-run-{named}",
        label_visibility="collapsed",
    )
    if chosen != st.query_params.get("run"):
        st.query_params["run"] = chosen
        shell.current_run("explain")
    return chosen


def _nothing_to_show() -> None:
    st.title("Why this image?")
    st.write(
        "Here you see what the network sees: why it asks for the images it asks for, and what "
        "other ways to choose would have asked for instead. It needs a run with a trained "
        "network: start one, label ten digits, and come back."
    )
    if st.button("Start a run", type="primary", icon=":material/play_arrow:"):
        shell.go_to(None)


def _draw(log: RunLog, dataset: Dataset) -> None:
    step = explain_model.open_step(log, dataset)
    if step is None:
        st.info(
            "No network of this run is stored yet: the first one is in training, or answers were "
            "taken back since. It is shown here as soon as it is trained.",
            icon=":material/hourglass_empty:",
        )
        _look_again(log, None)
        return
    st.caption(
        f"{words.about(log)}. The network that learned from **{step.learner.n_labelled}** labels"
        + ("." if step.learner.n_labelled == log.n_labelled else "; the next one is in training.")
    )
    tabs = st.tabs(list(VIEWS), key="explain-view", on_change="rerun")
    for tab, view in zip(tabs, VIEWS.values(), strict=True):
        if tab.open:
            with tab:
                view(step)
    _look_again(log, step)


def _look_again(log: RunLog, step: Step | None) -> None:
    """Draw anew when a newer network is stored."""
    if step is not None and step.learner.after == log.after:
        return
    seen = None if step is None else step.learner.after

    @st.fragment(run_every=LOOK_SECONDS)
    def look() -> None:
        if explain_model.newest(log.run.run_id) != seen:
            st.rerun(scope="app")

    look()


if shell.is_alone():
    shell.enter()
else:
    render()
