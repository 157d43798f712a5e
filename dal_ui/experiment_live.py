"""An experiment at work: progress of every run, the curves as they come, pause, resume and stop.

A fragment looks at the store once a second while there is work; the page is drawn anew when the
experiment's state changes. Nothing here computes results.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import streamlit as st

from dal_core import experiment, figures
from dal_core.experiment import ExperimentStatus
from dal_ui import experiments, runtime
from dal_ui.experiments import State

LOOK_SECONDS = 1.0
CHART_HEIGHT = 260
_COLUMNS = {
    "function": st.column_config.TextColumn("Function", width=120),
    "seed": st.column_config.NumberColumn("Seed", width=60),
    "progress": st.column_config.ProgressColumn(
        "Progress", min_value=0.0, max_value=1.0, format="percent", width=110
    ),
    "steps": st.column_config.TextColumn("Steps", width=90),
    "labels": st.column_config.NumberColumn("Labels", width=70),
    "accuracy": st.column_config.NumberColumn("Accuracy", format="percent", width=80),
    "doing": st.column_config.TextColumn("At present", width=170),
    "left": st.column_config.TextColumn(
        "Work left", width=90, help="Of one core; several runs advance at once."
    ),
}


def live(now: ExperimentStatus) -> None:
    """Draw the experiment and keep it up to date."""
    drawn, experiment_id = experiments.state(now), now.experiment.experiment_id

    @st.fragment(run_every=LOOK_SECONDS if drawn is State.RUNNING else None)
    def watch() -> None:
        latest = experiments.find(runtime.store(), experiment_id)
        if latest is None or experiments.state(latest) is not drawn:
            st.rerun(scope="app")
        experiments.ask_workers(runtime.workers(), latest)
        _draw(latest, drawn)

    watch()


def _draw(now: ExperimentStatus, state: State) -> None:
    bar, pause, stop = st.columns([6, 1.4, 1.2], vertical_alignment="center")
    with bar:
        _overall(now, state)
    _controls(now, state, pause, stop)
    held = state is State.RUNNING and runtime.workers().person_goes_first()
    if held:
        st.info("Held for a moment: a person's next ten go first.", icon=":material/person:")
    _failures(now)
    _curves(now)
    _runs(now, held, state)


def _overall(now: ExperimentStatus, state: State) -> None:
    text = f"**{now.n_done:,}** of {now.n_steps:,} steps"
    if state is State.RUNNING:
        text += _finish(experiments.remaining(now, runtime.BACKGROUND_WORKERS))
    elif state is State.COMPLETE:
        text = f"All **{now.n_steps:,}** steps are measured"
    else:
        text += f" · {state.value}, what was measured is kept"
    st.progress(now.n_done / max(now.n_steps, 1), text)


def _finish(seconds: float | None) -> str:
    if seconds is None:
        return " · the time is known after the first steps"
    at = _local_now() + timedelta(seconds=seconds)
    day = "" if at.date() == _local_now().date() else at.strftime("%A ")
    return f" · {experiments.duration(seconds)} left, done about {day}{at:%H:%M}"


def _local_now() -> datetime:
    """The reader's clock, which need not be the server's."""
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
    if state is State.COMPLETE:
        return
    if state is State.RUNNING or state is State.FAILED:
        if pause.button("Pause", icon=":material/pause:", width="stretch"):
            experiment.pause(store, experiment_id)
            st.rerun(scope="app")
    elif pause.button("Resume", icon=":material/play_arrow:", type="primary", width="stretch"):
        experiment.resume(store, experiment_id)
        st.rerun(scope="app")
    if state is State.STOPPED:
        return
    if stop.button(
        "Stop",
        icon=":material/stop:",
        width="stretch",
        help="End it where it is: what was measured is the result. You may still resume it.",
    ):
        experiment.stop(store, experiment_id)
        st.rerun(scope="app")


def _failures(now: ExperimentStatus) -> None:
    for run in filter(experiments.has_failed, now.runs):
        assert run.progress is not None
        spec = run.log.run.spec
        message, again = st.columns([6, 1.4], vertical_alignment="center")
        name = f"{experiments.run_name(run)}, seed {spec.seed}"
        message.error(f"{name} failed: {run.progress.message}", icon=":material/error:")
        if again.button("Try again", key=f"again-{run.log.run.run_id}", width="stretch"):
            experiments.try_again(runtime.store(), run)
            st.rerun(scope="app")


def _curves(now: ExperimentStatus) -> None:
    runs, bounds = experiments.measured(now)
    if not runs and not bounds:
        st.caption("The curves begin here with the first measured step.")
        return
    published = st.session_state.get("published", False)
    for column, metric in zip(st.columns(2), ("accuracy", "mutual_information"), strict=True):
        chart = figures.bands_figure(
            runs,
            bounds,
            metric,  # type: ignore[arg-type]
            published=published and metric == "accuracy",
            height=CHART_HEIGHT,
        )
        column.altair_chart(chart, width="stretch", key=f"live-{metric}")


def _runs(now: ExperimentStatus, held: bool, state: State) -> None:
    rows = experiments.run_rows(now, held)
    with st.expander(f"The {len(rows)} runs", expanded=state is not State.COMPLETE):
        st.dataframe(
            rows,
            hide_index=True,
            column_config=_COLUMNS,
            column_order=list(_COLUMNS),
            height=min(36 * len(rows) + 38, 700),
        )
        deleted = experiments.n_deleted(now)
        if deleted:
            st.caption(f"{deleted} of its runs were deleted since; they are left out.")
