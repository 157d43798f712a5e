"""A running experiment: progress of every run, the curves so far, pause, resume and stop.

While there is work, fragments read the store every second, and every three seconds for the curves,
which cost more to draw. The page is redrawn when the experiment's state changes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import streamlit as st

from dal_core import figures
from dal_core.experiments import control
from dal_core.experiments.forecast import duration
from dal_core.experiments.status import ExperimentStatus, State
from dal_core.results.curves import Bound, Metric, RunCurve
from dal_ui.reproduce import actions
from dal_ui.shared import runtime, trouble
from dal_ui.shared.markdown import plain
from dal_ui.shared.measures import MISSING, measure_choice

LOOK_SECONDS, CURVES_SECONDS = 1.0, 3.0
CHART_HEIGHT = 260
_COLUMNS = {
    "function": st.column_config.TextColumn("Function", width=120),
    "seed": st.column_config.NumberColumn("Seed", width=60),
    "progress": st.column_config.ProgressColumn(
        "Progress", min_value=0, max_value=100, format="%d%%", width=110
    ),
    "steps": st.column_config.TextColumn("Steps", width=90),
    "labels": st.column_config.NumberColumn("Labels", width=70),
    "accuracy": st.column_config.TextColumn("Accuracy", width=80),
    "doing": st.column_config.TextColumn("Now", width=170),
    "left": st.column_config.TextColumn(
        "Work left", width=90, help="For one core; several runs advance at once."
    ),
}


def live(now: ExperimentStatus) -> None:
    """Draw the experiment and keep it up to date."""
    drawn, experiment_id = now.state, now.experiment.experiment_id
    running = drawn is State.UNFINISHED

    @st.fragment(run_every=LOOK_SECONDS if running else None)
    @trouble.shown()
    def top() -> None:
        latest = _look(experiment_id)
        if latest is None or latest.state is not drawn:
            _redraw()
        control.ask_workers(runtime.workers(), latest)
        _steer(latest, drawn)

    @st.fragment(run_every=CURVES_SECONDS if running else None)
    @trouble.shown()
    def curves() -> None:
        _curves(_look(experiment_id) or now)

    @st.fragment(run_every=LOOK_SECONDS if running else None)
    @trouble.shown()
    def runs() -> None:
        _runs(_look(experiment_id) or now, running and _is_held())

    _look.clear()  # whatever caused this redraw must be seen
    top()
    curves()
    with st.expander(f"The {len(now.runs)} runs", expanded=drawn is not State.COMPLETE):
        runs()


@st.cache_resource(ttl=0.8 * LOOK_SECONDS, show_spinner=False, max_entries=16)
def _look(experiment_id: str) -> ExperimentStatus | None:
    """One reading for all fragments and tabs: 18 runs of 101 steps take a moment to read."""
    return actions.find(runtime.store(), experiment_id)


def _redraw() -> NoReturn:
    _look.clear()
    st.rerun(scope="app")


def _is_held() -> bool:
    return runtime.workers().person_goes_first()


def _steer(now: ExperimentStatus, state: State) -> None:
    if state is State.COMPLETE:
        st.caption(f"All {now.n_steps:,} steps are measured.")
        return
    bar, pause, stop = st.columns([6, 1.4, 1.2], vertical_alignment="center")
    with bar:
        _overall(now, state)
    _controls(now, state, pause, stop)
    if state is State.UNFINISHED and _is_held():
        st.info("Paused while a person's next batch is prepared.", icon=":material/person:")
    _failures(now)


def _overall(now: ExperimentStatus, state: State) -> None:
    text = f"**{now.n_done:,}** of {now.n_steps:,} steps"
    if state is State.UNFINISHED:
        text += _finish(actions.remaining(now, runtime.BACKGROUND_WORKERS))
    else:
        text += f" · {state.value}; measured steps are kept"
    st.progress(now.n_done / max(now.n_steps, 1), text)


def _finish(seconds: float | None) -> str:
    if seconds is None:
        return " · the time left is known after the first steps"
    at = _local_now() + timedelta(seconds=seconds)
    day = "" if at.date() == _local_now().date() else at.strftime("%A ")
    return f" · {duration(seconds)} left, done about {day}{at:%H:%M}"


def _local_now() -> datetime:
    """The time where the reader is, which may differ from the server's."""
    try:
        return datetime.now(ZoneInfo(st.context.timezone or "UTC"))
    except (KeyError, ValueError, OSError):
        return datetime.now().astimezone()


def _controls(
    now: ExperimentStatus,
    state: State,
    pause: st.delta_generator.DeltaGenerator,
    stop: st.delta_generator.DeltaGenerator,
) -> None:
    store, experiment_id = runtime.store(), now.experiment.experiment_id
    if state is State.UNFINISHED or state is State.FAILED:
        if pause.button("Pause", icon=":material/pause:", width="stretch", key="pause"):
            control.pause(store, experiment_id)
            _redraw()
    elif pause.button(
        "Resume", icon=":material/play_arrow:", type="primary", width="stretch", key="resume"
    ):
        control.resume(store, experiment_id)
        _redraw()
    if state is State.STOPPED:
        return
    if stop.button(
        "Stop",
        icon=":material/stop:",
        width="stretch",
        key="stop",
        help="Stop here and keep the results so far. You can resume it later.",
    ):
        control.stop(store, experiment_id)
        _redraw()


def _failures(now: ExperimentStatus) -> None:
    for run in now.failures:
        spec = run.log.run.spec
        message, again = st.columns([6, 1.4], vertical_alignment="center")
        name = f"{actions.run_name(run)}, seed {spec.seed}"
        message.error(plain(f"{name} failed: {run.failure}"), icon=":material/error:")
        if again.button("Try again", key=f"again-{run.log.run.run_id}", width="stretch"):
            actions.try_again(runtime.store(), run)
            _redraw()


def _curves(now: ExperimentStatus) -> None:
    runs, bounds = actions.measured(now)
    if max(map(len, runs), default=0) < 2:
        st.caption("The curves appear after the second measured step.")
        return
    shown = actions.caught_up(runs)
    chosen = measure_choice("live-measure")
    metrics: tuple[Metric, Metric] = (chosen, "mutual_information")
    for place, (column, metric) in enumerate(zip(st.columns(2), metrics, strict=True)):
        spec = _spec(shown, bounds, metric)
        column.vega_lite_chart(spec, width="stretch", key=f"live-{place}")
    if not any(run.points(chosen) for run in shown):
        st.caption(MISSING)
    if len(shown) < len(runs):
        st.caption(
            f"Means and bands of {len(shown)} runs. {len(runs) - len(shown)} more join once they "
            "catch up with the others of their function."
        )


@st.cache_data(show_spinner=False, max_entries=32)
def _spec(runs: list[RunCurve], bounds: list[Bound], metric: Metric) -> dict[str, Any]:
    """The chart's specification, which takes longer to make than everything else on the page."""
    chart = figures.bands_figure(runs, bounds, metric, height=CHART_HEIGHT, legend_columns=3)
    return chart.to_dict()


def _runs(now: ExperimentStatus, held: bool) -> None:
    rows = actions.run_rows(now, held)
    st.dataframe(
        rows,
        hide_index=True,
        column_config=_COLUMNS,
        column_order=list(_COLUMNS),
        height=min(35 * len(rows) + 38, 708),
    )
    deleted = actions.n_deleted(now)
    if deleted:
        st.caption(f"{deleted} of this experiment's runs are deleted or damaged and are left out.")
