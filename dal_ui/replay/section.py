"""Replay: any stored run step by step, alone or beside another, and a fork from any step.

Nothing is trained for it unless a person asks a worker to recompute a step. The address names the
runs and the step: `?run=&beside=&step=`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from dal_core.execution.pool import Workers
from dal_core.figures.history import steps_figure
from dal_core.protocol.run_spec import FULL_DATA
from dal_core.record_file.sync import run_curve
from dal_core.results import run_history
from dal_core.results.run_history import Moment
from dal_core.run.next_task import next_task
from dal_core.run.rows import RunNotFound, RunRow
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_ui.replay import words
from dal_ui.replay.noise import noise_section
from dal_ui.replay.step import StepView, chart
from dal_ui.shared import trouble
from dal_ui.shared.datasets import dataset_available
from dal_ui.shared.measures import MISSING, measure_choice
from dal_ui.shared.widgets import accept, address_choice, key_for

MOVING_SECONDS = 2.0  # between two redraws while a shown run advances
ALONE = "none"  # no second run; an empty value would not stay in the address


def replay_section(store: Store, workers: Workers, run_id: str | None) -> None:
    """Draw the replay of the run (or of one chosen here), and the noisy annotator below it."""
    runs = [run for run in store.runs() if run.spec.acquisition != FULL_DATA]
    if not runs:
        st.info("No runs yet. Label some images, or create the runs of the tour.")
    else:
        left, right = st.columns(2, gap="medium")
        with left:
            first = _choose_first(runs, run_id)
        with right:
            second = _choose_second(runs, first)
        if dataset_available(first.spec.protocol.dataset, first.spec.fingerprint):
            _player(store, workers, first, second)
    st.divider()
    noise_section(store, workers)


# -- which runs --------------------------------------------------------------------------------


def _choose_first(runs: Sequence[RunRow], run_id: str | None) -> RunRow:
    by_id = {run.run_id: run for run in runs}
    chosen = _selectbox("Run", by_id, run_id or "", "run", name="replay-run")
    return by_id[chosen]


def _choose_second(runs: Sequence[RunRow], first: RunRow) -> RunRow | None:
    others = {run.run_id: run for run in runs if _comparable(run, first)}
    named = st.query_params.get("beside")
    default = named if named in (*others, ALONE) else _partner(first, list(others.values()))
    chosen = _selectbox(
        "Compare with",
        {ALONE: None, **others},
        default or ALONE,
        "beside",
        name=f"replay-beside-{first.run_id}",
    )
    return others.get(chosen)


def _selectbox(
    title: str, runs: Mapping[str, RunRow | None], default: str, parameter: str, name: str
) -> str:
    """A choice of runs in step with the address; another run clears the address's step."""
    titles = {
        run_id: "nothing" if run is None else words.run_title(run) for run_id, run in runs.items()
    }
    return address_choice(title, titles, default, name=name, parameter=parameter, forgets=("step",))


def _comparable(run: RunRow, first: RunRow) -> bool:
    """Whether both runs have the same data; the title names another seed or protocol."""
    return run.run_id != first.run_id and run.spec.fingerprint == first.spec.fingerprint


def _partner(first: RunRow, others: Sequence[RunRow]) -> str | None:
    """The default comparison: the run's origin, else Random with everything else the same."""
    for run in others:
        if run.run_id == first.forked_from:
            return run.run_id
    for run in others:
        same = (run.spec.protocol, run.spec.seed) == (first.spec.protocol, first.spec.seed)
        wanted = "random" if first.spec.acquisition != "random" else "bald"
        if same and run.spec.acquisition == wanted and run.spec.noise == first.spec.noise:
            return run.run_id
    return None


# -- step by step ------------------------------------------------------------------------------


def _player(store: Store, workers: Workers, first: RunRow, second: RunRow | None) -> None:
    """The slider and what it shows, as a fragment: the rest of the page is not redrawn."""
    shown = [run.run_id for run in (first, second) if run is not None]
    moving = any(_moves(store, workers, run_id) for run_id in shown)

    @st.fragment(run_every=MOVING_SECONDS if moving else None)
    @trouble.shown()
    def play() -> None:
        try:
            logs = [store.log(run_id) for run_id in shown]
        except RunNotFound:  # deleted in another tab a moment ago
            st.rerun(scope="app")
        histories = [run_history.moments(log) for log in logs]
        n_labelled = _slider(histories, first.run_id)
        _curves(logs, n_labelled)
        for column, log, moments in zip(
            st.columns(len(logs), gap="medium"), logs, histories, strict=True
        ):
            with column:
                StepView(store, workers, log, moments, n_labelled).draw(wide=len(logs) == 1)
        if moving != any(_moves(store, workers, run_id) for run_id in shown):
            st.rerun(scope="app")

    play()


def _moves(store: Store, workers: Workers, run_id: str) -> bool:
    """Whether a worker is advancing the run; a run with work left is queued."""
    try:
        has_work = next_task(store.log(run_id)).has_work
    except RunNotFound:
        return False
    if has_work:
        workers.ask(run_id, person_waits=False)
    return workers.is_active(run_id)


def _slider(histories: Sequence[Sequence[Moment]], run_id: str) -> int:
    """The number of labels to show."""
    options = sorted({moment.n_labelled for moments in histories for moment in moments})
    if len(options) == 1:
        st.caption(f"One step so far, at {options[0]} labels.")
        return options[0]
    named = st.query_params.get("step", "")
    is_number = named.isascii() and named.isdecimal() and len(named) <= 12
    reached = [n for n in options if is_number and n <= int(named)]
    start = max(reached, default=options[0])
    name = f"replay-step-{run_id}"
    key = key_for(name, start)

    def moved() -> None:
        accept(name, st.session_state[key])
        st.query_params["step"] = str(st.session_state[key])

    return int(
        st.select_slider(
            "Labels in the training set",
            options,
            start,
            key=key,
            on_change=moved,
            help="Every step of the run. The arrow keys move by one step.",
        )
    )


def _curves(logs: Sequence[RunState], n_labelled: int) -> None:
    runs = [log.run for log in logs]
    names = [words.curve_name(run, other) for run, other in _each_with_other(runs)]
    curves = {
        name: run_curve(log)
        for name, log in zip(names, logs, strict=True)
        if log.steps and log.run.has_test_set
    }
    if curves:
        metric = measure_choice("replay-measure")
        chart(steps_figure, curves, n_labelled, metric, key="replay-curves", height=190)
        if not any(curve.points(metric) for curve in curves.values()):
            st.caption(MISSING)


def _each_with_other(runs: Sequence[RunRow]) -> list[tuple[RunRow, RunRow | None]]:
    if len(runs) == 1:
        return [(runs[0], None)]
    return [(runs[0], runs[1]), (runs[1], runs[0])]
