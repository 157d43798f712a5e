"""The Reproduce page: start experiments, watch and control them, read their tables and figures.

The parts of the page are in `dal_ui.reproduce`. The address names the experiment, so a reload or a
second tab finds it, including one that was started on the command line.
"""

from __future__ import annotations

import streamlit as st

from dal_core.data.base import DataError, ImageDataset
from dal_core.experiments.status import ExperimentStatus, State
from dal_ui.reproduce import actions
from dal_ui.reproduce.compare import compare_view, record_view
from dal_ui.reproduce.live import live
from dal_ui.reproduce.results import results
from dal_ui.reproduce.start import STATE_BADGES, describe, name_of, start_view
from dal_ui.shared import runtime, shell, trouble
from dal_ui.shared.markdown import plain, quoted

VIEWS = {"Start or open": start_view, "Open a record file": record_view, "Compare": compare_view}
RESULTS_SECONDS = 10.0  # between two redraws of tables and figures while runs advance


def render() -> None:
    """Draw the experiment in the address, or the views without one."""
    runtime.workers()
    shell.current_run("reproduce")  # restores the address after a visit to another page
    experiment_id = st.query_params.get("experiment")
    if not experiment_id:
        _without_experiment()
        return
    now = actions.find(runtime.store(), experiment_id)
    if now is None:
        st.error(
            f"There is no experiment {quoted(experiment_id)} here. It may have been forgotten."
        )
        if st.button("All experiments", type="primary"):
            _leave()
        return
    _header(now)
    live(now)
    _results(now)


def _without_experiment() -> None:
    st.title("Repeat the report's experiment")
    st.write(
        "Does a network learn faster when it chooses which images to label? Several acquisition "
        "functions run side by side and a simulated oracle answers. Your own runs give the "
        "report's tables and figures."
    )
    view = st.segmented_control(
        "View",
        list(VIEWS),
        default=next(iter(VIEWS)),
        required=True,
        key="view",
        label_visibility="collapsed",
    )
    VIEWS[view or next(iter(VIEWS))]()


def _header(now: ExperimentStatus) -> None:
    row = now.experiment
    title, badge, back = st.columns([5, 1.4, 1.8], vertical_alignment="center")
    title.markdown(f"### {plain(name_of(row))}")
    text, icon, colour = STATE_BADGES[now.state]
    badge.badge(text, icon=icon, color=colour)  # type: ignore[arg-type]
    if back.button("All experiments", icon=":material/arrow_back:", width="stretch"):
        _leave()
    st.caption(f"{describe(row)} · `{row.experiment_id}`")


def _results(now: ExperimentStatus) -> None:
    """The results; while runs advance only on request, since drawing slows them down."""
    running = now.state is State.UNFINISHED
    if running and not st.toggle("Tables and figures so far", key="so_far"):
        return
    experiment_id = now.experiment.experiment_id

    @st.fragment(run_every=RESULTS_SECONDS if running else None)
    @trouble.shown()
    def draw() -> None:
        latest = actions.find(runtime.store(), experiment_id)
        if latest is not None:
            record = actions.record_of(latest)
            results(record, experiment_id, _dataset(latest))

    draw()


def _dataset(now: ExperimentStatus) -> ImageDataset | None:
    name = now.experiment.protocol.dataset
    try:
        return runtime.dataset(name)
    except DataError:
        st.caption(f"The data set {plain(name)} cannot be read here, so figure 1 is left out.")
        return None


def _leave() -> None:
    st.query_params.pop("experiment", None)
    st.rerun()


if shell.is_alone():
    shell.enter()
else:
    render()
