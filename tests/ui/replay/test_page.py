"""Replay, forks, the noisy annotator and the tour on the page, each in a test app of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control, demo
from dal_core.protocol.parameters import ProtocolError, override
from dal_core.protocol.presets import closest_preset
from dal_core.record_file.sync import run_curve
from dal_core.run.rows import RunRow
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_ui.replay import noise, section, words
from dal_ui.runs import forking
from dal_ui.shared import runtime
from dal_ui.tour import card, stops
from tests import experiment_kit
from tests.ui_kit import InlineWorkers


@pytest.fixture
def store(dal_home: Path) -> Store:
    return open_store(dal_home)


@pytest.fixture
def app(store: Store, monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[..., AppTest], Any]:
    """Makes a test app of a part of the page, with workers that work when told to."""
    workers = InlineWorkers(store)
    runtime.store.clear()
    monkeypatch.setattr(runtime, "store", lambda: store)
    monkeypatch.setattr(runtime, "workers", lambda: workers)

    def make(script: str, **parameters: str) -> AppTest:
        text = (
            "import streamlit as st\n"
            "from dal_ui.replay.noise import noise_section\n"
            "from dal_ui.replay.section import replay_section\n"
            "from dal_ui.shared import runtime\n"
            "from dal_ui.tour.card import tour\n"
            "store, workers = runtime.store(), runtime.workers()\n"
            "run = st.query_params.get('run')\n" + script
        )
        test = AppTest.from_string(text, default_timeout=60)
        for name, value in parameters.items():
            test.query_params[name] = value
        return test.run()

    return make, workers


REPLAY = "replay_section(store, workers, run)"
TOUR = "tour(store, workers, run, reset=lambda: None, shown=lambda run_id, which: '')"


def _pair(store: Store, dataset: ImageDataset) -> tuple[RunRow, RunRow]:
    """A finished run of BALD and one of random, same seed: 20, 30, 40 labels."""
    runs = [experiment_kit.new_run(store, dataset, name) for name in ("bald", "random")]
    for run in runs:
        list(advance(Workbench(store), run.run_id))
    return runs[0], runs[1]


def _text(test: AppTest) -> str:
    assert not test.exception, test.exception
    return "\n".join(element.value for element in [*test.markdown, *test.caption, *test.info])


# -- replay ------------------------------------------------------------------------------------


def test_without_a_run_the_replay_says_what_to_do(app: Any) -> None:
    assert "No runs yet" in _text(app[0](REPLAY))


def test_two_runs_go_in_step_and_start_equal(app: Any, store: Store, mnist5k: ImageDataset) -> None:
    bald, _ = _pair(store, mnist5k)
    test = app[0](REPLAY, run=bald.run_id)
    start = store.log(bald.run_id).steps[0]
    assert _text(test).count(f"**20 labels** · **{start.accuracy:.1%}**") == 2
    slider = test.select_slider[0]
    assert slider.options == ["20", "30", "40"]
    text = _text(slider.set_value(30).run())
    assert test.query_params["step"] == ["30"]
    assert text.count("**30 labels**") == 2 and "10 new labels by oracle" in text


def test_the_address_says_where_the_replay_stands(
    app: Any, store: Store, mnist5k: ImageDataset
) -> None:
    bald, random = _pair(store, mnist5k)
    test = app[0](REPLAY, run=random.run_id, beside="none", step="40")
    text = _text(test)
    # every draw says it: the first may be lost to a click while it goes on
    test.run()
    assert list(test.select_slider[0].proto.default) == [2]
    assert [box.options[box.proto.default] for box in test.selectbox] == [
        box.options[box.index] for box in test.selectbox
    ]
    assert "#### Random" in text and "#### BALD" not in text
    assert "**40 labels**" in text and "Nothing was asked after this step." in text
    test.selectbox(key=f"replay-beside-{random.run_id}").set_value(bald.run_id).run()
    assert test.query_params["beside"] == [bald.run_id]


def test_a_step_in_the_address_that_is_none_shows_the_first(
    app: Any, store: Store, mnist5k: ImageDataset
) -> None:
    bald, _ = _pair(store, mnist5k)
    for step in ("9" * 5000, "٣", "-1", "x", " "):
        test = app[0](REPLAY, run=bald.run_id, beside="none", step=step)
        assert not test.exception
        assert list(test.select_slider[0].proto.default) == [0]


def test_the_replay_stands_where_it_stood_after_a_look_at_another_tab(
    app: Any, store: Store, mnist5k: ImageDataset
) -> None:
    _pair(store, mnist5k)
    bald = next(run for run in store.runs() if run.spec.acquisition == "bald")
    script = "if st.checkbox('open', True):\n    " + REPLAY
    test = app[0](script, run=bald.run_id, beside="none", step="30")
    assert "**30 labels**" in _text(test)
    test.checkbox[0].set_value(False).run()
    text = _text(test.checkbox[0].set_value(True).run())
    assert "**30 labels**" in text and "#### BALD" in text and "#### Random" not in text


def test_a_step_without_recorded_mistakes_is_computed_again_when_asked(
    app: Any, store: Store, mnist5k: ImageDataset
) -> None:
    bald, _ = _pair(store, mnist5k)
    step = store.log(bald.run_id).steps[-1]
    store.add_step(bald.run_id, replace(step, confusion=None))  # as an older version wrote it
    make, workers = app
    test = make(REPLAY, run=bald.run_id, beside="none", step="40")
    assert "were not recorded" in _text(test)
    test.button(key=f"again-{bald.run_id}-{step.after}").click().run()
    assert workers.asked_weights == [(bald.run_id, step.after)]
    assert [bar.proto.text for bar in test.get("progress")] == ["Recomputing this network ..."]
    workers.refuse("no room")
    assert "Could not compute it: no room." in test.run().error[0].value
    test.button(key=f"again-{bald.run_id}-{step.after}").click().run()
    workers.work()
    test.run()
    assert "were not recorded" not in _text(test)
    assert "mistakes are coloured" in _text(test)


def test_forking_from_a_step_makes_a_run_and_puts_it_in_the_queue(
    app: Any, store: Store, mnist5k: ImageDataset
) -> None:
    bald, _ = _pair(store, mnist5k)
    make, workers = app
    test = make(REPLAY, run=bald.run_id, beside="none", step="30")
    key = f"fork-{bald.run_id}"
    test.selectbox(key=f"{key}-function").set_value("random")
    test.slider(key=f"{key}-noise").set_value(20)
    test.button(key=f"{key}-go").click().run()
    assert not test.exception
    made = store.runs()[0]
    assert (made.forked_from, made.forked_labels) == (bald.run_id, 30)
    assert (made.spec.acquisition, made.spec.noise) == ("random", 0.2)
    assert test.query_params["beside"] == [made.run_id]
    workers.work(made.run_id)
    assert store.log(made.run_id).n_labelled == 40
    assert "Random, 20% wrong answers, forked at 30" in _text(test.run())


@pytest.mark.parametrize("own", [0.7, 0.125])
def test_a_fork_errs_as_its_origin_does_unless_the_slider_is_moved(
    app: Any, store: Store, mnist5k: ImageDataset, own: float
) -> None:
    spec = control.RunSpec(mnist5k.fingerprint, experiment_kit.protocol(), "bald", 1, own)
    origin = control.create_run(store, mnist5k, spec)
    store.set_directives(origin.run_id, oracle_until=spec.max_labels)
    list(advance(Workbench(store), origin.run_id))
    test = app[0](REPLAY, run=origin.run_id, beside="none", step="30")
    key = f"fork-{origin.run_id}"
    test.selectbox(key=f"{key}-function").set_value("random")
    test.button(key=f"{key}-go").click().run()
    assert not test.exception
    assert store.runs()[0].spec.noise == own
    test.slider(key=f"{key}-noise").set_value(20)
    test.button(key=f"{key}-go").click().run()
    assert store.runs()[0].spec.noise == 0.2


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """How often each fragment that was drawn asks to be drawn again, None for never."""
    asked: list[Any] = []
    fragment = section.st.fragment

    def noting(*args: Any, run_every: Any = None) -> Any:
        asked.append(run_every)
        return fragment(*args, run_every=run_every)

    monkeypatch.setattr(section.st, "fragment", noting)
    return asked


def test_looking_at_a_paused_run_leaves_it_paused_and_asks_nobody(
    app: Any, store: Store, mnist5k: ImageDataset, polls: list[Any]
) -> None:
    run = experiment_kit.new_run(store, mnist5k)
    for _ in advance(Workbench(store), run.run_id, max_steps=1):
        pass
    make, workers = app
    assert "**20 labels**" in _text(make(REPLAY, run=run.run_id, beside="none"))
    assert list(workers.asked) == [run.run_id] and section.MOVING_SECONDS in polls  # it goes on
    workers.asked.clear()
    store.set_directives(run.run_id, paused=True)
    polls.clear()
    test = make(REPLAY, run=run.run_id, beside="none")
    assert "**20 labels**" in _text(test)
    after = store.log(run.run_id).after
    step = store.log(run.run_id).steps[0]
    assert not workers.asked and polls and set(polls) == {None}
    store.add_step(run.run_id, replace(step, confusion=None))  # one step may still be asked for
    test.run().button(key=f"again-{run.run_id}-{step.after}").click().run()
    workers.work()
    assert "mistakes are coloured" in _text(test.run())
    log = store.log(run.run_id)
    assert log.run.paused and log.after == after and not workers.asked


@pytest.mark.parametrize("step", ["²", "-1", "many"])
def test_a_step_that_is_no_number_is_the_first(
    app: Any, store: Store, mnist5k: ImageDataset, step: str
) -> None:
    bald, _ = _pair(store, mnist5k)
    assert "**20 labels**" in _text(app[0](REPLAY, run=bald.run_id, beside="none", step=step))


def test_a_fork_that_cannot_be_is_refused_in_one_line(
    app: Any, store: Store, mnist5k: ImageDataset
) -> None:
    bald, _ = _pair(store, mnist5k)
    test = app[0](REPLAY, run=bald.run_id, beside="none", step="40")
    test.button(key=f"fork-{bald.run_id}-go").click().run()
    assert "has nothing left to ask" in test.error[0].value
    assert len(store.runs()) == 2


def test_a_fork_takes_its_origins_protocol_unless_told_otherwise(mnist5k: ImageDataset) -> None:
    protocol = experiment_kit.protocol()
    origin = control.RunSpec(mnist5k.fingerprint, protocol, "bald", 3, 0.1)
    assert forking.ForkPlan("random", noise=0.3).spec(origin) == replace(
        origin, acquisition="random", noise=0.3
    )
    plan = forking.ForkPlan("random", person=True, noise=0.3, overrides="n_epochs=7")
    made = plan.spec(origin)
    assert (made.noise, made.protocol) == (0.0, override(protocol, {"n_epochs": 7}))
    named = forking.ForkPlan("bald", preset="report").spec(origin).protocol
    assert (closest_preset(named), named.dataset) == ("report", "mnist5k")
    with pytest.raises(ProtocolError, match="n_epochs is 0"):
        forking.ForkPlan("bald", overrides="n_epochs=0").spec(origin)


def test_names_tell_two_alike_runs_apart(store: Store, mnist5k: ImageDataset) -> None:
    one, other = (experiment_kit.new_run(store, mnist5k) for _ in range(2))
    assert words.curve_name(one) == "BALD"
    names = {words.curve_name(one, other), words.curve_name(other, one)}
    assert len(names) == 2


# -- the noisy annotator -----------------------------------------------------------------------


def test_pairs_with_and_without_noise_are_started_and_shown(
    app: Any, store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, workers = app
    monkeypatch.setattr(
        noise.actions, "preset", lambda name: experiment_kit.protocol()
    )  # quick, in a second
    test = make("noise_section(store, workers)")
    assert "No runs with and without noise" in _text(test)
    test.multiselect(key="noise-functions").set_value(["bald", "random"])
    test.slider(key="noise-share").set_value(50)
    test.button[0].click().run()
    assert not test.exception
    runs = store.runs()
    assert sorted((r.spec.acquisition, r.spec.noise) for r in runs) == [
        *(("bald", 0.0), ("bald", 0.5), ("random", 0.0), ("random", 0.5))
    ]
    workers.work()
    text = _text(test.run())
    assert "Accuracy without and with the wrong answers" in text and "50% wrong answers" in str(
        test.selectbox(key="noise-comparison").options
    )
    again = noise.start_pairs(store, workers, ["bald", "random"], "1", 0.5)
    assert len(store.runs()) == 4 and len(store.experiments.all()) == len(again) == 2


def test_the_comparison_that_was_chosen_stays_when_another_is_stored(
    app: Any, store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, workers = app
    monkeypatch.setattr(noise.actions, "preset", lambda name: experiment_kit.protocol())

    def start(wrong: float, seeds: str = "1") -> None:
        noise.start_pairs(store, workers, ["random"], seeds, wrong)

    def looked_at() -> str:
        assert not test.exception
        (box,) = [box for box in test.selectbox if box.label == "Stored comparisons"]
        return str(box.options[box.index])

    start(0.1)
    start(0.2)
    test = make("noise_section(store, workers)")
    assert looked_at().startswith("20% wrong")  # the newest, while nobody has chosen
    test.selectbox(key="noise-comparison").select_index(1).run()
    assert looked_at().startswith("10% wrong")
    for another in (lambda: start(0.3), lambda: start(0.1, "2")):  # the second adds a seed to it
        another()
        test.run()
        assert looked_at().startswith("10% wrong")
    assert looked_at().endswith("seeds 1, 2")
    (box,) = [box for box in test.selectbox if box.label == "Stored comparisons"]
    assert box.proto.default == box.index  # every draw says it: the first may be lost


# -- the tour ----------------------------------------------------------------------------------


@pytest.fixture
def quick_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's two runs, over in a second."""
    monkeypatch.setattr(demo, "protocol", experiment_kit.protocol)


