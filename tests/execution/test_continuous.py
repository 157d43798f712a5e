"""Continuous mode: the next query comes with the answers, from the newest finished model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from dal_core.data.base import ImageDataset
from dal_core.execution import worker_process
from dal_core.execution.job import Workbench, advance
from dal_core.execution.predictions import load_predictions
from dal_core.experiments import control
from dal_core.learner.bayesian_cnn import BayesianCNNLearner
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import Answer, Query
from dal_core.run.labelled import Labelled
from dal_core.store.base import Store
from dal_core.store.home import run_dir
from dal_core.store.opening import open_store
from dal_core.store.sqlite import schema
from dal_core.store.sqlite.commands import SqliteStore
from dal_core.training.loop import Watch
from tests import experiment_kit
from tests.store_kit import N_INITIAL, answers_to, give, new_query, new_result, new_run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def run_id(store: Store) -> str:
    """A person's continuous run whose first model has ranked images 0 to 99."""
    run_id = new_run(store, kind="person", mode="continuous").run_id
    assert rank(store, run_id, range(100))
    return run_id


def rank(
    store: Store,
    run_id: str,
    ranking: range,
    after: int = 0,
    n_labelled: int = N_INITIAL,
    probs: np.ndarray | None = None,
) -> bool:
    query = new_query(ranking, n_labelled=n_labelled, after=after)
    return store.add_ranking(run_id, query, probs)


def opened(store: Store, run_id: str) -> Query:
    query = store.log(run_id).open_query
    assert query is not None
    return query


def after(store: Store, run_id: str) -> int:
    return store.log(run_id).after


# Asking


def test_the_first_ranking_opens_the_first_query(store: Store, run_id: str) -> None:
    query = opened(store, run_id)
    assert (query.ranking, query.batch_size) == (tuple(range(100)), 10)
    assert (query.asked_by, query.n_labelled, query.after) == (20, 20, 0)


def test_an_answer_opens_the_next_query_from_the_ranking_there_is(
    store: Store, run_id: str
) -> None:
    first = opened(store, run_id)
    give(store, first, answers_to(first, skipped=[4]))
    query = opened(store, run_id)
    assert query.ranking == tuple(range(11, 100))  # 0 to 10 were answered, 4 of them skipped
    assert query.scores == first.scores[11:]
    assert (query.asked_by, query.n_labelled) == (20, 30)
    assert query.after == after(store, run_id)


def test_the_newest_ranking_asks_next_and_an_open_query_stays(store: Store, run_id: str) -> None:
    give(store, opened(store, run_id))
    state, shown = after(store, run_id), opened(store, run_id)
    assert rank(store, run_id, range(5, 205), state, 30)
    assert opened(store, run_id) == shown  # a person may be looking at it
    give(store, shown)
    query = opened(store, run_id)
    assert query.ranking == tuple(range(20, 205))
    assert (query.asked_by, query.n_labelled) == (30, 40)


def test_with_too_few_images_left_the_next_model_is_waited_for(store: Store, run_id: str) -> None:
    for _ in range(9):
        give(store, opened(store, run_id))
    give(store, opened(store, run_id), answers_to(opened(store, run_id), skipped=[]))
    assert store.log(run_id).open_query is None  # all hundred were answered
    assert rank(store, run_id, range(200, 300), after(store, run_id), 120)
    assert opened(store, run_id).ranking == tuple(range(200, 300))


def test_an_overtaken_ranking_with_less_than_a_batch_left_asks_nothing(store: Store) -> None:
    run_id = new_run(store, kind="person", mode="continuous").run_id
    rank(store, run_id, range(15))
    give(store, opened(store, run_id))
    assert store.log(run_id).open_query is None
    rank(store, run_id, range(50, 53), after(store, run_id), 30)  # the whole pool, and of now
    assert opened(store, run_id).shown() == (50, 51, 52)


def test_the_oracles_answers_open_nothing(store: Store, run_id: str) -> None:
    query = opened(store, run_id)
    store.submit(query.query_id, answers_to(query), annotator="oracle", source="oracle")
    assert store.log(run_id).open_query is None


