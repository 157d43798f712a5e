"""The explaining page as Streamlit runs it, without a browser, and the words it says."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from dal_core.acquisition import registry
from dal_core.data.base import ImageDataset
from dal_core.execution.recompute import recompute
from dal_core.experiments.control import create_run
from dal_core.explain.batches import in_groups
from dal_core.explain.parts import parts_of
from dal_core.explain.pool import Place, score_pool
from dal_core.explain.step import stored_step
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.run.events import Answer
from dal_core.run.rows import Progress
from dal_core.store.base import Store
from dal_ui.components.canvas import SIDE, read_drawing
from dal_ui.explain import words as explain_words
from dal_ui.explain.image import standing
from dal_ui.explain.model import Step
from dal_ui.explain.pool_map import points_to_show
from dal_ui.label import actions
from dal_ui.shared.vega import stamped
from dal_ui.tour.stops import COVERAGE, FUNCTIONS
from tests import fast
from tests.ui_kit import (
    InlineWorkers,
    asked_run,
    new_run,
    open_query,
    right_labels,
    submission,
)

APP = str(Path(__file__).resolve().parents[3] / "app.py")
SECONDS = 60

pytestmark = pytest.mark.usefixtures("workers")


def explain_page(run_id: str = "", view: str = "") -> AppTest:
    page = AppTest.from_file(APP, default_timeout=SECONDS).run().switch_page("pages/explain.py")
    if run_id:
        page.query_params["run"] = run_id
    if view:
        page.session_state["explain-view"] = view
    page.run()
    assert not page.exception
    return page


def texts(page: AppTest) -> str:
    parts = (page.markdown, page.caption, page.error, page.warning, page.info, page.title)
    return "\n".join(element.value for kind in parts for element in kind)


def of_step(store: Store, run_id: str, dataset: ImageDataset) -> Step:
    log = store.log(run_id)
    model = stored_step(store.home, log, dataset)
    assert model is not None
    return Step(log, model, dataset)


# -- the page ----------------------------------------------------------------------------------


def test_without_a_network_the_page_says_what_to_do(store: Store, mnist5k: ImageDataset) -> None:
    new_run(store, mnist5k)  # not trained yet
    page = explain_page()
    assert "This page needs a run with a trained network" in texts(page)
    assert "Start a run" in [button.label for button in page.button]


def test_the_first_image_is_the_one_the_run_asks_for_first(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = explain_page()
    assert page.query_params["run"] == [run_id]
    query = open_query(store.log(run_id))
    said = texts(page)
    assert f"Image {query.ranking[0]}. Label in the data set:" in said
    assert "The run used exactly these passes." in said
    n_pool = len(of_step(store, run_id, mnist5k).model.pool_subset)
    assert f"**{query.scores[0]:.3f}** | 1st of {n_pool}" in said


def test_every_draw_tells_the_browser_where_the_sliders_stand(
    store: Store, mnist5k: ImageDataset
) -> None:
    """The first draw may be lost: a click on a tab while it goes on interrupts it."""
    run_id, _ = asked_run(store, mnist5k)
    page = explain_page(run_id)
    own = of_step(store, run_id, mnist5k).model.protocol
    wanted = [own.num_mc_samples, *own.dropout]
    for _ in range(2):
        assert [list(slider.proto.default) for slider in page.slider] == [[one] for one in wanted]
        assert [slider.value for slider in page.slider] == wanted
        page.run()


def test_the_rows_of_an_ensemble_are_its_networks(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = asked_run(store, mnist5k, posterior="ensemble", num_mc_samples=3)
    page = explain_page(run_id)
    assert not page.exception
    said = texts(page)
    assert "is the prediction of one network" in said and "Dropout" not in said
    assert " of 3 networks predict" in said and "The run used exactly these passes." in said
    (networks,) = page.slider
    assert (networks.label, networks.min, networks.max, networks.value) == ("Networks T", 1, 3, 3)


@pytest.mark.parametrize(
    ("spec", "words", "rows"),
    [
        ({"posterior": "mc_dropconnect"}, "DropConnect switches off random connections", "passes"),
        ({"posterior": "laplace"}, "a *Laplace approximation*", "draws"),
        (
            {"posterior": "mc_dropout_ensemble", "num_mc_samples": 6},
            "is one prediction of one network; the networks take turns",
            "passes",
        ),
        (
            {"posterior": "quam", "num_mc_samples": 10, "quam_shortlist": 2, "quam_steps": 2},
            "(*adversarial models*), for each class in turn",
            "predictions",
        ),
    ],
)
def test_the_rows_of_every_posterior_are_named(
    store: Store, mnist5k: ImageDataset, spec: dict[str, Any], words: str, rows: str
) -> None:
    run_id, _ = asked_run(store, mnist5k, **spec)
    page = explain_page(run_id)
    assert not page.exception
    assert words in texts(page) and f" {rows} predict" in texts(page)
    assert [slider.label for slider in page.slider] == [f"{rows.capitalize()} T"]


def test_a_deterministic_network_has_one_row(store: Store, mnist5k: ImageDataset) -> None:
    spec = {"posterior": "deterministic", "num_mc_samples": 1}
    run_id, _ = asked_run(store, mnist5k, acquisition="margin", **spec)
    page = explain_page(run_id)
    assert not page.exception
    assert "nothing can disagree with it" in texts(page)
    assert "**1 of 1 networks predict" in texts(page)
    assert not page.slider


def test_fewer_passes_are_the_first_of_the_same(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = explain_page(run_id)
    passes = next(slider for slider in page.slider if slider.label == "Passes T")
    passes.set_value(1).run()
    assert not page.exception
    assert "**1 of 1 passes predict" in texts(page)
    assert "these begin with the same passes" in texts(page)
    assert "| BALD | " in texts(page) and "**0.000**" in texts(page)  # nobody to disagree with


def test_other_dropout_rates_are_said_to_be_none_of_the_runs(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = explain_page(run_id)
    first = next(slider for slider in page.slider if slider.label.startswith("Dropout"))
    first.set_value(0.6).run()
    assert not page.exception
    assert "Computed for this page" in texts(page)
    (reset,) = [button for button in page.button if button.label == "Reset to run settings"]
    reset.click().run()
    assert "exactly these passes" in texts(page)


@pytest.mark.parametrize("source", ["Ambiguous", "Quarrel", "Any", "By number"])
def test_every_way_to_choose_an_image_shows_one(
    store: Store, mnist5k: ImageDataset, source: str
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = explain_page(run_id)
    page.session_state["explain-source"] = source
    page.run()
    assert not page.exception
    assert "passes predict" in texts(page) and "Label in the data set:" in texts(page)


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("What coverage covers", explain_words.coverage("bald")),
        ("A map of the pool", explain_words.MAP),
    ],
)
def test_the_other_views_are_drawn(
    store: Store, mnist5k: ImageDataset, view: str, words: str
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    assert words in texts(explain_page(run_id, view))


def test_every_function_is_shown_in_its_group_with_what_its_batch_is_worth(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = explain_page(run_id, FUNCTIONS)
    said = texts(page)
    assert explain_words.FUNCTIONS in said
    (table,) = [one.value for one in page.dataframe if "joint share" in one.value]
    assert list(table.function) == [
        registry.get(name).title for names in in_groups().values() for name in names
    ]
    for group in in_groups():
        assert f"#### {explain_words.GROUPS[group][0]}" in said
    assert table["joint share"].between(0, 1).all() and table["covered"].between(0, 1).all()
    best = table.set_index("function").covered
    assert best["BALD-weighted coverage"] > best["BALD"]
    assert "BatchBALD's batch:" in said and "ln 256 = 5.55 nats" in said
    assert not page.get("progress")


def test_a_network_that_cannot_disagree_leaves_functions_out_in_one_line(
    store: Store, mnist5k: ImageDataset
) -> None:
    spec = {"posterior": "deterministic", "num_mc_samples": 1}
    run_id, _ = asked_run(store, mnist5k, acquisition="margin", **spec)
    page = explain_page(run_id, FUNCTIONS)
    (table,) = [one.value for one in page.dataframe if "joint share" in one.value]
    out = [entry.title for entry in registry.functions() if entry.needs_disagreement]
    assert not set(out) & set(table.function) and "Margin" in set(table.function)
    lines = [one.value for one in page.caption if "Not for this network" in one.value]
    assert len(lines) == 1 and all(title in lines[0] for title in out)
    assert "scores how much samples disagree" in lines[0] and "allowed" not in lines[0]
    page = explain_page(run_id, COVERAGE)
    assert "Its colour is its weight (Max entropy)" in texts(page)
    page.selectbox(key="explain-covered").set_value("bald").run()
    assert any("Not for this network" in one.value for one in page.info)


def test_what_coverage_covers_is_more_than_what_the_top_ten_cover(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = explain_page(run_id, COVERAGE)
    said = re.search(r"covers: BALD-weighted coverage ([.\d]+)%, BALD ([.\d]+)%", texts(page))
    assert said is not None and float(said[1]) > float(said[2])
    page.selectbox(key="explain-covered").set_value("random").run()
    assert not page.exception
    assert "covers: Random" in texts(page)


def test_a_run_in_training_shows_the_network_before(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = asked_run(store, mnist5k)
    query = open_query(store.log(run_id))
    answers = [Answer(i, int(mnist5k.labels[i])) for i in query.shown()]
    store.submit(query.query_id, answers, annotator="Ann", source="person")
    assert "Network trained on **20** labels; the next one is training." in texts(
        explain_page(run_id)
    )


def again(page: AppTest) -> list[Any]:
    return [button for button in page.button if button.label == "Recompute this network"]


def progress_bars(page: AppTest) -> list[tuple[int, str]]:
    return [(element.proto.value, element.proto.text) for element in page.get("progress")]


def test_a_run_whose_weights_are_gone_can_have_them_computed_again(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    (store.run_dir(run_id) / "weights.safetensors").unlink()
    page = explain_page(run_id)
    assert "No network of this run is stored now" in texts(page)
    assert not progress_bars(page)
    again(page)[0].click().run()
    assert workers.asked_weights == [(run_id, 0)]
    assert progress_bars(page) == [(0, "Recomputing this network ...")] and not again(page)
    store.set_progress(run_id, Progress("train", n_labelled=20, epoch=3, n_epochs=4))
    page.run()
    assert progress_bars(page) == [(75, "Recomputing this network ...")]
    workers.work()
    page.run()
    assert "Network trained on **20** labels." in texts(page)
    assert "No network" not in texts(page) and not progress_bars(page) and not again(page)


def test_a_network_that_could_not_be_computed_again_is_said_and_may_be_asked_for_anew(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    (store.run_dir(run_id) / "weights.safetensors").unlink()
    page = explain_page(run_id)
    again(page)[0].click().run()
    workers.refuse(f"run {run_id} is being worked on")
    page.run()
    assert f"Could not compute it: run {run_id} is being worked on." in texts(page)
    assert not progress_bars(page)
    again(page)[0].click().run()
    assert "Could not compute it" not in texts(page) and progress_bars(page)


def test_after_an_undo_the_network_of_the_labels_left_is_shown_once_it_is_computed(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    query = open_query(store.log(run_id))
    answers = [Answer(i, int(mnist5k.labels[i])) for i in query.shown()]
    store.submit(query.query_id, answers, annotator="Ann", source="person")
    workers.work(run_id)
    store.undo(run_id)
    page = explain_page(run_id)
    again(page)[0].click().run()
    workers.work()
    assert "Network trained on **20** labels." in texts(page.run())


def test_a_correction_that_nobody_trains_on_yet_is_not_said_to_be_in_training(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers = asked_run(store, mnist5k)
    actions.hand_over(store, store.log(run_id), 1)
    workers.work(run_id)
    image_id, label = store.log(run_id).labels()[0]
    store.correct(run_id, image_id, (label + 1) % 10, annotator="Ann")
    said = texts(explain_page(run_id))
    assert "Network trained on **30** labels, before the correction." in said


def corrected_run(store: Store, dataset: ImageDataset) -> tuple[str, InlineWorkers, int]:
    """A finished run whose last networks, before and after a correction, are both stored."""
    run_id, workers = asked_run(store, dataset, n_acquisition_steps=1)
    actions.hand_over(store, store.log(run_id), None)
    workers.work(run_id)
    after = store.log(run_id).after
    recompute(store, dataset, run_id, after)
    image_id, label = store.log(run_id).labels()[0]
    store.correct(run_id, image_id, (label + 1) % 10, annotator="Ann")
    workers.work(run_id)  # a finished run is measured once more
    return run_id, workers, after


def test_networks_of_as_many_labels_are_told_apart_and_are_not_the_same(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _, after = corrected_run(store, mnist5k)
    page = explain_page(run_id)
    (box,) = [box for box in page.selectbox if box.label == "Network"]
    assert box.options == [
        "network trained on 30 labels",
        "network trained on 30 labels, before the correction",
    ]
    assert "Network trained on **30** labels." in texts(page)
    box.select_index(1).run()
    assert not page.exception
    assert "Network trained on **30** labels, before the correction." in texts(page)
    log = store.log(run_id)
    then, now = (stored_step(store.home, log, mnist5k, after, c) for c in (0, log.corrected))
    assert then is not None and now is not None
    (wrong,) = (one.image_id for one in log.corrections)
    of_then, of_now = (
        dict(zip(one.labelled.ids.tolist(), one.labelled.labels.tolist(), strict=True))[wrong]
        for one in (then, now)
    )
    assert of_then == mnist5k.labels[wrong] != of_now


def test_the_network_chosen_stays_when_the_next_correction_gives_it_another_name(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers, _ = corrected_run(store, mnist5k)
    page = explain_page(run_id)
    next(box for box in page.selectbox if box.label == "Network").select_index(1).run()
    image_id, label = store.log(run_id).labels()[1]
    store.correct(run_id, image_id, (label + 1) % 10, annotator="Ann")
    workers.work(run_id)
    page.run()
    (box,) = [box for box in page.selectbox if box.label == "Network"]
    assert (
        box.options[box.proto.default] == "network trained on 30 labels, before the 2 corrections"
    )
    assert box.index == box.proto.default
    assert "Network trained on **30** labels, before the 2 corrections." in texts(page)


def test_networks_of_as_many_labels_after_other_batches_are_told_apart(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, workers = asked_run(store, mnist5k)
    actions.hand_over(store, store.log(run_id), 2)
    workers.work(run_id)
    for image_id in store.log(run_id).submissions[1].labels:
        store.correct(run_id, image_id, None, annotator="Ann")
    log = store.log(run_id)
    states = [(one.submission_id, log.corrected) for one in log.submissions]
    assert list(explain_words.network_names(log, states).values()) == [
        "network trained on 30 labels, after batch 1",
        "network trained on 30 labels, after batch 2",
    ]
    one_less = (states[1][0], log.corrections[-2].correction_id)
    assert explain_words.network_names(log, [one_less]) == {
        one_less: "network trained on 31 labels, before the last correction"
    }


def test_a_network_of_all_images_has_nothing_to_ask(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    protocol = fast.protocol(n_epochs=1, train_size=20)
    spec = actions.RunSpec(mnist5k.fingerprint, protocol, FULL_DATA, 1)
    run_id = create_run(store, mnist5k, spec).run_id
    store.set_directives(run_id, oracle_until=spec.max_labels)
    workers.work(run_id)
    assert "nothing left to ask for" in texts(explain_page(run_id))


def test_without_an_address_the_newest_run_that_asks_is_shown_and_no_full_data_bound(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    asking, _ = asked_run(store, mnist5k)
    spec = actions.RunSpec(mnist5k.fingerprint, fast.protocol(n_epochs=1), FULL_DATA, 1)
    bound = create_run(store, mnist5k, spec).run_id
    store.set_directives(bound, oracle_until=spec.max_labels)
    workers.work(bound)
    assert [run.run_id for run in store.runs()] == [bound, asking]
    assert explain_page().query_params["run"] == [asking]


def test_another_run_brings_its_own_settings(store: Store, mnist5k: ImageDataset) -> None:
    one, _ = asked_run(store, mnist5k)
    other, _ = asked_run(store, mnist5k, num_mc_samples=9, dropout=(0.5, 0.25))
    page = explain_page(one)
    page.query_params["run"] = other
    page.run()
    assert not page.exception
    assert "of 9 passes predict" in texts(page)
    assert [slider.value for slider in page.slider][:3] == [9, 0.5, 0.25]


def test_runs_that_are_called_alike_can_be_chosen_one_after_the_other(
    store: Store, mnist5k: ImageDataset
) -> None:
    runs = [asked_run(store, mnist5k)[0] for _ in range(2)]
    page = explain_page(runs[0])
    for run_id in (runs[1], runs[0], runs[1]):  # one choice after the other, no draw between
        (box,) = [box for box in page.selectbox if box.label == "Run"]
        place = next(k for k, title in enumerate(box.options) if f"({run_id})" in title)
        box.select_index(place).run()
        assert page.query_params["run"] == [run_id]


def test_rates_beyond_the_sliders_usual_end_are_shown(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = asked_run(store, mnist5k, dropout=(0.95, 0.25))
    page = explain_page(run_id)
    assert [slider.value for slider in page.slider][1:3] == [0.95, 0.25]
    assert "exactly these passes" in texts(page)


def test_an_unknown_run_is_said(store: Store) -> None:
    assert "There is no run “nobody” here." in texts(explain_page("nobody"))


def test_a_run_on_other_data_is_not_explained(store: Store, mnist5k: ImageDataset) -> None:
    spec = actions.RunSpec("0" * 64, fast.protocol(), "bald", 1)
    run = store.create_run(spec, kind="person", n_initial=20, split_sizes={"pool": 100})
    said = texts(explain_page(run.run_id))
    assert "This run used other data than mnist5k holds now" in said


# -- its numbers -------------------------------------------------------------------------------


def test_places_leave_the_image_itself_out(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = asked_run(store, mnist5k)
    step = of_step(store, run_id, mnist5k)
    pool = score_pool(step.model)
    best = int(pool.ranking("bald", 1)[0])
    parts = parts_of(torch.full((4, 10), 0.1))
    scores, places = standing(pool, best, parts)
    scoring = [entry.name for entry in registry.functions() if entry.choose is None]
    assert set(scores) == set(scoring)
    assert places["max_entropy"].rank == 1  # nothing is less certain than ten equal classes
    assert places["max_entropy"].n_images == len(pool)
    drawn, _ = standing(pool, None, parts)
    assert "random" not in drawn  # an image outside the pool takes part in no draw


def test_the_map_marks_what_is_asked_for_now(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = asked_run(store, mnist5k)
    step = of_step(store, run_id, mnist5k)
    pool = score_pool(step.model)
    ids = [*pool.image_ids[:50].tolist(), *step.query_images()]
    points = pd.DataFrame({"image_id": list(dict.fromkeys(ids)), "step": -2, "skipped": False})
    points["label"] = float("nan")
    shown = points_to_show(points, pool, "bald", step)
    assert set(shown[shown.step == 0].image_id) == set(step.query_images())
    first = int(shown.image_id.iloc[0])
    assert shown.bald.iloc[0] == pytest.approx(pool.score_of("bald", first))


def test_the_map_colours_images_by_the_score_they_had_when_asked(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, inline = asked_run(store, mnist5k)
    query = open_query(store.log(run_id))
    asked = query.shown()
    labels = right_labels(query, mnist5k)
    actions.submit(store, store.log(run_id), submission(query, labels), "Ann")
    inline.work(run_id)
    step = of_step(store, run_id, mnist5k)
    points = pd.DataFrame({"image_id": asked, "step": 0, "skipped": False, "label": 1.0})
    pool = score_pool(step.model)
    own = points_to_show(points, pool, "bald", step).bald
    assert own.tolist() == pytest.approx(query.scores[: len(asked)])
    assert points_to_show(points, pool, "mean_std", step).mean_std.isna().all()


def test_what_an_older_network_asked_for_is_not_this_ones_wish(
    store: Store, mnist5k: ImageDataset
) -> None:
    """Continuous: the query open after the newest fit is still the one of the fit before."""
    spec = RunSpec(mnist5k.fingerprint, fast.protocol(), "bald", 1)
    run_id = create_run(store, mnist5k, spec, person=True, mode="continuous").run_id
    for wanted in (True, False):
        InlineWorkers(store).work(run_id)
        query = open_query(store.log(run_id))
        step = of_step(store, run_id, mnist5k)
        pool = score_pool(step.model)
        assert step.query_images() == (query.shown() if wanted else ())
        assert step.images_wanted(pool) == tuple(pool.ranking("bald", 10).tolist())
        labels = [Answer(i, int(mnist5k.labels[i])) for i in query.shown()]
        store.submit(query.query_id, labels, annotator="Ann", source="person")
    last = open_query(store.log(run_id))  # by the newest network at last
    assert last.asked_by == 30
    assert of_step(store, run_id, mnist5k).query_images() == last.shown()


def test_a_finished_run_shows_what_it_would_ask_for(store: Store, mnist5k: ImageDataset) -> None:
    run_id, workers = asked_run(store, mnist5k, n_acquisition_steps=1)
    actions.hand_over(store, store.log(run_id), None)
    workers.work(run_id)
    step = of_step(store, run_id, mnist5k)
    pool = score_pool(step.model)
    assert step.query_images() == ()
    assert step.images_wanted(pool) == tuple(pool.ranking("bald", 10).tolist())


def test_what_an_older_network_asked_for_is_not_said_to_be_this_ones(
    store: Store, mnist5k: ImageDataset
) -> None:
    protocol, workers = fast.protocol(), InlineWorkers(store)
    run_id = actions.start_run(store, mnist5k, protocol, "bald", 1, "Ann", mode="continuous")
    workers.work(run_id)
    first = of_step(store, run_id, mnist5k)
    query = open_query(store.log(run_id))
    assert first.query_images() == query.shown()
    store.submit(
        query.query_id, [Answer(i, 3) for i in query.shown()], annotator="Ann", source="person"
    )
    workers.work(run_id)
    query = open_query(store.log(run_id))
    assert (query.n_labelled, query.asked_by) == (30, 20)  # it came before the network of 30
    step = of_step(store, run_id, mnist5k)
    assert step.model.n_labelled == 30
    pool = score_pool(step.model)
    assert step.images_wanted(pool) == tuple(pool.ranking("bald", 10).tolist())


def test_a_table_with_other_numbers_has_another_name_in_it() -> None:
    one, same, other = (pd.DataFrame({"x": x}) for x in ([1, 2], [1, 2], [2, 1]))
    names = [list(stamped(table).columns) for table in (one, same, other)]
    assert names[0] == names[1] != names[2]


# -- what it says ------------------------------------------------------------------------------


def test_the_sums_are_those_of_the_equations() -> None:
    parts = parts_of(torch.tensor([[0.8, 0.2], [0.4, 0.6], [0.8, 0.2], [0.8, 0.2]]))
    assert explain_words.sum_of("variation_ratios", parts) == "1 − 3 of 4 votes"
    assert explain_words.sum_of("variation_ratios_mean", parts) == "1 − 0.700"
    assert (
        explain_words.votes(parts, ("cat", "dog")) == "**3 of 4 passes predict cat**, 1 predict dog"
    )


@pytest.mark.parametrize(
    ("n", "said"), [(1, "1st"), (2, "2nd"), (13, "13th"), (23, "23rd"), (1021, "1,021st")]
)
def test_ordinals_are_english(n: int, said: str) -> None:
    assert explain_words.ordinal(n) == said


def test_a_place_that_is_shared_says_so() -> None:
    assert explain_words.place(Place(3, 47, 3380)) == "3rd of 3,380, 47 equal"


# -- what the canvas sends ---------------------------------------------------------------------


def png(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def test_ink_arrives_as_it_was_drawn() -> None:
    ink = np.zeros((SIDE, SIDE), np.uint8)
    ink[40:90, 60:70] = 200
    found = read_drawing(png(ink))
    assert found is not None and np.array_equal(found, ink)


def test_an_empty_canvas_is_no_drawing() -> None:
    assert read_drawing(None) is read_drawing("") is None
    assert read_drawing(png(np.zeros((SIDE, SIDE), np.uint8))) is None


@pytest.mark.parametrize(
    "raw",
    [
        5,
        {"png": 1},
        "data:text/html;base64,PGI+",
        "data:image/png;base64,@@@@",
        "data:image/png;base64,AAAA",
        png(np.ones((9, 9), np.uint8)),
        "data:image/png;base64," + "A" * 100_000,
    ],
)
def test_anything_else_is_refused_in_one_line(raw: object) -> None:
    with pytest.raises(ValueError) as error:
        read_drawing(raw)
    assert "\n" not in str(error.value) and str(error.value).startswith("drawing is")
