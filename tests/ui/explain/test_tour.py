"""The tour on the Explain page: what its stops claim, and what they begin with."""

from __future__ import annotations

import re

import pytest
from streamlit.testing.v1 import AppTest

from dal_core.data.base import ImageDataset
from dal_core.experiments import demo
from dal_core.experiments.demo import Demo
from dal_core.explain.batches import Pool, asked_by
from dal_core.explain.pool import disagreement, disputed_image, score_pool
from dal_core.explain.step import stored_step
from dal_core.explain.uncovered import uncovered
from dal_core.store.base import Store
from dal_ui.tour import facts
from tests import experiment_kit
from tests.ui.explain.test_page import APP, SECONDS, texts
from tests.ui_kit import InlineWorkers

NAMES = ("bald", "max_entropy", "bald_coverage")


@pytest.fixture
def made(store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """The demo's two runs, over in a second."""
    monkeypatch.setattr(demo, "protocol", experiment_kit.protocol)
    for run in store.experiments.runs(demo.create(store, mnist5k).experiment_id):
        InlineWorkers(store).work(run.run_id)
    found = demo.find(store, mnist5k)
    assert found is not None
    return found


def at_stop(number: int) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=SECONDS).run().switch_page("pages/explain.py")
    page.query_params["tour"] = str(number)
    page.run()
    assert not page.exception
    return page


def test_what_a_stop_claims_of_a_network_is_computed_from_it(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers, made: Demo
) -> None:
    step = stored_step(store.home, made.bald, mnist5k)
    assert step is not None
    pool, scores = Pool(step), score_pool(step)
    quarrel = texts(at_stop(3))
    share = disagreement(scores, disputed_image(scores))
    assert re.search(rf"{share:.0%} of [.\d]+ nats for \*Quarrel\*", quarrel)
    ten = {name: asked_by(pool, name, step.protocol.n_samples_to_acquire) for name in NAMES}
    shared = len({*ten["bald"].image_ids} & {*ten["max_entropy"].image_ids})
    assert f"Here {shared} of BALD's {len(ten['bald'].image_ids)} are also" in texts(at_stop(4))
    text = texts(at_stop(5))
    for name, title in (("bald", "BALD"), ("bald_coverage", "BALD-weighted coverage")):
        image_ids = ten[name].image_ids
        covered = uncovered(pool, image_ids).covered
        assert f"{title}'s {len(image_ids)} cover **{covered:.1%}** of the weight" in text
    assert "What the labels bought" not in text  # no coverage run, no claim


def test_a_run_by_coverage_can_join_the_tour(
    store: Store,
    mnist5k: ImageDataset,
    workers: InlineWorkers,
    made: Demo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    test = at_stop(5)
    test.button(key="tour-coverage").click().run()
    (third,) = [run for run in store.runs() if run.spec.acquisition == "bald_coverage"]
    assert len(store.runs()) == 3 and "still being measured" in texts(test)
    workers.work()
    monkeypatch.setattr(facts, "COMPARED_AT", (30, 1000))
    text = texts(test.run())
    accuracy = {step.n_labelled: step.accuracy for step in store.log(third.run_id).steps}[30]
    assert f"with 30 labels {accuracy:.1%} (coverage), " in text and "1000 labels" not in text
    assert demo.create(store, mnist5k) in store.experiments.all() and len(store.runs()) == 3


def test_every_stop_begins_with_the_run_s_own_settings(workers: InlineWorkers, made: Demo) -> None:
    test = at_stop(2)
    own = experiment_kit.protocol().num_mc_samples
    passes = next(slider for slider in test.slider if slider.label == "Passes T")
    passes.set_value(1).run()
    assert "1 of 1 passes" in texts(test)
    test.button(key="tour-next").click().run()
    passes = next(slider for slider in test.slider if slider.label == "Passes T")
    assert passes.value == own and not test.exception
