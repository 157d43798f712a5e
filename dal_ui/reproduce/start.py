"""The Reproduce page's first view: start an experiment, continue one, remove one from the list."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

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
from dal_core.results.published import REPORT_FUNCTIONS
from dal_core.results.titles import display_name, noise_name
from dal_core.store.experiments import DamagedExperiment, ExperimentNotFound, ExperimentRow
from dal_ui.reproduce import actions
from dal_ui.reproduce.actions import Plan
from dal_ui.reproduce.estimate import estimate, sentence
from dal_ui.shared import runtime
from dal_ui.shared.datasets import dataset_available, dataset_title
from dal_ui.shared.markdown import plain
from dal_ui.shared.methods import functions_in_groups, posterior_choice

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
    """Put the experiment into the address, so that a reload and a second tab find it."""
    st.query_params["experiment"] = experiment_id
    st.rerun()


# -- the form ----------------------------------------------------------------------------------


def _form() -> None:
    st.subheader("Start an experiment", divider="gray")
    left, right = st.columns([3, 2])
    protocol = left.selectbox(
        "Protocol",
        list(PRESETS),
        index=list(PRESETS).index("quick"),
        format_func=lambda name: f"{name} – {PRESET_TITLES[name]}",
        key="protocol",
    )
    # Another key for each protocol: choosing a protocol selects its data set.
    data = right.selectbox(
        "Data set",
        dataset_names(),
        index=dataset_names().index(PRESETS[protocol].dataset),
        format_func=dataset_title,
        key=f"data-{protocol}",
    )
    functions = st.multiselect(
        "Acquisition functions",
        functions_in_groups(),
        default=list(REPORT_FUNCTIONS),
        format_func=display_name,
        key="functions",
    )
    posterior = posterior_choice(functions, "posterior")
    left, right = st.columns([3, 2])
    seeds = left.text_input(
        "Seeds",
        "1, 2, 3",
        key="seeds",
        help="One run of each function per seed; 1-10 means ten seeds. With the same seed, all "
        "functions start with the same images.",
    )
    title = right.text_input("Title (optional)", "", max_chars=60, key="title")
    noise = st.slider(
        "Wrong answers of the oracle (noise)",
        *(0, 50, 0, 5),
        format="%d%%",
        key="noise",
        help="The probability of a wrong answer. All runs of a seed get wrong answers for the same "
        "images. The report's oracle is always right.",
    )
    full_data = st.checkbox(
        "Also train on all images (full-data bound)",
        True,
        key="full_data",
        help="The accuracy with every image labelled, drawn as a thin line in the charts.",
    )
    overrides = _overrides(PRESETS[protocol])
    try:
        plan = actions.make_plan(
            *(protocol, data, functions, seeds, full_data, overrides, title, noise / 100),
            posterior=posterior,
        )
    except ValueError as error:  # ProtocolError is one
        st.error(plain(str(error)), icon=":material/error:")
        return
    if changes_from_preset(plan.protocol):
        st.caption(f"This is {describe_protocol(plan.protocol)}, not the preset's own procedure.")
    if dataset_available(data):
        _start(plan)


def _overrides(base: Protocol) -> str:
    with st.expander("Change parameters"):
        text = st.text_area(
            "One KEY=VALUE per line",
            "",
            key="overrides",
            placeholder="weights=last\ndropout=[0.25, 0.5]",
            height=110,
        )
        st.caption("`report` and `released` differ in the first five. Every parameter can be set.")
        values = base.model_dump()
        names = [*_SWITCHES, *(key for key in values if key not in (*_SWITCHES, "dataset"))]
        st.dataframe(
            {
                "parameter": names,
                f"in {closest_preset(base)}": [_plain(values[name]) for name in names],
                "allowed": [allowed(name, base.dataset) for name in names],
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
        st.error(plain(str(error)), icon=":material/error:")
        return
    st.caption(sentence(found, plan, runtime.BACKGROUND_WORKERS))
    left, right = st.columns([1, 2], vertical_alignment="center")
    clicked = left.button(
        "Start", type="primary", icon=":material/play_arrow:", width="stretch", key="start"
    )
    if same is not None:
        right.caption(f"The same experiment is already stored: **{plain(name_of(same))}**.")
    if not clicked:
        return
    try:
        experiment_id = actions.start(store, dataset, plan, runtime.device())
    except ProtocolError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    open_experiment(experiment_id)


# -- the list ----------------------------------------------------------------------------------


def _stored() -> None:
    rows = runtime.store().experiments.all()
    st.subheader("Stored experiments", divider="gray")
    damaged = runtime.store().experiments.damaged()
    for one in damaged:
        _damaged(one)
    if not rows and not damaged:
        st.caption("None yet. Experiments started with `dal reproduce` appear here too.")
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
            _forget(row.experiment_id)


def _forget(experiment_id: str) -> None:
    st.caption("Removes it from this list. Its runs and its record file stay on disk.")
    if st.button("Forget it", key=f"forget-{experiment_id}"):
        with suppress(ExperimentNotFound):  # forgotten in another tab
            control.forget(runtime.store(), experiment_id)
        st.rerun()


def _damaged(one: DamagedExperiment) -> None:
    """An experiment that cannot be read: what is wrong, and a button to forget it."""
    why, forget = st.columns([5, 2], vertical_alignment="center")
    why.warning(plain(one.why), icon=":material/warning:")
    with forget.popover("Forget", width="stretch"):
        _forget(one.experiment_id)


def name_of(row: ExperimentRow) -> str:
    """The title, if there is one, else the id."""
    return row.title or row.experiment_id


def describe(row: ExperimentRow) -> str:
    """What the experiment runs, in one line."""
    functions = [display_name(name, short=True) for name in row.acquisitions]
    which = ", ".join(functions) if len(functions) < 5 else f"{len(functions)} functions"
    n = len(row.seeds)
    bound = " + all images" if row.full_data else ""
    noise = f" · {noise_name(row.noise)}" if row.noise else ""
    return (
        f"{describe_protocol(row.protocol)} · {row.protocol.dataset} · {which}{bound}{noise} · "
        f"{n} {'seed' if n == 1 else 'seeds'} · {row.created_at[:16].replace('T', ' ')} UTC"
    )
