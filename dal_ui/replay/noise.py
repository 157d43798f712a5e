"""The noisy annotator: how wrong answers change each function's curve, from pairs of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dal_core.acquisition import registry
from dal_core.execution.pool import Workers
from dal_core.experiments import control
from dal_core.experiments.noise_pairs import Comparison, Effect, comparisons, effects
from dal_core.experiments.status import status
from dal_core.figures.compare import compare_figure
from dal_core.protocol.parameters import ProtocolError
from dal_core.protocol.presets import describe_protocol
from dal_core.record_file.sync import run_curve
from dal_core.results.curves import RunCurve
from dal_core.results.titles import display_name, noise_name
from dal_core.run.next_task import next_task
from dal_core.run.rows import RunNotFound
from dal_core.store.base import Store
from dal_ui.replay.words import points
from dal_ui.reproduce import actions
from dal_ui.shared import runtime, trouble
from dal_ui.shared.markdown import plain
from dal_ui.shared.widgets import choice

MOVING_SECONDS = 3.0

FUNCTIONS = ("bald", "max_entropy", "random")
CLEAN = "always right"


def noise_section(store: Store, workers: Workers) -> None:
    """Draw the stored comparisons, and the form that starts another."""
    st.subheader("A noisy annotator")
    st.write(
        "People get tired and press the wrong key. A simulated oracle that sometimes answers "
        "wrongly shows what this costs each function. Asking for hard images carries a known risk: "
        "people make more mistakes there, and a wrong label may mislead the network most. The two "
        "runs of a pair differ only in the wrong answers, and every function gets the same wrong "
        "answers. This oracle makes as many mistakes on easy images as on hard ones."
    )
    st.caption("Noisy oracles: Settles, Active Learning Literature Survey (2009), section 6.2.")
    there = comparisons(store)
    if there:
        _comparison(store, workers, _choose(there))
    else:
        st.info("No runs with and without noise yet. Start a pair below.")
    with st.expander("Start a comparison", expanded=not there, key="noise-start-box"):
        _start(store, workers)


def _choose(there: Sequence[Comparison]) -> Comparison:
    """The comparison to show; the newest by default."""
    titles = {_name(one): describe(one) for one in there}
    chosen = choice("Stored comparisons", titles, name="noise-comparison")
    return next(one for one in there if _name(one) == chosen)


def _name(one: Comparison) -> str:
    """Identifies a comparison, whichever runs it has."""
    return f"{one.noise} {one.fingerprint} {one.protocol.model_dump_json()}"


def describe(one: Comparison) -> str:
    """A comparison in one line of plain text."""
    functions = list(dict.fromkeys(run.spec.acquisition for run, _ in one.pairs))
    names = ", ".join(display_name(name, short=True) for name in functions)
    seeds = sorted({run.spec.seed for run, _ in one.pairs})
    listed = ", ".join(map(str, seeds))
    return (
        f"{noise_name(one.noise)} · {describe_protocol(one.protocol)} · {one.protocol.dataset} · "
        f"{names} · "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {listed}"
    )


def sentence(found: Sequence[Effect]) -> str:
    """The effect of the wrong answers as far as it is measured; Markdown."""
    if not found:
        return "Nothing measured yet."
    lines = [
        f"- **{display_name(one.acquisition)}**: {one.clean:.1%} → {one.noisy:.1%} at "
        f"{one.n_labelled} labels; {points(-one.mean_loss)} on average up to there"
        for one in found
    ]
    few = " One seed is a hint, not a result." if max(one.n_pairs for one in found) == 1 else ""
    return "\n".join([f"Accuracy without and with the wrong answers.{few}\n", *lines])


# -- a stored comparison -----------------------------------------------------------------------


def _comparison(store: Store, workers: Workers, one: Comparison) -> None:
    run_ids = [run.run_id for pair in one.pairs for run in pair]
    moving = any(workers.is_active(run_id) for run_id in run_ids)

    @st.fragment(run_every=MOVING_SECONDS if moving else None)
    @trouble.shown()
    def draw() -> None:
        try:
            pairs = [
                (run_curve(store.log(a.run_id)), run_curve(store.log(b.run_id)))
                for a, b in one.pairs
            ]
        except RunNotFound:  # deleted in another tab a moment ago
            st.rerun(scope="app")
        pairs = [pair for pair in pairs if len(pair[0]) and len(pair[1])]
        st.markdown(sentence(effects(pairs)))
        if pairs:
            st.vega_lite_chart(
                _spec(tuple(c for _, c in pairs), tuple(n for n, _ in pairs), one.noise),
                width="content",
                key="noise-chart",
            )
        if moving:
            steps = sum(len(noisy) + len(clean) for noisy, clean in pairs)
            total = 2 * len(one.pairs) * (one.protocol.n_acquisition_steps + 1)
            st.progress(min(1.0, steps / total), f"{steps} of {total} steps measured")
            if not any(workers.is_active(run_id) for run_id in run_ids):
                st.rerun(scope="app")

    draw()
    if not moving and any(next_task(store.log(run_id)).has_work for run_id in run_ids):
        st.caption("These runs are not finished. Resume them on the Reproduce page.")


@st.cache_data(show_spinner=False, max_entries=32)
def _spec(clean: tuple[RunCurve, ...], noisy: tuple[RunCurve, ...], noise: float) -> dict[str, Any]:
    records = {CLEAN: clean, noise_name(noise): noisy}
    spec: dict[str, Any] = compare_figure(records, width=250, height=170).to_dict()
    return spec


# -- starting one ------------------------------------------------------------------------------


def start_pairs(
    store: Store,
    workers: Workers,
    functions: Sequence[str],
    seeds: str,
    noise: float,
    device: str = "cpu",
) -> list[str]:
    """Queue the runs with and without noise as two experiments; returns their ids.

    Stored runs are shared; finished ones cost nothing. Raises ProtocolError.
    """
    started = []
    for this_noise in (0.0, noise):
        plan = actions.make_plan(
            *("quick", "mnist5k", functions, seeds, False),
            title=noise_name(this_noise) or "without noise",
            noise=this_noise,
        )
        same = actions.same_plan(store, plan)
        if same is None:
            dataset = runtime.dataset(plan.protocol.dataset)
            experiment_id = actions.start(store, dataset, plan, device)
        else:
            experiment_id = same.experiment_id
            control.resume(store, experiment_id)
        control.ask_workers(workers, status(store, experiment_id))
        started.append(experiment_id)
    return started


def _start(store: Store, workers: Workers) -> None:
    with st.form("noise-start", border=False):
        left, middle, right = st.columns([3, 2, 1], gap="medium")
        functions = left.multiselect(
            "Functions",
            registry.names(),
            default=list(FUNCTIONS),
            format_func=display_name,
            key="noise-functions",
        )
        noise = middle.slider("Wrong answers", 5, 50, 20, 5, format="%d%%", key="noise-share")
        seeds = right.text_input("Seeds", "1", key="noise-seeds")
        st.caption(
            "Protocol `quick` on the built-in data set: about a minute per run. Stored runs are "
            "reused; the others run in the background."
        )
        clicked = st.form_submit_button(
            "Add to queue", icon=":material/play_arrow:", type="primary"
        )
    if not clicked:
        return
    try:
        start_pairs(store, workers, functions, seeds, noise / 100, runtime.device())
    except ProtocolError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    st.rerun()
