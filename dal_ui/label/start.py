"""The start form: one click begins with sensible defaults."""

from __future__ import annotations

import streamlit as st

from dal_core.acquisition import registry
from dal_core.protocol.parameters import Protocol, dataset_names
from dal_core.protocol.presets import (
    PRESET_TITLES,
    PRESETS,
    changes_from_preset,
    describe_protocol,
    preset,
    with_dataset,
)
from dal_core.protocol.run_spec import MAX_SEED
from dal_core.results.titles import display_name
from dal_core.run.rows import Mode
from dal_ui.label import actions
from dal_ui.label.identity import HELP
from dal_ui.runs.listing import describe
from dal_ui.shared import person, runtime, shell
from dal_ui.shared.datasets import dataset_available, dataset_title, why_unavailable
from dal_ui.shared.markdown import plain


def start_form() -> None:
    """Draw the form; a click on Start creates a run and opens it."""
    st.title("Teach a network a few images at a time")
    st.write(
        "The network looks through thousands of unlabelled images and asks you to label those it "
        "would learn most from. It learns from your labels and asks again. You see how much better "
        "that is than labelling at random."
    )
    left, right = st.columns([3, 2], gap="large")
    with left:
        _form()
    with right:
        _recent()


def _form() -> None:
    name = st.text_input("Your name", person.name() or person.DEFAULT, max_chars=40, help=HELP)
    title = st.text_input("Title of the run (optional)", max_chars=200)
    function = st.selectbox(
        "How the network chooses (acquisition function)",
        registry.names(),
        index=registry.names().index("bald"),
        format_func=lambda f: f"{display_name(f)} – {registry.get(f).hint}",
    )
    data = st.selectbox(
        "Data set",
        dataset_names(),
        index=dataset_names().index("mnist5k"),
        format_func=dataset_title,
    )
    first, second = st.columns([3, 1])
    protocol_name = first.selectbox(
        "Protocol",
        list(PRESETS),
        index=list(PRESETS).index("quick"),
        format_func=lambda p: f"{p} – {PRESET_TITLES[p]}",
    )
    seed = second.number_input("Seed", 0, MAX_SEED, 1, help="Same seed, same starting images.")
    protocol = with_dataset(preset(protocol_name), data)
    if changes_from_preset(protocol):
        st.caption(f"This is {describe_protocol(protocol)}, not the preset's own procedure.")
    never_wait = st.toggle("Never wait for the network (continuous mode)", key="continuous")
    st.caption(
        "On: the next images come at once, from the newest model, while the network learns from "
        "your last labels. Off (strict mode): the network is retrained before it chooses the next "
        "images, as in the report."
    )
    with st.spinner("Reading the data set ...", show_time=False):
        why_unavailable(data)  # a server's first reading takes a moment
    if not dataset_available(data):
        return
    if st.button("Start labelling", type="primary", icon=":material/play_arrow:"):
        mode: Mode = "continuous" if never_wait else "strict"
        _start(name, title, protocol, function, int(seed), mode)


def _start(name: str, title: str, protocol: Protocol, function: str, seed: int, mode: Mode) -> None:
    try:
        person.set_name(name)
        run_id = actions.start_run(
            *(runtime.store(), runtime.dataset(protocol.dataset), protocol, function, seed, title),
            device=runtime.device(),
            mode=mode,
        )
    except ValueError as error:  # ProtocolError is one
        st.error(plain(str(error)))
        return
    person.note_labelled(run_id)
    shell.go_to(run_id)


def _recent() -> None:
    """People's runs to continue: the one labelled last in this browser, then newest first."""
    last = person.last_run()
    peoples = [run for run in runtime.store().runs() if run.kind == "person"]
    mine = sorted(peoples, key=lambda run: run.run_id != last)[:6]
    if not mine:
        return
    st.subheader("Continue", divider="gray")
    for run in mine:
        title = describe(run, runtime.store().log(run.run_id).n_labelled)
        if st.button(title, key=f"open-{run.run_id}", width="stretch"):
            shell.go_to(run.run_id)
