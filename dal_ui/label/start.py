"""The start form: one click begins with sensible defaults."""

from __future__ import annotations

import streamlit as st

from dal_core.protocol.parameters import Protocol, dataset_names
from dal_core.protocol.posteriors import DEFAULT_POSTERIOR
from dal_core.protocol.presets import (
    PRESET_TITLES,
    PRESETS,
    changes_from_preset,
    describe_protocol,
    for_people,
    preset,
    with_dataset,
    with_posterior,
)
from dal_core.protocol.run_spec import MAX_SEED
from dal_core.results.published import REPORT_FUNCTIONS
from dal_core.run.rows import Mode
from dal_ui.label import actions, words
from dal_ui.label.identity import HELP
from dal_ui.label.measured import measured_curve
from dal_ui.runs.listing import describe
from dal_ui.shared import person, runtime, shell
from dal_ui.shared.datasets import dataset_available, dataset_title, why_unavailable
from dal_ui.shared.markdown import plain
from dal_ui.shared.methods import function_choice, functions_in_groups, posterior_choice


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
        measured_curve()


def _form() -> None:
    left, right = st.columns(2)
    name = left.text_input("Your name", person.name() or person.DEFAULT, max_chars=40, help=HELP)
    data = right.selectbox(
        "Data set",
        dataset_names(),
        index=dataset_names().index("mnist5k"),
        format_func=dataset_title,
    )
    function, posterior = _asking()
    place = st.container()
    with st.expander("More settings"):
        title, base, seed, mode = _settings(data)
    with place:
        with st.spinner("Reading the data set ...", show_time=False):
            why_unavailable(data)  # a server's first reading takes a moment
        if not dataset_available(data):
            return
        if st.button("Start labelling", type="primary", icon=":material/play_arrow:"):
            _start(name, title, base, posterior, function, seed, mode)


def _settings(data: str) -> tuple[str, Protocol, int, Mode]:
    """What few people change: title, protocol before any posterior, seed and mode of the run."""
    title = st.text_input("Title of the run (optional)", max_chars=200)
    first, second = st.columns([3, 1])
    protocol_name = first.selectbox(
        "Protocol",
        list(PRESETS),
        index=list(PRESETS).index("quick"),
        format_func=lambda p: f"{p} – {PRESET_TITLES[p]}",
    )
    seed = second.number_input("Seed", 0, MAX_SEED, 1, help="Same seed, same starting images.")
    base = with_dataset(preset(protocol_name), data)
    if changes_from_preset(base):
        st.caption(f"This is {describe_protocol(base)}, not the preset's own procedure.")
    never_wait = st.toggle("Never wait for the network (continuous mode)", key="continuous")
    st.caption(
        "On: the next images come at once, from the newest model, while the network learns from "
        "your last labels. Off (strict mode): the network is retrained before it chooses the next "
        "images, as in the report."
    )
    return title, base, int(seed), "continuous" if never_wait else "strict"


def _asking() -> tuple[str, str | None]:
    """The function that asks, and the posterior; None for the recommended one."""
    way = st.radio("How the network asks", words.WAYS, horizontal=True, key="way")
    if way == words.RECOMMENDED:
        offered, terms = words.recommended()
        st.markdown(offered)
        st.caption(terms)
        return for_people().acquisition, None
    if way == words.OF_THE_REPORT:
        return function_choice(REPORT_FUNCTIONS, "bald", f"function-{way}"), DEFAULT_POSTERIOR
    function = function_choice(functions_in_groups(), for_people().acquisition, f"function-{way}")
    return function, posterior_choice([function], "posterior", for_people().posterior)


def _start(
    name: str,
    title: str,
    base: Protocol,
    posterior: str | None,
    function: str,
    seed: int,
    mode: Mode,
) -> None:
    try:
        protocol = for_people().protocol(base) if posterior is None else base
        if posterior not in (None, base.posterior):
            protocol = with_posterior(base, posterior)
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
