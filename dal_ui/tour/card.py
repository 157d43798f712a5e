"""The guided tour: seven stops on the demo's stored runs, about ten minutes.

Drawn above the page's tabs. `?tour=3` opens the third stop. A stop opens its tab and, for the
replay, its runs and step; after that the visitor controls the page.

The page draws its tabs as `st.tabs(titles, key=VIEW_KEY, on_change="rerun")`, with the titles from
`stops`, and calls `tour` before them. What a stop says of the runs is computed from them: in
`facts` from their logs, and by the page from a network.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from dal_core.data.base import ImageDataset
from dal_core.execution.pool import Workers
from dal_core.experiments import control, demo
from dal_core.experiments.demo import Demo
from dal_core.experiments.status import status
from dal_core.store.base import Store
from dal_ui.shared import address, runtime, trouble
from dal_ui.tour.facts import bought, fact
from dal_ui.tour.stops import COVERAGE, STOPS, Stop

VIEW_KEY = "explain-view"
WAITING_SECONDS = 1.0
_APPLIED = "tour-applied"


def tour(
    store: Store,
    workers: Workers,
    run_id: str | None,
    *,
    reset: Callable[[], None],
    shown: Callable[[str, str], str],
) -> None:
    """Draw the button that starts the tour, or the stop in the address.

    Args:
        run_id: the run the page shows; a stop changes it to the demo's.
        reset: puts the page's widgets back to what a stop begins with.
        shown: (run id, which numbers) -> what the run's newest network shows (`Stop.shows`).
    """
    number = current_stop()
    if number is None:
        _way_in()
        return
    dataset = runtime.dataset(demo.protocol().dataset)
    where = store, workers, dataset
    found = demo.find(store, dataset)
    if found is not None and found.is_complete:
        _open(found, number, run_id, reset)
        _draw(found, number, partial(shown, found.bald.run.run_id), partial(_coverage, *where))
    else:
        _make_demo(store, workers, dataset, found)


def current_stop() -> int | None:
    """The stop in the address, from 1; None outside the tour or for an unknown stop."""
    text = st.query_params.get("tour", "")
    return int(text) if text in {str(n + 1) for n in range(len(STOPS))} else None


# -- drawing -----------------------------------------------------------------------------------


def _way_in() -> None:
    if st.button(
        "Take the guided tour (ten minutes)",
        icon=":material/explore:",
        type="tertiary",
        key="tour-start",
    ):
        _go(1)


def _draw(
    found: Demo, number: int, shown: Callable[[str], str], coverage: Callable[[Demo], None]
) -> None:
    stop = STOPS[number - 1]
    with st.container(border=True, key="tour"):
        head, back, on, leave = st.columns([6, 1, 1, 1], vertical_alignment="center")
        head.markdown(f"#### {number} of {len(STOPS)} · {stop.title}")
        if back.button("Back", disabled=number == 1, width="stretch", key="tour-back"):
            _go(number - 1)
        last = number == len(STOPS)
        if on.button(
            "Finish" if last else "Next", type="primary", width="stretch", key="tour-next"
        ):
            _go(None if last else number + 1)
        if leave.button("Leave", type="tertiary", width="stretch", key="tour-leave"):
            _go(None)
        _words(found, number, stop, shown(stop.shows) if stop.shows else "")
        if stop.view == COVERAGE:
            coverage(found)


def _words(found: Demo, number: int, stop: Stop, shown: str) -> None:
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.markdown(stop.text)
        if stop.equation:
            st.latex(stop.equation)
        st.caption(stop.source)
    with right:
        st.markdown(f":material/touch_app: **Do:** {stop.do}")
        st.markdown(f":material/visibility: **See:** {stop.see} {shown}{fact(found, number)}")
        if st.session_state.get(VIEW_KEY, stop.view) != stop.view and st.button(
            f"Show “{stop.view}” again", type="tertiary", key="tour-again"
        ):
            _go(number)


def _coverage(store: Store, workers: Workers, dataset: ImageDataset, found: Demo) -> None:
    """What the labels of a coverage run bought beside the others, or the offer to make the run."""
    third = demo.coverage_run(store, dataset)
    if third is not None and (said := bought(found, third)):
        st.markdown(said)
    if third is not None and workers.is_active(third.run.run_id):
        st.caption("The coverage run is still being measured.")
    elif third is None and st.button(
        "Create a third run, by coverage", icon=":material/play_arrow:", key="tour-coverage"
    ):
        row = demo.add_coverage(store, dataset, runtime.device())
        control.ask_workers(workers, status(store, row.experiment_id))
        st.rerun()


def _make_demo(store: Store, workers: Workers, dataset: ImageDataset, found: Demo | None) -> None:
    """Offer to create the demo's runs, or show how far they are."""
    with st.container(border=True, key="tour"):
        st.markdown("#### The guided tour")
        if _is_going(workers, found):
            _progress(store, workers, dataset)
            return
        st.markdown(
            "Seven short stops, about ten minutes. The tour needs two runs on the built-in data "
            "set: one chooses its images, the other picks at random. Creating them takes about two "
            "minutes, in the background."
        )
        create, leave, _ = st.columns([2, 1, 4])
        title = "Create the two runs" if found is None else "Continue the two runs"
        if create.button(title, type="primary", icon=":material/play_arrow:", width="stretch"):
            row = demo.create(store, dataset, runtime.device())
            control.ask_workers(workers, status(store, row.experiment_id))
            st.rerun()
        if leave.button("Not now", width="stretch", key="tour-leave"):
            _go(None)


def _is_going(workers: Workers, found: Demo | None) -> bool:
    if found is None:
        return False
    return any(workers.is_active(log.run.run_id) for log in (found.bald, found.random))


def _progress(store: Store, workers: Workers, dataset: ImageDataset) -> None:
    first = STOPS[0]
    st.markdown(f"Creating the two runs. Meanwhile, about the first stop: {first.text}")

    @st.fragment(run_every=WAITING_SECONDS)
    @trouble.shown()
    def look() -> None:
        now = demo.find(store, dataset)
        if now is None or now.is_complete or not _is_going(workers, now):
            st.rerun(scope="app")  # to the first stop, or to the button after a failure
        else:
            st.progress(now.share, f"{now.share:.0%} of both runs measured")

    look()


# -- going from stop to stop -------------------------------------------------------------------


def _open(found: Demo, number: int, run_id: str | None, reset: Callable[[], None]) -> None:
    """Bring the page to the stop, once; after that the visitor controls it."""
    if st.session_state.get(_APPLIED) == number:
        return
    stop = STOPS[number - 1]
    st.session_state[_APPLIED] = number
    st.session_state[VIEW_KEY] = stop.view
    reset()
    wanted = {"run": found.bald.run.run_id}
    if stop.n_labelled is not None:
        wanted |= {"beside": found.random.run.run_id, "step": str(stop.n_labelled)}
    if address.is_followed():
        return
    address.change(**{"beside": None, "step": None, **wanted})
    if run_id != found.bald.run.run_id:
        st.rerun()


def _go(number: int | None) -> None:
    st.session_state.pop(_APPLIED, None)
    if number is None:
        st.query_params.pop("tour", None)
    else:
        st.query_params["tour"] = str(number)
    st.rerun()
