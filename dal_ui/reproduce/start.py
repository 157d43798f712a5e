"""The reproduction page's first view: start an experiment, go on with one, forget one."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from dal_core.acquisition import registry
from dal_core.experiments import control
from dal_core.experiments.status import State
from dal_core.protocol.parameters import Protocol, ProtocolError, allowed, dataset_names
from dal_core.protocol.presets import (
    PRESET_TITLES,
    PRESETS,
    changes_from_preset,
    closest_preset,
    describe_protocol,
)
from dal_core.results.titles import display_name, noise_name
from dal_core.store.experiments import ExperimentNotFound, ExperimentRow
from dal_ui.label.words import plain
from dal_ui.reproduce import actions
from dal_ui.reproduce.actions import REPORT_FUNCTIONS, Plan
from dal_ui.reproduce.estimate import estimate, sentence
from dal_ui.shared import runtime
from dal_ui.shared.images import digits_are_here

DATA_TITLES = {"mnist": "all 70,000 MNIST digits", "mnist5k": "5,000 MNIST digits (built in)"}
STATE_BADGES = {
    State.UNFINISHED: ("running", ":material/play_arrow:", "blue"),
    State.PAUSED: ("paused", ":material/pause:", "orange"),
    State.STOPPED: ("stopped", ":material/stop:", "gray"),
    State.FAILED: ("failed", ":material/error:", "red"),
    State.COMPLETE: ("complete", ":material/check:", "green"),
}
_N_LISTED = 12
_SWITCHES = ("dropout", "weights", "initial_with_replacement", "entropy_eps", "ties")


def start_view() -> None:
    """The form beside the list of stored experiments."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        _form()
    with right:
        _stored()


def open_experiment(experiment_id: str) -> None:
    """Have the address name the experiment, so that a reload and a second tab find it."""
    st.query_params["experiment"] = experiment_id
    st.rerun()


# -- the form ----------------------------------------------------------------------------------


def _form() -> None:
    st.subheader("Start an experiment", divider="gray")
    left, right = st.columns([3, 2])
    protocol = left.selectbox(
        "Which procedure (protocol)",
        list(PRESETS),
        index=list(PRESETS).index("quick"),
        format_func=lambda name: f"{name} – {PRESET_TITLES[name]}",
        key="protocol",
    )
    # A key of its own per protocol: choosing a protocol brings its data along.
    data = right.selectbox(
        "Digits (data set)",
        dataset_names(),
        index=dataset_names().index(PRESETS[protocol].dataset),
        format_func=DATA_TITLES.__getitem__,
        key=f"data-{protocol}",
    )
    functions = st.multiselect(
        "Ways to choose images (acquisition functions)",
        registry.names(),
        default=list(REPORT_FUNCTIONS),
        format_func=display_name,
        key="functions",
    )
    left, right = st.columns([3, 2])
    seeds = left.text_input(
        "Seeds",
        "1, 2, 3",
        key="seeds",
        help="One repetition each; 1-10 are ten. The same seed gives every function the same "
        "first images.",
    )
    title = right.text_input("Name it, if you like (title)", "", max_chars=60, key="title")
    noise = st.slider(
        "Wrong answers of the oracle (noise)",
        *(0, 50, 0, 5),
        format="%d%%",
        key="noise",
        help="The simulated oracle answers wrongly with this probability, about the same images in "
        "every run of a seed. The report's oracle is always right.",
    )
    full_data = st.checkbox(
        "Also train on all images (full-data bound)",
        True,
        key="full_data",
        help="How well the network does when every image is labelled: the charts' thin line.",
    )
    overrides = _overrides(PRESETS[protocol])
    try:
        plan = actions.make_plan(
            *(protocol, data, functions, seeds, full_data, overrides, title, noise / 100)
        )
    except ProtocolError as error:
        st.error(str(error), icon=":material/error:")
        return
    if changes_from_preset(plan.protocol):
        st.caption(f"This is {describe_protocol(plan.protocol)}: not the preset's own procedure.")
    if digits_are_here(data):
        _start(plan)