def test_the_tour_offers_to_make_its_runs_and_then_begins(
    app: Any, store: Store, mnist5k: ImageDataset, quick_demo: None
) -> None:
    make, workers = app
    test = make(TOUR)
    test.button(key="tour-start").click().run()
    assert test.query_params["tour"] == ["1"]
    assert "two runs on the built-in data set" in _text(test)
    next(b for b in test.button if b.label == "Create the two runs").click().run()
    assert {run.spec.acquisition for run in store.runs()} == {"bald", "random"}
    assert "Creating the two runs" in _text(test)
    workers.work()
    text = _text(test.run())
    assert f"1 of {len(stops.STOPS)}" in text
    found = demo.find(store, mnist5k)
    assert found is not None and found.is_complete and found.share == 1.0
    assert f"Here: {found.bald.steps[0].accuracy:.1%} (BALD)" in text


def test_a_demo_that_stops_half_way_offers_to_go_on(
    app: Any, store: Store, mnist5k: ImageDataset, quick_demo: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, workers = app
    demo.create(store, mnist5k)
    looks = iter([True])  # at work when the page is drawn, and no more a moment later
    monkeypatch.setattr(workers, "is_active", lambda run_id: next(looks, False))
    test = make(TOUR, tour="1")
    assert not test.exception
    assert "Continue the two runs" in [button.label for button in test.button]


def test_every_stop_says_one_thing_to_do_and_one_to_see(
    app: Any, store: Store, mnist5k: ImageDataset, quick_demo: None
) -> None:
    make, workers = app
    for run in store.experiments.runs(demo.create(store, mnist5k).experiment_id):
        workers.work(run.run_id)
    test = make(TOUR, tour="1")
    for number, stop in enumerate(stops.STOPS, 1):
        text = _text(test)
        assert f"{number} of 7 · {stop.title}" in text
        assert text.count("**Do:**") == text.count("**See:**") == 1
        assert stop.source in text
        assert test.session_state[card.VIEW_KEY] == stop.view
        found = demo.find(store, mnist5k)
        assert found is not None
        assert test.query_params["run"] == [found.bald.run.run_id]
        test.button(key="tour-next").click().run()
    assert "tour" not in test.query_params and test.button(key="tour-start")


def test_a_stop_that_is_not_there_is_no_stop(app: Any) -> None:
    for number in ("0", "8", "x", "01"):
        assert app[0](TOUR, tour=number).button(key="tour-start")


def test_the_demo_is_made_once_and_gone_on_with(store: Store, mnist5k: ImageDataset) -> None:
    first = demo.create(store, mnist5k)
    control.stop(store, first.experiment_id)
    assert demo.create(store, mnist5k) == first
    assert len(store.runs()) == 2
    found = demo.find(store, mnist5k)
    assert found is not None and not found.is_complete and found.share == 0
    assert found.bald.run.oracle_until == found.bald.run.spec.max_labels
    assert len(run_curve(found.bald)) == 0