def test_nothing_is_asked_after_the_end(store: Store) -> None:
    run_id = new_run(store, kind="person", mode="continuous", until_labels=45).run_id
    rank(store, run_id, range(100))
    give(store, opened(store, run_id))
    give(store, opened(store, run_id))
    assert store.log(run_id).n_labelled == 40
    assert store.log(run_id).open_query is None


def test_a_strict_run_has_no_rankings_and_asks_nothing_by_itself(store: Store) -> None:
    run_id = new_run(store, kind="person").run_id
    with pytest.raises(ValueError, match="is strict; allowed: a continuous one"):
        rank(store, run_id, range(100))
    query = new_query()
    store.add_query(run_id, query, None)
    give(store, query)
    assert store.log(run_id).open_query is None


def test_undo_asks_the_same_again_and_forgets_the_ranking_of_the_model_that_saw_it(
    store: Store, run_id: str
) -> None:
    first = opened(store, run_id)
    give(store, first)
    state = after(store, run_id)
    rank(store, run_id, range(300, 400), state, 30)
    assert store.undo(run_id).ranking == first.ranking
    assert opened(store, run_id).shown() == first.shown()
    give(store, opened(store, run_id))
    assert opened(store, run_id).ranking == tuple(range(10, 100))
    assert not rank(store, run_id, range(300, 400), state, 30)  # it reports too late


def test_a_correction_leaves_the_next_ten_as_they_are(store: Store, run_id: str) -> None:
    give(store, opened(store, run_id))
    query = opened(store, run_id)
    store.correct(run_id, 3, 9, annotator="ann")
    assert opened(store, run_id) == query
    assert not store.log(run_id).is_ranked


def test_a_query_has_the_matrices_of_its_own_images_as_far_as_they_were_kept(
    store: Store,
) -> None:
    run_id = new_run(store, kind="person", mode="continuous").run_id
    probs = np.random.default_rng(0).random((3, 60, 10), dtype=np.float32)
    rank(store, run_id, range(100), probs=probs)
    for start, stop in ((0, 20), (11, 31), (21, 41), (31, 51), (41, 60), (51, 60)):
        query = opened(store, run_id)
        shown = store.shown_probs(query.query_id)
        assert shown is not None and np.array_equal(shown, probs[:, start:stop])
        skipped = [0] if start == 0 else []  # eleven images leave the pool then
        give(store, query, answers_to(query, skipped))
    assert store.shown_probs(opened(store, run_id).query_id) is None


def test_only_the_newest_ranking_keeps_its_matrices(store: Store, run_id: str) -> None:
    for _ in range(2):
        rank(store, run_id, range(100), probs=np.zeros((2, 100, 10), dtype=np.float32))
    with SqliteStore(store.home)._reading.connect() as connection:
        kept = connection.scalars(select(schema.rankings.c.npy)).all()
    assert [npy is not None for npy in kept] == [False, False, True]


