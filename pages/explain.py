"""The Explain page: why the network asks for an image, and what other functions would ask for.

The parts of the page are in `dal_ui.explain`, `dal_ui.replay` and `dal_ui.tour`. The address names
the run, so a reload or a second tab finds it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import streamlit as st

from dal_core.data.base import ImageDataset
from dal_core.protocol.run_spec import FULL_DATA
from dal_core.results.titles import display_name
from dal_core.run.next_task import next_task
from dal_core.run.rows import RunNotFound
from dal_core.run.state import RunState
from dal_core.run.summary import RunSummary
from dal_ui.explain import model, tour_facts
from dal_ui.explain.choices import choices_view
from dal_ui.explain.coverage import coverage_view
from dal_ui.explain.image import image_view, start_again
from dal_ui.explain.model import Step
from dal_ui.explain.pool_map import map_view
from dal_ui.explain.words import before_corrections, network_names
from dal_ui.label.words import about
from dal_ui.replay.recompute_button import recompute_button
from dal_ui.replay.section import replay_section
from dal_ui.shared import address, runtime, shell, trouble
from dal_ui.shared.datasets import dataset_available
from dal_ui.shared.markdown import quoted
from dal_ui.shared.widgets import address_choice, choice
from dal_ui.tour.card import VIEW_KEY, tour
from dal_ui.tour.stops import COVERAGE, FUNCTIONS, IMAGE, MAP, PASSES, REPLAY

VIEWS: dict[str, Callable[[Step], None]] = {
    IMAGE: image_view,
    FUNCTIONS: choices_view,
    COVERAGE: coverage_view,
    MAP: map_view,
}
NUMBERS: dict[str, Callable[[Step], str]] = {
    PASSES: tour_facts.of_passes,
    FUNCTIONS: tour_facts.of_functions,
    COVERAGE: tour_facts.of_coverage,
}
# A chart that is wider than a phone scrolls by itself; the page does not.
STYLE = "<style>[data-testid='stVegaLiteChart'] {max-width: 100%; overflow-x: auto;}</style>"
POLL_SECONDS = 2.0  # between two checks for a newer model


def render() -> None:
    """Draw the run in the address, or the newest run that has a model."""
    st.html(STYLE)
    store, workers = runtime.store(), runtime.workers()
    named = shell.current_run("explain")
    log = _log(named)
    if named is not None and log is None:
        st.error(f"There is no run {quoted(named)} here. It may have been deleted.")
        named = None
    run_id = _choose(named)
    tour(store, workers, run_id, reset=start_again, shown=_numbers)
    log = _log(run_id)
    if log is None:
        st.write(
            "This page needs a run with a trained network. Start a run and label its first batch, "
            "or take the tour, which creates two runs in about two minutes."
        )
        if st.button("Start a run", icon=":material/play_arrow:"):
            shell.go_to(None)
        return
    _draw(log)


def _numbers(run_id: str, which: str) -> str:
    """What the newest network of a run shows at a stop of the tour; empty without a network."""
    log = _log(run_id)
    if log is None:
        return ""
    step = model.open_step(log, runtime.dataset(log.run.spec.protocol.dataset))
    return NUMBERS[which](step) if step is not None and len(step.model.pool_subset) else ""


def _log(run_id: str | None) -> RunState | None:
    try:
        return runtime.store().log(run_id) if run_id is not None else None
    except RunNotFound:
        return None


def _choose(named: str | None) -> str | None:
    """The run to explain: the one in the address, else the newest with a stored model."""
    store = runtime.store()
    known = [
        run.run_id
        for run in store.runs()
        if run.spec.acquisition != FULL_DATA and model.newest(run.run_id) is not None
    ]
    known = known if named is None or named in known else [named, *known]
    title, right = st.columns([3, 2], vertical_alignment="center", gap="medium")
    title.markdown("### Explain")
    if not known:
        return None

    # All summaries in one read: reading the logs would slow down every slider.
    names = _names(store.summaries(known))
    with right:
        chosen = address_choice(
            "Run",
            {run_id: names.get(run_id, run_id) for run_id in known},
            named,
            name="explain-run",
            parameter="run",
            label_visibility="collapsed",
        )
    if chosen != st.query_params.get("run") and not address.is_followed():
        st.query_params["run"] = chosen
        shell.current_run("explain")
    return chosen


def _names(runs: Iterable[RunSummary]) -> dict[str, str]:
    """A different name for each run: the browser tells options apart by their titles alone."""
    names = {one.run.run_id: _name(one) for one in runs}
    counts = Counter(names.values())
    return {i: name if counts[name] == 1 else f"{name} ({i})" for i, name in names.items()}


def _name(one: RunSummary) -> str:
    run = one.run
    function = display_name(run.spec.acquisition)
    return f"{run.title or run.run_id}: {function}, {one.n_labelled} labels, {run.created_at[:10]}"


def _draw(log: RunState) -> None:
    titles = [*VIEWS, REPLAY]
    tabs = st.tabs(titles, key=VIEW_KEY, on_change="rerun")
    for title, tab in zip(titles, tabs, strict=True):
        if tab.open:
            with tab:
                _view(title, log)


def _view(title: str, log: RunState) -> None:
    if title == REPLAY:
        replay_section(runtime.store(), runtime.workers(), log.run.run_id)
        return
    spec = log.run.spec
    if not dataset_available(spec.protocol.dataset, spec.fingerprint):
        return
    step = _step(log, runtime.dataset(spec.protocol.dataset))
    if step is not None and not len(step.model.pool_subset):
        st.info("Every image is labelled, so this network has nothing left to ask for.")
    elif step is not None:
        VIEWS[title](step)
    _look_again(log, is_missing=step is None)


def _step(log: RunState, dataset: ImageDataset) -> Step | None:
    """The model to explain: the newest, or another stored model of the run."""
    names = network_names(log, model.stored(log)[::-1])
    state = next(iter(names), None)  # the newest of the run as it stands
    left, right = st.columns([3, 2], vertical_alignment="center", gap="medium")
    if len(names) > 1:
        with right:
            state = choice(
                "Network",
                names,
                name=f"explain-network-{log.run.run_id}",
                label_visibility="collapsed",
                help="Open any earlier step in Replay to recompute its network.",
            )
    step = model.open_step(log, dataset, state)
    if step is not None:
        left.caption(
            f"{about(log)}. Network trained on **{step.model.n_labelled}** labels"
            + before_corrections(log, *step.key[1:])
            + ("; the next one is training." if _is_training(log) else ".")
        )
    return step


def _is_training(log: RunState) -> bool:
    """Whether a network with newer labels than any stored one is being trained."""
    return next_task(log).has_work and (log.after, log.corrected) not in model.stored(log)


def _no_model(log: RunState) -> None:
    """Say why there is nothing to explain, and what can be done."""
    st.info(
        "No network of this run is stored now. It is still training, or answers were taken back. "
        "It appears here once it is trained.",
        icon=":material/hourglass_empty:",
    )
    run_id = log.run.run_id
    recompute_button(
        runtime.store(), runtime.workers(), run_id, log.after, "Recompute this network"
    )


def _look_again(log: RunState, is_missing: bool) -> None:
    """Redraw once another network is stored; show the progress of a missing one meanwhile."""
    if not is_missing and not _is_training(log):
        return
    seen = model.stored(log)

    @st.fragment(run_every=POLL_SECONDS)
    @trouble.shown()
    def look() -> None:
        latest = _log(log.run.run_id)
        if latest is None or model.stored(latest) != seen:
            st.rerun(scope="app")
        if is_missing:
            _no_model(latest)

    look()


if shell.is_alone():
    shell.enter()
else:
    render()
