"""A run is read off its log step by step: what was asked, said and measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.figures.classes import Classes
from dal_core.figures.history import (
    balance_data,
    balance_figure,
    class_accuracy_figure,
    confusion_data,
    confusion_figure,
    steps_figure,
)
from dal_core.learner.bayesian_cnn import confusion_counts
from dal_core.record_file.sync import run_curve
from dal_core.results import run_history
from dal_core.run.environment import Environment
from dal_core.run.labelled import labelled_of, state_at
from dal_core.run.splits import Split, split_of
from dal_core.run.state import RunState
from dal_core.store.opening import open_store
from tests import experiment_kit, store_kit, toys

HERE = Environment(torch="2.13.0")
CONFUSION = ((3, 1, 0), (0, 0, 0), (2, 2, 4))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory, mnist5k: ImageDataset) -> RunState:
    """A finished run with two answered queries."""
    store = open_store(tmp_path_factory.mktemp("home"))
    run = experiment_kit.new_run(store, mnist5k)
    list(advance(Workbench(store), run.run_id))
    return store.log(run.run_id)


def test_every_state_has_what_its_model_measured_and_asked(log: RunState) -> None:
    moments = run_history.moments(log)
    assert [m.n_labelled for m in moments] == [20, 30, 40]
    assert [m.step for m in moments] == list(log.steps)
    assert [m.number for m in moments] == [0, 1, 2]
    assert [m.submission for m in moments] == [*log.submissions, None]
    assert moments[0].query == log.queries[log.submissions[0].query_id]
    assert moments[-1].query is None and moments[-1].after == log.after


def test_a_state_that_was_not_measured_is_there_without_a_result(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    run = store_kit.new_run(store)
    store_kit.give(store, store_kit.ask(store, run.run_id, range(100)))
    query = store_kit.ask(store, run.run_id, range(100, 200))
    first, second = run_history.moments(store.log(run.run_id))
    assert first.step is None and second.step is None
    assert second.query == query and second.submission is None


def test_a_number_of_labels_between_two_steps_shows_the_one_before(log: RunState) -> None:
    moments = run_history.moments(log)
    shown = [run_history.at_labels(moments, n).n_labelled for n in (5, 20, 29, 30, 999)]
    assert shown == [20, 20, 20, 30, 40]


def test_images_asked_for_come_with_what_was_said_and_what_is_true(
    tmp_path: Path, mnist5k: ImageDataset
) -> None:
    store = open_store(tmp_path)
    run = store_kit.new_run(store)
    query = store_kit.ask(store, run.run_id, range(100, 0, -1))
    (now,) = run_history.moments(store.log(run.run_id))
    images = run_history.asked_images(now, mnist5k)
    assert [i.image_id for i in images] == list(query.shown())
    assert not any(i.answered for i in images)
    store_kit.give(store, query, store_kit.answers_to(query, skipped=[99]))
    images = run_history.asked_images(run_history.moments(store.log(run.run_id))[0], mnist5k)
    assert [i.image_id for i in images] == list(range(100, 89, -1))
    skipped = images[1]
    assert skipped.answered and skipped.given is None and not skipped.is_wrong
    for image in [images[0], *images[2:]]:
        assert image.given == image.image_id % 10
        assert image.truth == mnist5k.labels[image.image_id]
        assert image.is_wrong == (image.given != image.truth)


def test_classes_are_counted_as_the_learner_has_them(log: RunState, mnist5k: ImageDataset) -> None:
    split = split_of(log.run.spec, mnist5k)
    for moment in run_history.moments(log):
        labelled = labelled_of(state_at(log, moment.after, log.corrected), split, mnist5k)
        by_class, pool = run_history.class_counts(log, moment, mnist5k, split)
        assert by_class.tolist() == np.bincount(labelled.labels, minlength=10).tolist()
        left = mnist5k.labels[labelled.unlabelled(split.pool)]
        assert pool.tolist() == np.bincount(left, minlength=10).tolist()
        assert by_class.sum() == moment.n_labelled


def test_wrong_labels_are_counted_up_to_the_step(tmp_path: Path, mnist5k: ImageDataset) -> None:
    store = open_store(tmp_path)
    spec = replace(experiment_kit.new_run(store, mnist5k).spec, noise=1.0)
    run = control.create_run(store, mnist5k, spec)
    store.set_directives(run.run_id, oracle_until=spec.max_labels)
    list(advance(Workbench(store), run.run_id))
    log = store.log(run.run_id)
    assert [run_history.n_wrong(log, m, mnist5k) for m in run_history.moments(log)] == [0, 10, 20]


def test_the_confusion_of_a_step_counts_every_test_image_once(
    log: RunState, mnist5k: ImageDataset
) -> None:
    truth = mnist5k.labels[split_of(log.run.spec, mnist5k).test]
    for step in log.steps:
        assert step.confusion is not None
        counts = np.array(step.confusion)
        assert counts.sum(1).tolist() == np.bincount(truth, minlength=10).tolist()
        assert counts.trace() / counts.sum() == step.accuracy


def test_confusion_counts_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 10, (2, 500))
    expected = np.zeros((10, 10), dtype=int)
    for label, said in zip(labels, predicted, strict=True):
        expected[label, said] += 1
    assert (confusion_counts(labels, predicted, 10) == expected).all()


def test_accuracy_by_class_is_of_that_classs_images() -> None:
    accuracy = run_history.class_accuracy(CONFUSION)
    assert accuracy[[0, 2]].tolist() == [0.75, 0.5]
    assert np.isnan(accuracy[1])


def test_the_most_frequent_mistakes_come_first_and_right_answers_never() -> None:
    assert run_history.worst_confusions(CONFUSION) == [(2, 0, 2), (2, 1, 2), (0, 1, 1)]
    assert run_history.worst_confusions(CONFUSION, n=1) == [(2, 0, 2)]
    assert run_history.worst_confusions(((5, 0), (0, 5))) == []


def test_figures_of_a_step_show_its_numbers(log: RunState) -> None:
    classes = Classes(("a", "b", "c"))
    data = confusion_data(CONFUSION, classes)
    assert data.images.sum() == 12 and len(data) == 9
    assert data[data.right].images.sum() == 7
    assert data[(data.label == "c") & (data.predicted == "a")].share.item() == 0.25
    shares = balance_data([1, 3], [5, 5], Classes(("a", "b")))
    assert shares[shares["of"] == "labelled"].share.tolist() == [0.25, 0.75]
    for figure in (
        confusion_figure(CONFUSION, classes),
        class_accuracy_figure(CONFUSION, classes, CONFUSION),
        class_accuracy_figure(CONFUSION, classes),
        balance_figure([1, 3], [5, 5], Classes(("a", "b"))),
        steps_figure({"a": run_curve(log), "b": run_curve(log)}, 30),
    ):
        assert figure.to_dict()["width"] == "container"


def test_a_step_whose_mistakes_were_not_recorded_says_so(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    run = store_kit.new_run(store)
    store.add_step(run.run_id, store_kit.new_result())
    assert store.log(run.run_id).steps[0].confusion is None
    recorded = replace(store_kit.new_result(), confusion=CONFUSION)
    store.add_step(run.run_id, recorded)
    assert store.log(run.run_id).steps == (recorded,)


def test_images_of_unknown_class_are_neither_wrong_nor_counted(tmp_path: Path) -> None:
    dataset = toys.dataset(toys.PARTLY)
    unknown = int(np.flatnonzero(dataset.labels < 0)[0])
    known = int(np.flatnonzero(dataset.labels == 1)[0])
    store = open_store(tmp_path)
    log = store.log(store_kit.new_run(store).run_id)
    moment = replace(run_history.moments(log)[0], query=store_kit.new_query([unknown, known]))
    asked = run_history.asked_images(moment, dataset)
    assert [one.truth for one in asked] == [None, 1]
    assert [replace(one, answered=True, given=0).is_wrong for one in asked] == [False, True]
    nothing = np.array([], dtype=np.int64)
    split = Split(nothing, nothing, np.array([known, unknown]), nothing)
    assert run_history.class_counts(log, moment, dataset, split)[1].tolist() == [0, 1, 0]


def test_a_run_computed_in_several_places_names_the_last_three_changes(log: RunState) -> None:
    def steps(*versions: str | None) -> RunState:
        each = [None if one is None else replace(HERE, torch=one) for one in versions]
        made = [
            replace(log.steps[0], n_labelled=10 * place, environment=where)
            for place, where in enumerate(each)
        ]
        return replace(log, steps=tuple(made))

    assert run_history.resumed_elsewhere(steps("1", None, "1")) == ""
    assert run_history.resumed_elsewhere(steps(None, "1", "2")) == (
        "elsewhere, so bits may differ; from 20 labels on: torch 1 then, 2 now"
    )
    told = run_history.resumed_elsewhere(steps("1", "2", "3", "4", "5"))
    assert "; 4 times, the last three from 20 labels on: torch 2 then, 3 now; from 30" in told