@pytest.mark.parametrize(
    ("ranking", "n_labelled", "message"),
    [
        (range(0), 20, "ranking has 0 images"),
        ((1, 2, 1), 20, "image 1 is ranked twice"),
        (range(10), 30, "n_labelled is 30; after submission 0 it is 20"),
    ],
)
def test_a_ranking_that_contradicts_its_run_is_refused(
    store: Store, run_id: str, ranking: range, n_labelled: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rank(store, run_id, ranking, n_labelled=n_labelled)


# Fitting


def person_run(
    store: Store, dataset: ImageDataset, acquisition: str = "bald", **changes: object
) -> str:
    protocol = experiment_kit.protocol(**changes)
    spec = RunSpec(dataset.fingerprint, protocol, acquisition, 1)
    return control.create_run(store, dataset, spec, person=True, mode="continuous").run_id


def finish(store: Store, run_id: str, wait: Callable[[], None] = lambda: None) -> list[int]:
    return [step.n_labelled for step in advance(Workbench(store), run_id, wait)]


def label(store: Store, run_id: str, dataset: ImageDataset) -> None:
    query = opened(store, run_id)
    answers = [Answer(i, int(dataset.labels[i]), 1.0) for i in query.shown()]
    assert store.submit(query.query_id, answers, annotator="ann", source="person").status == "saved"


def at_call(number: int, act: Callable[[], object]) -> Callable[[], None]:
    """A `wait` that does something the n-th time it is called (epochs first, then chunks)."""
    calls = iter(range(1, 100_000))

    def wait() -> None:
        if next(calls) == number:
            act()

    return wait


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Labels of every fit begun, in order."""
    begun: list[int] = []
    fit = BayesianCNNLearner.fit

    def spy(learner: BayesianCNNLearner, labelled: Labelled, watch: Watch) -> object:
        begun.append(labelled.n_labelled)
        return fit(learner, labelled, watch)

    monkeypatch.setattr(BayesianCNNLearner, "fit", spy)
    return begun


def test_a_model_that_is_overtaken_while_it_is_fitted_still_ranks_and_is_measured(
    store: Store, mnist5k: ImageDataset, fits: list[int]
) -> None:
    """Twenty labels come in during the fit on 30: that is finished, 40 is never fitted."""
    run_id = person_run(store, mnist5k, n_acquisition_steps=5)
    assert finish(store, run_id) == [20]
    label(store, run_id, mnist5k)

    def twice() -> None:
        label(store, run_id, mnist5k)
        label(store, run_id, mnist5k)

    assert finish(store, run_id, at_call(1, twice)) == [30, 50]
    assert fits == [20, 30, 50]
    log = store.log(run_id)
    assert [step.n_labelled for step in log.steps] == [20, 30, 50]
    assert [step.step for step in log.steps] == [0, 1, 3]
    asked_by = [log.queries[one.query_id].asked_by for one in log.submissions]
    assert asked_by == [20, 20, 20]
    label(store, run_id, mnist5k)  # asked before the models of 30 and 50 were there
    assert (opened(store, run_id).asked_by, opened(store, run_id).n_labelled) == (50, 60)


def test_fits_that_nobody_waits_for_do_not_keep_the_worker_of_those_who_wait(
    store: Store, mnist5k: ImageDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    """Answers come in faster than fits: after each the run goes back into the queue."""
    run_id = person_run(store, mnist5k, n_acquisition_steps=5)
    job = {"do": "work", "run": run_id, "steps": None}

    def answered() -> None:
        if store.log(run_id).is_asked and store.log(run_id).n_labelled < 40:
            label(store, run_id, mnist5k)

    for measured, n_labelled in ([20], 30), ([20, 30], 40), ([20, 30, 40], 40):
        worker_process.do(Workbench(store), job, answered)
        assert [step.n_labelled for step in store.log(run_id).steps] == measured
        said = json.loads(capsys.readouterr().out)
        assert (said["event"], said["n_labelled"]) == ("done", n_labelled)
        assert (said["more"], said["waits"]) == (measured[-1] < n_labelled, False)
    strict = experiment_kit.new_run(store, mnist5k, person=True).run_id
    worker_process.do(Workbench(store), job | {"run": strict}, lambda: None)
    said = json.loads(capsys.readouterr().out)
    assert (said["more"], said["waits"]) == (False, True)


def test_a_person_who_is_slower_than_the_fit_gets_every_point_of_the_strict_curve(
    store: Store, mnist5k: ImageDataset
) -> None:
    """The models are the strict ones; what they are asked for is one batch older."""
    run_id = person_run(store, mnist5k)
    while store.log(run_id).n_submissions < 2:
        finish(store, run_id)
        label(store, run_id, mnist5k)
    assert finish(store, run_id) == [40]
    assert finish(store, run_id) == []
    log = store.log(run_id)
    assert log.open_query is None
    assert [step.n_labelled for step in log.steps] == [20, 30, 40]
    strict = experiment_kit.new_run(store, mnist5k, person=True).run_id
    finish(store, strict)
    assert experiment_kit.measures(store, strict) == experiment_kit.measures(store, run_id)[:1]
    first = log.queries[log.submissions[0].query_id]
    asked = opened(store, strict)
    assert (asked.ranking, asked.scores) == (first.ranking, first.scores)


def rankings(store: Store, run_id: str) -> list[tuple[int, list[int]]]:
    """(number of labels, images) of every stored ranking, oldest first."""
    with SqliteStore(store.home)._reading.connect() as connection:
        rows = connection.execute(select(schema.rankings).order_by(schema.rankings.c.number))
        return [(row.n_labelled, row.ranking) for row in rows if row.run_id == run_id]


@pytest.mark.parametrize("acquisition", ["bald", "bald_coverage", "typiclust", "random"])
def test_a_model_chooses_without_what_is_labelled_skipped_or_on_the_screen(
    store: Store, mnist5k: ImageDataset, acquisition: str
) -> None:
    run_id = person_run(store, mnist5k, acquisition, n_acquisition_steps=4)
    finish(store, run_id)
    query = opened(store, run_id)
    give(store, query, answers_to(query, skipped=[query.ranking[2]]))
    shown = opened(store, run_id).shown()
    finish(store, run_id)
    n_labelled, ranking = rankings(store, run_id)[-1]
    assert n_labelled == 30
    assert not set(ranking).intersection((*query.shown([query.ranking[2]]), query.ranking[2]))
    assert not set(ranking).intersection(shown)
    assert opened(store, run_id).shown() == shown  # a person may be looking at it
    label(store, run_id, mnist5k)
    assert list(opened(store, run_id).ranking) == ranking  # its order from the first image on


def test_what_an_older_model_asks_meanwhile_makes_the_new_one_choose_again(
    store: Store, mnist5k: ImageDataset, fits: list[int]
) -> None:
    run_id = person_run(store, mnist5k, "bald_coverage", n_acquisition_steps=4)
    finish(store, run_id)
    label(store, run_id, mnist5k)
    n_epochs = experiment_kit.FAST["n_epochs"]
    # While the model of 30 labels scores, its pool known already, a batch is given.
    assert finish(store, run_id, at_call(n_epochs + 1, lambda: label(store, run_id, mnist5k)))
    of_30 = [ranking for n_labelled, ranking in rankings(store, run_id) if n_labelled == 30]
    log = store.log(run_id)
    on_screen = log.queries[log.submissions[-1].query_id], log.open_query
    assert fits == [20, 30, 40]
    assert len(of_30) == 2
    late = opened(store, run_id).shown()
    assert set(of_30[0]).intersection(late) and not set(of_30[1]).intersection(late)
    assert on_screen[1] is not None and on_screen[1].asked_by == 20


def test_of_an_order_without_prefix_property_three_batches_are_asked(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = person_run(store, mnist5k, "typiclust", n_acquisition_steps=5)
    finish(store, run_id)
    assert [len(ranking) for _, ranking in rankings(store, run_id)] == [30]
    label(store, run_id, mnist5k)
    label(store, run_id, mnist5k)
    label(store, run_id, mnist5k)
    assert store.log(run_id).open_query is None  # the next batch comes from a newer model
    finish(store, run_id)
    assert opened(store, run_id).asked_by == 50


@pytest.mark.parametrize("acquisition", ["bald", "random"])
def test_every_image_that_is_asked_can_be_explained(
    store: Store, mnist5k: ImageDataset, acquisition: str
) -> None:
    run_id = person_run(store, mnist5k, acquisition)
    finish(store, run_id)
    label(store, run_id, mnist5k)
    probs = store.shown_probs(opened(store, run_id).query_id)
    assert probs is not None and probs.shape == (2, 20, 10)
    assert np.allclose(probs.sum(-1), 1, atol=1e-5)


def test_a_fit_that_lost_its_labels_is_given_up_and_a_corrected_one_is_not(
    store: Store, mnist5k: ImageDataset, fits: list[int]
) -> None:
    run_id = person_run(store, mnist5k, n_acquisition_steps=5)
    finish(store, run_id)
    label(store, run_id, mnist5k)
    assert finish(store, run_id, at_call(1, lambda: store.undo(run_id))) == []
    assert fits == [20, 30]  # the model of 20 labels has ranked and was measured
    label(store, run_id, mnist5k)
    image_id = store.log(run_id).submissions[0].answers[0].image_id
    wrong = (int(mnist5k.labels[image_id]) + 1) % 10
    fits.clear()

    def correct() -> None:
        store.correct(run_id, image_id, wrong, annotator="ann")

    assert finish(store, run_id, at_call(1, correct)) == [30, 30]
    assert fits == [30, 30]  # before the correction, and with it
    (step,) = store.log(run_id).steps[1:]
    assert step.corrected == 1


def test_a_worker_that_dies_after_ranking_leaves_the_measurement_to_the_next(
    store: Store, mnist5k: ImageDataset, fits: list[int]
) -> None:
    class Killed(Exception):
        pass

    def kill() -> None:
        raise Killed

    run_id = person_run(store, mnist5k)
    with pytest.raises(Killed):  # two epochs, one chunk of the pool, the first of the test images
        finish(store, run_id, at_call(4, kill))
    assert opened(store, run_id).asked_by == 20
    assert finish(store, run_id) == [20]
    assert fits == [20]


def test_a_paused_continuous_run_still_takes_answers_and_goes_on_with_all_of_them(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = person_run(store, mnist5k, n_acquisition_steps=5)
    finish(store, run_id)
    store.set_directives(run_id, paused=True)
    label(store, run_id, mnist5k)
    label(store, run_id, mnist5k)
    assert finish(store, run_id) == []
    store.set_directives(run_id, paused=False)
    assert finish(store, run_id) == [40]


def test_the_oracle_can_take_over_and_hand_back(store: Store, mnist5k: ImageDataset) -> None:
    run_id = person_run(store, mnist5k, n_acquisition_steps=5)
    finish(store, run_id)
    label(store, run_id, mnist5k)
    store.set_directives(run_id, oracle_until=50)
    finish(store, run_id)
    log = store.log(run_id)
    assert [step.n_labelled for step in log.steps] == [20, 30, 40, 50]
    assert opened(store, run_id).asked_by == 50
    label(store, run_id, mnist5k)
    finish(store, run_id)
    assert store.log(run_id).steps[-1].n_labelled == 60


# Predictions


@pytest.mark.parametrize("mode", ["strict", "continuous"])
def test_the_beliefs_are_the_newest_models_of_all_that_was_answered(
    store: Store, mnist5k: ImageDataset, mode: str
) -> None:
    make = person_run if mode == "continuous" else strict_run
    run_id = make(store, mnist5k)
    folder = run_dir(store.home, run_id)
    finish(store, run_id)
    assert load_predictions(folder) is None  # nothing was answered yet
    query = opened(store, run_id)
    skipped, *shown = query.ranking[:11]
    answers = [Answer(skipped, None), *(Answer(i, int(mnist5k.labels[i])) for i in shown)]
    store.submit(query.query_id, answers, annotator="ann", source="person")
    finish(store, run_id)
    log, found = store.log(run_id), load_predictions(folder)
    assert found is not None
    assert found.image_ids.tolist() == [skipped, *shown]
    assert (found.n_labelled, found.after, found.corrected) == (30, log.after, 0)
    bench = Workbench(store)
    fitted = bench.fitted(log.run, bench.labelled(log))
    assert fitted is not None
    expected = bench.warm(log.run).learner.inspect(fitted, [skipped, *shown]).mean(0)
    assert np.array_equal(found.mean, expected)
    assert found.by_image()[skipped].tolist() == expected[0].tolist()


def strict_run(store: Store, dataset: ImageDataset) -> str:
    return experiment_kit.new_run(store, dataset, person=True).run_id


def test_the_beliefs_follow_a_correction_of_a_finished_run(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = experiment_kit.new_run(store, mnist5k, person=True, n_acquisition_steps=1).run_id
    finish(store, run_id)
    label(store, run_id, mnist5k)
    finish(store, run_id)
    before = load_predictions(run_dir(store.home, run_id))
    image_id = store.log(run_id).submissions[0].answers[0].image_id
    store.correct(run_id, image_id, None, annotator="ann")
    finish(store, run_id)
    now = load_predictions(run_dir(store.home, run_id))
    assert before is not None and now is not None
    assert (before.corrected, now.corrected, now.n_labelled) == (0, 1, 29)
    assert not np.array_equal(before.mean, now.mean)


def test_an_oracles_run_has_no_beliefs(store: Store, mnist5k: ImageDataset) -> None:
    run_id = experiment_kit.new_run(store, mnist5k).run_id
    finish(store, run_id)
    assert load_predictions(run_dir(store.home, run_id)) is None


@pytest.mark.parametrize("content", [b"", b"PK", b"predictions", None])
def test_beliefs_that_cannot_be_read_are_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "beliefs.npz").write_bytes(content)
    assert load_predictions(tmp_path) is None


def test_a_result_of_an_overtaken_state_is_taken(store: Store, run_id: str) -> None:
    give(store, opened(store, run_id))
    assert store.add_step(run_id, new_result())
