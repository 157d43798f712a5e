"""Corrections: which ones count, what they change, and what the next fit uses."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.learner.bayesian_cnn import BayesianCNNLearner, FittedCNN
from dal_core.run.events import Answer, Query
from dal_core.run.labelled import Labelled
from dal_core.run.rows import RunNotFound
from dal_core.run.rules import AnswerError
from dal_core.store.base import Store
from dal_core.store.home import run_dir
from dal_core.store.opening import open_store
from dal_core.store.sqlite import schema
from dal_core.training.loop import Watch
from tests import experiment_kit
from tests.store_kit import (
    N_INITIAL,
    answers_to,
    as_in_earlier_versions,
    ask,
    give,
    new_query,
    new_result,
    new_run,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def run_id(store: Store) -> str:
    """A run with two answered queries (image 50 skipped in the second) and an open one."""
    run_id = new_run(store).run_id
    give(store, ask(store, run_id, range(20)))
    second = ask(store, run_id, range(50, 70))
    give(store, second, answers_to(second, skipped=[50]))
    ask(store, run_id, range(100, 120))
    return run_id


def correct(store: Store, run_id: str, image_id: int, label: int | None) -> int:
    return store.correct(run_id, image_id, label, annotator="ann").correction_id


def label_of(store: Store, run_id: str, image_id: int) -> int | None:
    return dict(store.log(run_id).labels()).get(image_id)


def n_rows(store: Store) -> int:
    connection = sqlite3.connect(store.home / schema.DATABASE_FILE)
    try:
        return sum(
            connection.execute(f"SELECT COUNT(*) FROM {table.name}").fetchone()[0]
            for table in schema.metadata.sorted_tables
        )
    finally:
        connection.close()


# What a correction does


def test_a_correction_changes_the_label_and_nothing_else(store: Store, run_id: str) -> None:
    before = store.log(run_id)
    made = store.correct(run_id, 3, 8, annotator="bea")
    log = store.log(run_id)
    assert (made.before, made.label, made.annotator) == (3, 8, "bea")
    assert log.corrections == (made,)
    assert log.labels() == [(i, 8 if i == 3 else label) for i, label in before.labels()]
    assert (log.open_query, log.after, log.n_labelled) == (
        before.open_query,
        before.after,
        before.n_labelled,
    )
    (answer,) = (a for a in log.submissions[0].answers if a.image_id == 3)
    assert answer == Answer(3, 8, 0.5)  # the time is the first answer's
    assert log.submissions[0].annotator == "ann"


def test_of_several_corrections_of_an_image_the_newest_counts(store: Store, run_id: str) -> None:
    first, second = correct(store, run_id, 3, 8), correct(store, run_id, 3, 5)
    log = store.log(run_id)
    assert label_of(store, run_id, 3) == 5
    assert [(one.before, one.label) for one in log.corrections] == [(3, 8), (8, 5)]
    assert (log.corrected, log.corrections[0].correction_id) == (second, first)


def test_a_label_may_become_cannot_tell_and_a_skipped_image_a_label(
    store: Store, run_id: str
) -> None:
    correct(store, run_id, 3, None)
    correct(store, run_id, 50, 6)
    log = store.log(run_id)
    assert log.skipped == {3}
    assert log.labels()[9:11] == [(50, 6), (51, 1)]  # in the order of the ranking
    assert log.n_labelled == N_INITIAL + 20
    assert [log.n_labelled_at(log.after, one) for one in (0, 1, 2)] == [40, 39, 40]


def test_retracting_a_submission_drops_its_corrections(store: Store, run_id: str) -> None:
    in_first, in_second = correct(store, run_id, 3, 8), correct(store, run_id, 55, 9)
    assert store.log(run_id).corrected == in_second
    again = store.undo(run_id)
    assert store.log(run_id).corrected == in_first
    assert label_of(store, run_id, 3) == 8
    give(store, again, answers_to(again))
    assert label_of(store, run_id, 55) == 5  # asked and answered again


def test_the_revision_counts_all_retractions_and_corrections(store: Store, run_id: str) -> None:
    correct(store, run_id, 55, 9)
    store.undo(run_id)
    assert store.log(run_id).revision == store.control(run_id).revision == 2


def test_the_pulse_changes_with_a_correction(store: Store, run_id: str) -> None:
    before = store.pulse(run_id)
    correct(store, run_id, 3, 8)
    assert store.pulse(run_id) != before


@pytest.mark.parametrize(
    ("image_id", "label", "message"),
    [
        (100, 3, "image 100 was not answered in run "),  # asked, not answered yet
        (2000, 3, "image 2000 was not answered in run "),
        (3, 3, "image 3 is labelled 3 already"),
        (50, None, "image 50 is skipped already"),
        (3, 10, "label of image 3 is 10; allowed: 0 to 9, or None"),
        (3, True, "label of image 3 is True; allowed: 0 to 9, or None"),
        ("3", 1, "image id is '3'; allowed: a whole number"),
    ],
)
def test_a_wrong_correction_is_one_line_and_changes_nothing(
    store: Store, run_id: str, image_id: int, label: int, message: str
) -> None:
    before = n_rows(store)
    with pytest.raises(AnswerError, match=f"^{message}[^\n]*$"):
        correct(store, run_id, image_id, label)
    assert n_rows(store) == before


def test_an_image_of_a_retracted_batch_counts_as_not_answered(store: Store, run_id: str) -> None:
    store.undo(run_id)
    with pytest.raises(AnswerError, match="image 55 was not answered"):
        correct(store, run_id, 55, 9)


def test_a_correction_names_an_existing_run_and_its_author(store: Store, run_id: str) -> None:
    with pytest.raises(RunNotFound):
        correct(store, "nobody", 3, 8)
    with pytest.raises(AnswerError, match="annotator is ' '"):
        store.correct(run_id, 3, 8, annotator=" ")


def test_the_same_submission_sent_again_after_a_correction_is_still_one(
    store: Store, run_id: str
) -> None:
    log = store.log(run_id)
    query = log.queries[log.submissions[0].query_id]
    correct(store, run_id, 3, 8)
    assert give(store, query).status == "already"


def test_a_run_that_a_person_corrected_is_not_reused_as_an_oracle_run(store: Store) -> None:
    run = new_run(store, kind="oracle")
    query = ask(store, run.run_id, range(20))
    store.submit(query.query_id, answers_to(query), annotator="oracle", source="oracle")
    assert store.find_oracle_run(run.spec) == run
    with as_in_earlier_versions():
        correct(store, run.run_id, 3, 8)
    assert store.find_oracle_run(run.spec) is None


# What was measured


def test_a_result_is_before_a_correction_of_what_its_model_was_trained_on(
    store: Store, run_id: str
) -> None:
    first, second = (one.submission_id for one in store.log(run_id).submissions)
    for step in (new_result(), new_result(30, first), new_result(40, second)):
        assert store.add_step(run_id, step)
    correct(store, run_id, 55, 9)  # of the second
    log = store.log(run_id)
    assert [log.is_before_correction(step) for step in log.steps] == [False, False, True]
    correct(store, run_id, 3, 8)
    log = store.log(run_id)
    assert [log.is_before_correction(step) for step in log.steps] == [False, True, True]
    correct(store, run_id, 3, 3)  # what it was trained on after all
    log = store.log(run_id)
    assert [log.is_before_correction(step) for step in log.steps] == [False, False, True]


def test_a_state_measured_again_has_one_point_also_with_another_number_of_labels(
    store: Store, run_id: str
) -> None:
    after = store.log(run_id).after
    store.add_step(run_id, new_result(40, after, 0.5))
    corrected = correct(store, run_id, 3, None)
    assert store.add_step(run_id, new_result(39, after, 0.6, corrected))
    log = store.log(run_id)
    assert [(step.n_labelled, step.accuracy) for step in log.steps] == [(39, 0.6)]
    assert not log.is_before_correction(log.steps[0])


def test_a_result_and_a_query_have_the_labels_of_their_own_correction(
    store: Store, run_id: str
) -> None:
    after = store.log(run_id).after
    correct(store, run_id, 3, None)
    with pytest.raises(ValueError, match="n_labelled is 39; after submission"):
        store.add_step(run_id, new_result(39, after))
    assert store.add_step(run_id, new_result(40, after))  # measured before, stored after


def test_a_query_by_a_model_from_before_a_correction_is_dropped(store: Store) -> None:
    run_id = new_run(store).run_id
    give(store, ask(store, run_id, range(20)))
    after = store.log(run_id).after
    corrected = correct(store, run_id, 3, 8)
    late = new_query(range(50, 70), n_labelled=30, after=after)
    assert not store.add_query(run_id, late, None)
    now = new_query(range(50, 70), n_labelled=30, after=after, corrected=corrected)
    assert store.add_query(run_id, now, None)
    open_query = store.log(run_id).open_query
    assert open_query is not None and open_query.corrected == corrected


def test_a_summary_agrees_with_the_log(store: Store, run_id: str) -> None:
    correct(store, run_id, 3, None)
    correct(store, run_id, 50, 6)
    correct(store, run_id, 4, None)
    correct(store, run_id, 4, 1)
    correct(store, run_id, 55, None)
    store.add_step(run_id, new_result(39, store.log(run_id).after, 0.5, 5))
    row = store.run(run_id)
    experiment = store.experiments.create("", row.spec.protocol, ["bald"], [1], False, [run_id])
    ((summary, _),) = store.experiments.summaries(experiment.experiment_id)
    log = store.log(run_id)
    for name in summary.__dataclass_fields__:
        assert getattr(summary, name) == getattr(log, name), name


# What is fitted


def finish(store: Store, run_id: str, wait: Callable[[], None] = lambda: None) -> list[int]:
    return [step.n_labelled for step in advance(Workbench(store), run_id, wait)]


def label(store: Store, run_id: str, dataset: ImageDataset, wrong: tuple[int, ...] = ()) -> Query:
    """The right labels, but for the images at these places of the ranking, which are 0 or 1."""
    query = store.log(run_id).open_query
    assert query is not None
    right = {image_id: int(dataset.labels[image_id]) for image_id in query.shown()}
    given = {
        image_id: int(right[image_id] == 0) if place in wrong else right[image_id]
        for place, image_id in enumerate(query.shown())
    }
    answers = [Answer(image_id, digit) for image_id, digit in given.items()]
    assert store.submit(query.query_id, answers, annotator="ann", source="person").status == "saved"
    return query


def test_the_next_fit_has_the_corrected_labels(store: Store, mnist5k: ImageDataset) -> None:
    """A label corrected before the next fit is as good as one right from the start."""
    corrected, right = (
        experiment_kit.new_run(store, mnist5k, person=True).run_id for _ in range(2)
    )
    for run_id, wrong in ((corrected, (0, 3)), (right, ())):
        finish(store, run_id)
        label(store, run_id, mnist5k, wrong)
    query = store.log(corrected).queries[store.log(corrected).submissions[0].query_id]
    for place in (0, 3):
        image_id = query.shown()[place]
        correct(store, corrected, image_id, int(mnist5k.labels[image_id]))
    for run_id in (corrected, right):
        assert finish(store, run_id) == [30]
    assert experiment_kit.measures(store, corrected) == experiment_kit.measures(store, right)
    log = store.log(corrected)
    assert log.steps[-1].corrected == log.corrected == 2
    assert log.open_query is not None and log.open_query.corrected == 2
    assert not any(log.is_before_correction(step) for step in log.steps)


def test_a_fit_whose_labels_are_corrected_is_restarted(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = experiment_kit.new_run(store, mnist5k, person=True).run_id
    finish(store, run_id)
    query = label(store, run_id, mnist5k, wrong=(0,))
    fits = []
    fit = BayesianCNNLearner.fit

    def spy(
        learner: BayesianCNNLearner, labelled: Labelled, watch: Watch | None = None
    ) -> FittedCNN:
        fits.append(labelled.corrected)
        return fit(learner, labelled, watch)

    monkeypatch.setattr(BayesianCNNLearner, "fit", spy)
    calls = iter(range(10_000))

    def in_the_first_epoch() -> None:
        if next(calls) == 0:
            image_id = query.shown()[0]
            correct(store, run_id, image_id, int(mnist5k.labels[image_id]))

    assert finish(store, run_id, in_the_first_epoch) == [30]
    assert fits == [0, 1]
    assert store.log(run_id).steps[-1].corrected == 1


def test_a_finished_run_is_measured_once_more_and_the_rest_of_its_curve_stays(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = experiment_kit.new_run(store, mnist5k, person=True).run_id
    while not (finish(store, run_id) and store.log(run_id).n_submissions == 2):
        label(store, run_id, mnist5k, wrong=(0,))
    before = store.log(run_id)
    image_id = before.queries[before.submissions[0].query_id].shown()[0]
    correct(store, run_id, image_id, int(mnist5k.labels[image_id]))
    assert finish(store, run_id) == [40]
    assert finish(store, run_id) == []
    log = store.log(run_id)
    assert log.steps[:2] == before.steps[:2]
    assert log.steps[2].corrected == 1 and before.steps[2].corrected == 0
    assert [log.is_before_correction(step) for step in log.steps] == [False, True, False]
    assert log.open_query is None


def test_a_stored_model_from_before_a_correction_is_fitted_again(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = experiment_kit.new_run(store, mnist5k, person=True, n_acquisition_steps=1).run_id
    finish(store, run_id)
    query = label(store, run_id, mnist5k, wrong=(0,))
    finish(store, run_id)
    weights = run_dir(store.home, run_id) / "weights.safetensors"
    before = weights.read_bytes()
    correct(store, run_id, query.shown()[0], int(mnist5k.labels[query.shown()[0]]))
    assert finish(store, run_id) == [30]
    assert weights.read_bytes() != before
