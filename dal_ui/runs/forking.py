"""Forking a run: another function, protocol or oracle from one of its steps on."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from dal_core.acquisition import registry
from dal_core.data.base import ImageDataset
from dal_core.execution.pool import Workers
from dal_core.experiments import control
from dal_core.protocol.parameters import Protocol, override
from dal_core.protocol.presets import PRESETS, preset, with_dataset
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.protocol.typed import parse_setting_lines
from dal_core.results.run_history import Moment
from dal_core.results.titles import display_name
from dal_core.run.rows import RunRow
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_ui.shared import runtime
from dal_ui.shared.markdown import plain

AS_HERE = "as in this run"
ORACLE, PERSON = "the simulated oracle", "me"
MOST_NOISE = 50  # percent, on the slider


@dataclass(frozen=True)
class ForkPlan:
    """What to fork; the protocol is the origin's unless a preset is named."""

    acquisition: str
    person: bool = False
    noise: float = 0.0
    preset: str = AS_HERE
    overrides: str = ""
    title: str = ""

    def spec(self, origin: RunSpec) -> RunSpec:
        """The fork's spec. Raises ProtocolError, one line."""
        settings = parse_setting_lines(self.overrides)
        protocol = override(_base(self.preset, origin.protocol), settings)
        noise = 0.0 if self.person else self.noise
        return RunSpec(origin.fingerprint, protocol, self.acquisition, origin.seed, noise)


def fork(
    store: Store,
    dataset: ImageDataset,
    log: RunState,
    after: int,
    plan: ForkPlan,
    device: str = "cpu",
) -> RunRow:
    """Create the fork. Raises ValueError, one line."""
    spec = plan.spec(log.run.spec)
    return control.fork_run(
        *(store, dataset, log.run.run_id, after, spec),
        title=plan.title,
        person=plan.person,
        device=device,
    )


def can_be_forked(log: RunState) -> bool:
    """Whether the run has queries; the full-data bound has none."""
    return log.run.spec.acquisition != FULL_DATA


def fork_form(store: Store, workers: Workers, log: RunState, moment: Moment) -> RunRow | None:
    """Draw the form; returns the fork that a click has just created and queued."""
    origin, key = log.run.spec, f"fork-{log.run.run_id}"
    st.markdown(
        f"A new run that shares the first **{moment.n_labelled}** labels with this one and "
        "continues independently. This run does not change."
    )
    others = [name for name in registry.names() if name != origin.acquisition]
    function = st.selectbox(
        "Acquisition function",
        [*others, origin.acquisition],
        format_func=display_name,
        key=f"{key}-function",
    )
    who = st.radio("Answered by", [ORACLE, PERSON], horizontal=True, key=f"{key}-who")
    noise = _noise(origin.noise, disabled=who == PERSON, key=f"{key}-noise")
    with st.expander("Another protocol"):
        named = st.selectbox("Protocol", [AS_HERE, *PRESETS], key=f"{key}-preset")
        overrides = st.text_area(
            "One KEY=VALUE per line",
            placeholder="n_epochs=50\nweights=last",
            key=f"{key}-overrides",
            height=80,
        )
        st.caption("It must split the images as this run does: same validation and test images.")
    title = st.text_input("Title (optional)", max_chars=200, key=f"{key}-title")
    if not st.button("Fork", type="primary", icon=":material/fork_right:", key=f"{key}-go"):
        return None
    plan = ForkPlan(function, who == PERSON, noise, named, overrides, title)
    try:
        dataset = runtime.dataset(origin.protocol.dataset)
        made = fork(store, dataset, log, moment.after, plan, runtime.device())
    except ValueError as error:  # ProtocolError is one
        st.error(plain(str(error)), icon=":material/error:")
        return None
    if made.kind == "oracle":
        workers.ask(made.run_id, person_waits=False)
    return made


def _noise(own: float, disabled: bool, key: str) -> float:
    """The fork's noise: exactly the origin's unless the slider is moved."""
    percent = round(100 * own)
    chosen = st.slider(
        "Wrong answers of the oracle (noise)",
        *(0, MOST_NOISE, percent, 5),
        format="%d%%",
        disabled=disabled,
        key=key,
    )
    return own if chosen == percent else chosen / 100


def _base(name: str, origin: Protocol) -> Protocol:
    return origin if name == AS_HERE else with_dataset(preset(name), origin.dataset)
