"""The report's learner: fit, query, evaluate, inspect, on the labels it is given."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch

from dal_core.acquisition import registry
from dal_core.acquisition.registry import scorer
from dal_core.data.base import ImageDataset
from dal_core.learner.bayesian_cnn import BayesianCNNLearner
from dal_core.models.networks import LeNet5
from dal_core.posterior import base as posterior
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.run import oracle
from dal_core.run.events import RANKING_KEPT, Query
from dal_core.training.loop import Epoch, Training, train
from tests import fast, reference

NAMES = sorted(registry.names())


def asked(run: fast.Run) -> Query:
    """Fit and ask."""
    run.fit()
    query, _ = run.query()
    return query


def truth(run: fast.Run, query: Query) -> dict[int, int | None]:
    return {answer.image_id: answer.label for answer in oracle.answer(query, run.learner.dataset)}


# -- a whole run ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_five_steps_keep_labels_pool_and_steps_consistent(mnist5k: ImageDataset, name: str) -> None:
    run = fast.run(mnist5k, name)
    done = fast.steps(run, 5)
    assert [result.step for result, _ in done] == [0, 1, 2, 3, 4]
    assert [result.n_labelled for result, _ in done] == [20, 30, 40, 50, 60]
    assert [query.n_labelled for _, query in done] == [20, 30, 40, 50, 60]
    assert [query.after for _, query in done] == [result.after for result, _ in done]
    assert run.labelled.n_labelled == 70

    queried = [image_id for _, query in done for image_id in query.shown()]
    assert len(set(queried)) == 50
    ids, labels = run.training_set()
    assert ids.tolist() == [*run.learner.split.initial.tolist(), *queried]
    assert (labels == mnist5k.labels[ids]).all()
    pool = set(run.pool().tolist())
    assert pool == set(run.learner.split.pool.tolist()) - set(queried)
    assert not pool & {*run.learner.split.test.tolist(), *run.learner.split.validation.tolist()}


@pytest.mark.parametrize("name", NAMES)
def test_every_function_starts_from_the_same_split_and_the_same_accuracy(
    mnist5k: ImageDataset, name: str
) -> None:
    one, other = (fast.run(mnist5k, n, test_subset_size=100) for n in ("bald", name))
    assert one.learner.split.sizes() == other.learner.split.sizes()
    for role in one.learner.split.sizes():
        assert np.array_equal(getattr(one.learner.split, role), getattr(other.learner.split, role))
    one.fit()
    other.fit()
    assert fast.measured(one.evaluate()) == fast.measured(other.evaluate())


@pytest.mark.parametrize("name", ["bald", "variation_ratios", "random"])
def test_two_learners_of_one_spec_agree_to_the_last_bit(mnist5k: ImageDataset, name: str) -> None:
    changes: dict[str, Any] = {"weights": "best", "dropout": [0.5, 0.3]}
    one, other = (fast.run(mnist5k, name, **changes) for _ in range(2))
    for (mine, query), (theirs, again) in zip(
        fast.steps(one, 3), fast.steps(other, 3), strict=True
    ):
        assert fast.measured(mine) == fast.measured(theirs)
        assert (query.ranking, query.scores) == (again.ranking, again.scores)
        assert query.query_id != again.query_id


def test_measuring_before_or_after_asking_makes_no_difference(mnist5k: ImageDataset) -> None:
    one, other = (fast.run(mnist5k) for _ in range(2))
    one.fit()
    other.fit()
    before, query = fast.measured(one.evaluate()), one.query()[0]
    again, after = other.query()[0], fast.measured(other.evaluate())
    assert before == after
    assert query.ranking == again.ranking


def test_runs_of_different_seeds_differ(mnist5k: ImageDataset) -> None:
    one, other = (asked(fast.run(mnist5k, seed=seed)) for seed in (1, 2))
    assert one.ranking != other.ranking


# -- asking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(reference.SCORES))
def test_a_query_holds_the_highest_scores_of_the_subset(
    mnist5k: ImageDataset, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fast.run(mnist5k, name)
    run.fit()
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(run.learner, "_passes", spy(run.learner._passes, seen))
    query, probs = run.query()

    everything = torch.cat(seen, dim=1).numpy().astype(float)  # [T, 300, C]
    subset = run.step_pool().tolist()
    assert everything.shape == (4, 300, 10)
    expected = {i: reference.SCORES[name](everything, n) for n, i in enumerate(subset)}
    best = sorted(expected.values(), reverse=True)[:RANKING_KEPT]
    assert len(set(query.ranking)) == len(query.ranking) == RANKING_KEPT
    np.testing.assert_allclose(query.scores, best, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        [expected[i] for i in query.ranking], query.scores, rtol=1e-4, atol=1e-5
    )

    assert probs is not None
    assert probs.shape == (4, 20, 10)  # the ten shown and a reserve of ten
    np.testing.assert_allclose(
        scorer(name)(torch.from_numpy(probs)).numpy(), query.scores[:20], rtol=1e-4, atol=1e-6
    )


def spy(passes: Any, seen: list[torch.Tensor]) -> Any:
    def spied(*args: Any) -> Any:
        for chunk in passes(*args):
            seen.append(chunk)
            yield chunk

    return spied


def test_equal_scores_are_not_ordered_by_their_place_in_the_subset(mnist5k: ImageDataset) -> None:
    """One pass agrees with itself, so every variation ratio is 0."""
    rankings = {}
    for ties in ("random", "first"):
        run = fast.run(mnist5k, "variation_ratios", num_mc_samples=1, ties=ties)
        query = asked(run)
        assert set(query.scores) == {0.0}
        rankings[ties] = query.ranking
    subset = tuple(run.step_pool()[:RANKING_KEPT].tolist())
    assert rankings["first"] == subset
    assert rankings["random"] != subset
    again = fast.run(mnist5k, "variation_ratios", num_mc_samples=1)
    assert asked(again).ranking == rankings["random"]


@pytest.mark.parametrize("name", ["bald", "bald_coverage", "random"])
def test_what_was_asked_meanwhile_is_left_out_and_changes_no_sample(
    mnist5k: ImageDataset, name: str
) -> None:
    run = fast.run(mnist5k, name)
    run.fit()
    alone, passes = run.query()
    outside = [int(i) for i in run.pool() if i not in set(run.step_pool().tolist())][:2]
    asked = {*alone.ranking[:3], *outside}
    query, probs = run.query(asked=asked)
    assert len(query.ranking) == RANKING_KEPT
    assert not asked.intersection(query.ranking)
    if name == "bald":
        assert query.ranking[:97] == alone.ranking[3:]
        assert query.scores[:97] == alone.scores[3:]
        assert passes is not None and probs is not None
        assert np.array_equal(probs[:, :17], passes[:, 3:])


def test_with_all_of_the_pool_asked_there_is_still_a_ranking(mnist5k: ImageDataset) -> None:
    run = fast.run(mnist5k)
    run.fit()
    assert run.query(asked=run.pool().tolist())[0].ranking == run.query()[0].ranking


def test_random_makes_no_forward_pass(
    mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fast.run(mnist5k, "random")
    run.fit()
    calls: list[str] = []
    for part in ("trunk", "head"):
        monkeypatch.setattr(LeNet5, part, lambda *_, part=part: calls.append(part))
    query, probs = run.query()
    assert calls == []
    assert probs is None
    assert all(0 <= score < 1 for score in query.scores)
    monkeypatch.undo()
    assert run.evaluate().seconds["score"] == 0


def test_seconds_are_recorded_by_part(mnist5k: ImageDataset) -> None:
    run = fast.run(mnist5k)
    run.fit()
    unasked = run.evaluate().seconds
    assert set(unasked) == {"train", "evaluate", "score"}
    assert unasked["score"] == 0 < unasked["train"]
    run.query()
    assert run.evaluate().seconds["score"] > 0


def test_subsets_are_the_same_for_every_function_and_new_at_every_step(
    mnist5k: ImageDataset,
) -> None:
    one, other = (fast.run(mnist5k, name) for name in ("bald", "random"))
    assert np.array_equal(one.step_pool(), other.step_pool())
    before = one.step_pool()
    fast.steps(one, 1)
    fast.steps(other, 1)

    mine, theirs = one.step_pool().tolist(), other.step_pool().tolist()
    assert len(mine) == len(theirs) == 300
    common = set(mine) & set(theirs)
    assert len(common) >= 290  # apart by at most the ten images that each has asked for
    assert [i for i in mine if i in common] == [i for i in theirs if i in common]
    assert len(set(mine) & set(before.tolist())) < 60  # a new draw of 300 of 4,680

    for n in (20, 30, 40):
        assert np.array_equal(one.learner.test_subset(n), other.learner.test_subset(n))
        assert len(set(one.learner.test_subset(n).tolist())) == 100
        assert set(one.learner.test_subset(n).tolist()) <= set(one.learner.split.test.tolist())
    assert set(one.learner.test_subset(20).tolist()) != set(one.learner.test_subset(30).tolist())


def test_size_all_scores_the_whole_pool_and_measures_on_the_whole_test_set(
    mnist5k: ImageDataset,
) -> None:
    run = fast.run(mnist5k, pool_subset_size="all", test_subset_size="all")
    assert np.array_equal(np.sort(run.step_pool()), run.learner.split.pool)
    assert np.array_equal(np.sort(run.learner.test_subset(20)), run.learner.split.test)


def test_a_pool_smaller_than_the_subset_is_scored_whole_until_it_is_empty(
    mnist5k: ImageDataset,
) -> None:
    few = fast.few_images(mnist5k, 20)
    sizes: dict[str, Any] = {"val_size": 20, "test_size": 20, "test_subset_size": 20}
    run = fast.run(few, pool_subset_size=140, n_samples_to_acquire=60, **sizes)
    shown: list[int] = []
    for left in (140, 80, 20):
        query = asked(run)
        assert len(run.step_pool()) == left
        assert len(query.ranking) == min(left, RANKING_KEPT)
        shown += query.shown()
        run.answer(truth(run, query))
    assert sorted(shown) == run.learner.split.pool.tolist()
    run.fit()
    with pytest.raises(ValueError, match="pool is empty"):
        run.query()


# -- measuring ------------------------------------------------------------------------------------


def test_evaluation_equals_the_loops_over_the_same_passes(
    mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posterior, "CHUNK", 250)  # so that there are three
    run = fast.run(mnist5k, test_size=600, test_subset_size=520)
    run.fit()
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(run.learner, "_passes", spy(run.learner._passes, seen))
    result = run.evaluate()

    probs, ids = torch.cat(seen, dim=1).numpy().astype(float), run.learner.test_subset(20)
    assert probs.shape == (4, 520, 10)
    means = [reference.mean_over_passes(probs, n) for n in range(520)]
    correct = [int(np.argmax(m)) == mnist5k.labels[i] for m, i in zip(means, ids, strict=True)]
    information = [reference.bald(probs, n) for n in range(520)]
    assert result.accuracy == sum(correct) / 520
    assert result.mutual_information == pytest.approx(sum(information) / 520, rel=1e-4)
    calibrated = reference.calibration(np.array(means), mnist5k.labels[ids].tolist())
    assert (result.nll, result.brier, result.ece) == pytest.approx(calibrated, rel=1e-4)
    assert len(seen) == 3


def test_the_validation_loss_is_measured_only_where_the_best_weights_are_kept(
    mnist5k: ImageDataset,
) -> None:
    for weights, measures in (("best", True), ("last", False)):
        run = fast.run(mnist5k, weights=weights)
        run.fit()
        result = run.evaluate()
        assert (result.val_loss is not None) is (result.best_epoch is not None) is measures


def test_inspecting_images_gives_the_same_passes_each_time(mnist5k: ImageDataset) -> None:
    run = fast.run(mnist5k)
    run.fit()
    passes = run.learner.inspect(run.fitted, [5, 3, 4000])
    assert passes.shape == (4, 3, 10)
    assert np.array_equal(passes, run.learner.inspect(run.fitted, [5, 3, 4000]))


def test_progress_is_reported_while_scoring_and_while_measuring(
    mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posterior, "CHUNK", 250)
    run, seen = fast.run(mnist5k), list[tuple[int, int]]()
    run.fit()
    run.query(lambda done, total: seen.append((done, total)))
    run.evaluate(lambda done, total: seen.append((done, total)))
    assert seen == [(250, 300), (300, 300), (100, 100)]


# -- answering ------------------------------------------------------------------------------------


def test_deliberately_wrong_answers_are_the_labels_that_are_learnt(mnist5k: ImageDataset) -> None:
    run = fast.run(mnist5k)
    shown = asked(run).shown()
    wrong = {image_id: int(mnist5k.labels[image_id] + 1) % 10 for image_id in shown}
    run.answer(wrong)
    ids, labels = run.training_set()
    assert dict(zip(ids.tolist(), labels.tolist(), strict=True)) == {
        **{i: int(mnist5k.labels[i]) for i in run.learner.split.initial.tolist()},
        **wrong,
    }
    # and the model is another than the one that learns the truth
    run.fit()
    believing = fast.weights(run.fitted)
    run.undo()
    run.answer({i: int(mnist5k.labels[i]) for i in shown})
    run.fit()
    assert not fast.same(believing, fast.weights(run.fitted))


def test_the_order_of_typing_does_not_matter(mnist5k: ImageDataset) -> None:
    one, other = (fast.run(mnist5k) for _ in range(2))
    for run, step in ((one, 1), (other, -1)):
        query = asked(run)
        run.answer(dict(list(truth(run, query).items())[::step]))
        assert run.training_set()[0].tolist()[20:] == list(query.shown())
        run.fit()
    assert fast.same(fast.weights(one.fitted), fast.weights(other.fitted))


def test_a_fit_depends_on_the_labels_and_not_on_who_asked_for_them(mnist5k: ImageDataset) -> None:
    one, other = (fast.run(mnist5k, name) for name in ("bald", "random"))
    query = asked(one)
    one.answer(truth(one, query))
    other.with_labels_of(one)
    one.fit()
    other.fit()
    assert fast.same(fast.weights(one.fitted), fast.weights(other.fitted))


def test_an_initial_image_drawn_twice_counts_twice_and_leaves_the_pool_once(
    mnist5k: ImageDataset,
) -> None:
    few = fast.few_images(mnist5k, 15)
    sizes: dict[str, Any] = {
        "val_size": 10,
        "test_size": 10,
        "test_subset_size": 5,
        "pool_subset_size": 50,
    }
    learners = (
        fast.run(few, seed=seed, initial_with_replacement=True, **sizes) for seed in range(50)
    )
    run = next(one for one in learners if len(set(one.learner.split.initial.tolist())) < 20)
    ids, labels = run.training_set()
    assert len(ids) == len(labels) == run.labelled.n_labelled == 20
    assert len(run.pool()) == 150 - 10 - 10 - len(set(ids.tolist()))
    fast.steps(run, 1)
    assert run.labelled.n_labelled == 30


# -- skipping -------------------------------------------------------------------------------------


def test_skipped_images_leave_the_pool_without_a_label(mnist5k: ImageDataset) -> None:
    run = fast.run(mnist5k)
    query = asked(run)
    gone = query.shown()[4]
    shown = query.shown((gone,))
    assert shown == tuple(i for i in query.ranking[:11] if i != gone)
    run.answer({gone: None, **{i: int(mnist5k.labels[i]) for i in shown}})
    assert run.labelled.skipped == {gone}
    assert run.labelled.n_labelled == 30
    labelled, pool = set(run.training_set()[0].tolist()), set(run.pool().tolist())
    assert not {gone} & (labelled | pool)
    assert not labelled & pool
    assert len(pool) == len(run.learner.split.pool) - 11
    assert gone not in asked(run).ranking


def test_all_may_be_skipped_and_the_next_query_asks_for_others(mnist5k: ImageDataset) -> None:
    run = fast.run(mnist5k)
    query = asked(run)
    run.answer(dict.fromkeys(query.ranking))
    assert (run.labelled.n_labelled, run.labelled.step) == (20, 1)
    assert not set(asked(run).ranking) & set(query.ranking)


# -- undoing and replaying ------------------------------------------------------------------------


def test_undo_then_the_same_answers_equals_never_undone(mnist5k: ImageDataset) -> None:
    straight, undone = (fast.run(mnist5k) for _ in range(2))
    fast.steps(straight, 2)
    fast.steps(undone, 1)
    query = asked(undone)
    undone.answer(truth(undone, query))
    undone.fit()
    again = undone.undo()
    assert again.query_id != query.query_id
    assert (again.ranking, again.scores, again.after) == (query.ranking, query.scores, query.after)
    assert undone.labelled.n_labelled == 30
    undone.answer(truth(undone, again))

    straight.fit()
    undone.fit()
    assert fast.same(fast.weights(straight.fitted), fast.weights(undone.fitted))
    assert fast.measured(straight.evaluate()) == fast.measured(undone.evaluate())
    assert straight.query()[0].ranking == undone.query()[0].ranking


def test_undo_gives_back_everything_that_was_answered(mnist5k: ImageDataset) -> None:
    run = fast.run(mnist5k)
    pool = run.pool().tolist()
    query = asked(run)
    gone = query.shown()[0]
    run.answer({gone: None, **dict.fromkeys(query.shown((gone,)), 3)})
    run.fit()
    again = run.undo()
    assert (run.labelled.n_labelled, run.labelled.step, run.labelled.after) == (20, 0, 0)
    assert run.labelled.skipped == set()
    assert run.pool().tolist() == pool
    assert again.shown() == query.shown()
    with pytest.raises(ValueError, match="fitted to other labels; call fit"):
        run.query()


def test_another_answer_after_undo_replaces_the_first(mnist5k: ImageDataset) -> None:
    run = fast.run(mnist5k)
    shown = asked(run).shown()
    run.answer(dict.fromkeys(shown, 3))
    run.undo()
    run.answer(dict.fromkeys(shown, 4))
    assert run.training_set()[1].tolist()[20:] == [4] * 10


def test_a_replayed_run_continues_as_the_uninterrupted_one(mnist5k: ImageDataset) -> None:
    live, resumed = (fast.run(mnist5k) for _ in range(2))
    fast.steps(live, 2)
    query = asked(live)
    resumed.with_labels_of(live)
    assert fast.same(list(live.training_set()), list(resumed.training_set()))
    labelled = resumed.labelled
    assert (labelled.step, labelled.n_labelled, labelled.after) == (2, 40, live.labelled.after)
    assert np.array_equal(live.pool(), resumed.pool())

    resumed.answer(truth(resumed, query))  # the open query came along, and needs no model
    live.answer(truth(live, query))
    for mine, theirs in zip(fast.steps(live, 2), fast.steps(resumed, 2), strict=True):
        assert fast.measured(mine[0]) == fast.measured(theirs[0])
        assert mine[1].ranking == theirs[1].ranking
    live.fit()
    resumed.fit()
    assert fast.same(fast.weights(live.fitted), fast.weights(resumed.fitted))


# -- fitting --------------------------------------------------------------------------------------


def test_a_model_fitted_to_other_labels_cannot_ask(mnist5k: ImageDataset) -> None:
    run = fast.run(mnist5k)
    fast.steps(run, 1)
    with pytest.raises(ValueError, match="fitted to other labels; call fit"):
        run.query()
    run.fit()
    assert run.query()[0].n_labelled == 30


def test_a_model_of_another_learner_is_refused(mnist5k: ImageDataset) -> None:
    class Stranger:
        n_labelled, after, corrected = 20, 0, 0
        seconds = MappingProxyType({"train": 1.0})

        def dump(self) -> Any:
            raise NotImplementedError

    with pytest.raises(TypeError, match="a Stranger, which this learner did not fit"):
        fast.learner(mnist5k).evaluate(Stranger())


def test_a_stopped_fit_leaves_the_learner_unchanged(mnist5k: ImageDataset) -> None:
    class Enough(Exception):
        pass

    def watch(epoch: Epoch) -> None:
        if epoch.number == 3:
            raise Enough

    run, other = (fast.run(mnist5k) for _ in range(2))
    with pytest.raises(Enough):
        run.fit(watch)
    assert run.model is None
    run.fit()
    other.fit()
    assert fast.same(fast.weights(run.fitted), fast.weights(other.fitted))


def test_every_step_has_initial_weights_and_training_masks_of_its_own(
    mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def spied(model: LeNet5, *args: Any, **more: Any) -> Training:
        used.append((model.dense3.weight.detach().numpy().tobytes(), args[3].initial_seed()))
        return train(model, *args, **more)

    monkeypatch.setattr("dal_core.posterior.network.train", spied)
    for name in ("bald", "random"):
        fast.steps(fast.run(mnist5k, name), 3)
    bald, random = used[:3], used[3:]
    assert bald == random  # paired across functions
    assert [len(set(values)) for values in zip(*bald, strict=True)] == [3, 3]


def test_the_full_data_bound_trains_on_everything_and_asks_for_nothing(
    mnist5k: ImageDataset,
) -> None:
    few = fast.few_images(mnist5k, 30)
    sizes: dict[str, Any] = {"val_size": 20, "test_size": 60, "test_subset_size": 20}
    work: dict[str, Any] = {"pool_subset_size": "all", "full_data_batch_size": 64}
    run, again = (fast.run(few, FULL_DATA, **sizes, **work) for _ in range(2))
    assert (run.labelled.n_labelled, len(run.pool())) == (300 - 20 - 60, 0)
    assert len(run.learner.test_subset(220)) == 60
    run.fit()
    again.fit()
    assert fast.same(fast.weights(run.fitted), fast.weights(again.fitted))
    with pytest.raises(ValueError, match="pool is empty"):
        run.query()
    batched = fast.weights(run.fitted)
    whole = fast.run(few, FULL_DATA, **sizes, **{**work, "full_data_batch_size": 220})
    whole.fit()
    assert not fast.same(batched, fast.weights(whole.fitted))


def test_a_run_is_refused_on_other_data_than_its_own(mnist5k: ImageDataset) -> None:
    few = fast.few_images(mnist5k, 60)
    spec = RunSpec(few.fingerprint, fast.protocol(), "bald", 1)
    with pytest.raises(ValueError, match=f"fingerprint is {few.fingerprint[:12]}") as error:
        BayesianCNNLearner(spec, mnist5k)
    assert "\n" not in str(error.value)