def _overrides(base: Protocol) -> str:
    with st.expander("Change single parameters"):
        text = st.text_area(
            "One KEY=VALUE a line",
            "",
            key="overrides",
            placeholder="weights=last\ndropout=[0.25, 0.5]",
            height=110,
        )
        st.caption("The first five tell `report` and `released` apart; every other can be set too.")
        values = base.model_dump()
        names = [*_SWITCHES, *(key for key in values if key not in (*_SWITCHES, "dataset"))]
        st.dataframe(
            {
                "parameter": names,
                f"in {closest_preset(base)}": [_plain(values[name]) for name in names],
                "may be": [allowed(name, base.dataset) for name in names],
            },
            hide_index=True,
            height=212,
        )
    return text


def _plain(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _start(plan: Plan) -> None:
    store, dataset = runtime.store(), runtime.dataset(plan.protocol.dataset)
    try:
        found = estimate(store, dataset.fingerprint, plan)
        same = actions.same_plan(store, plan)
    except ProtocolError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.caption(sentence(found, plan, runtime.BACKGROUND_WORKERS))
    left, right = st.columns([1, 2], vertical_alignment="center")
    clicked = left.button(
        "Start", type="primary", icon=":material/play_arrow:", width="stretch", key="start"
    )
    if same is not None:
        right.caption(f"The very same is stored already: **{plain(name_of(same))}**, in the list.")
    if not clicked:
        return
    try:
        experiment_id = actions.start(store, dataset, plan, runtime.device())
    except ProtocolError as error:
        st.error(str(error), icon=":material/error:")
        return
    open_experiment(experiment_id)


# -- the list ----------------------------------------------------------------------------------


def _stored() -> None:
    rows = runtime.store().experiments.all()
    st.subheader("Stored experiments", divider="gray")
    if not rows:
        st.caption(
            "None yet. Those started with `dal reproduce` on the command line appear here too."
        )
        return
    n_shown = len(rows) if st.session_state.get("list_all") else _N_LISTED
    for row in rows[:n_shown]:
        _entry(row)
    if len(rows) > n_shown:
        st.toggle(f"Show all {len(rows)}", key="list_all")


def _entry(row: ExperimentRow) -> None:
    now = actions.find(runtime.store(), row.experiment_id)
    if now is None:  # forgotten in another tab a moment ago
        return
    with st.container(border=True):
        name, badge = st.columns([3, 2], vertical_alignment="center")
        name.markdown(f"**{plain(name_of(row))}**")
        text, icon, colour = STATE_BADGES[now.state]
        badge.badge(text, icon=icon, color=colour)  # type: ignore[arg-type]
        st.caption(f"{describe(row)} · {now.n_done:,} of {now.n_steps:,} steps")
        opened, forget = st.columns(2)
        if opened.button("Open", key=f"open-{row.experiment_id}", width="stretch"):
            open_experiment(row.experiment_id)
        with forget.popover("Forget", width="stretch"):
            st.caption("It leaves this list. Its runs and its record file stay on disk.")
            if st.button("Forget it", key=f"forget-{row.experiment_id}"):
                with suppress(ExperimentNotFound):  # forgotten in another tab
                    control.forget(runtime.store(), row.experiment_id)
                st.rerun()


def name_of(row: ExperimentRow) -> str:
    """The title a person gave, else the id."""
    return row.title or row.experiment_id


def describe(row: ExperimentRow) -> str:
    """What was asked for, in one line."""
    functions = [display_name(name, short=True) for name in row.acquisitions]
    which = ", ".join(functions) if len(functions) < 5 else f"{len(functions)} functions"
    n = len(row.seeds)
    bound = " + all images" if row.full_data else ""
    noise = f" · {noise_name(row.noise)}" if row.noise else ""
    return (
        f"{describe_protocol(row.protocol)} · {row.protocol.dataset} · {which}{bound}{noise} · "
        f"{n} {'seed' if n == 1 else 'seeds'} · {row.created_at[:16].replace('T', ' ')} UTC"
    )
