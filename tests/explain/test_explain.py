"""The explain page's numbers equal those of the run, and terms add up to scores."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from dal_core.acquisition import registry
from dal_core.data.base import ImageDataset
from dal_core.execution.checkpoints import FILE_NAME, save_fitted
from dal_core.execution.recompute import recompute
from dal_core.explain.parts import parts_of, settling
from dal_core.explain.passes import new_passes, scored_passes
from dal_core.explain.pool import PoolScores, ambiguous_image, disputed_image, place_of, score_pool
from dal_core.explain.step import ModelStep, newest_model, stored_models, stored_step
from dal_core.run.events import Answer
from dal_core.store.opening import open_store
from dal_ui.label import actions
from tests import fast
from tests.ui_kit import asked_run, open_query

# Functions that take the images with the highest scores.
FUNCTIONS = [entry.name for entry in registry.functions() if entry.choose is None]


@pytest.fixture(scope="module")
def fitted(mnist5k: ImageDataset) -> ModelStep:
    """Trained once; the tests only read it."""
    run = fast.run(mnist5k, pool_subset_size=700, num_mc_samples=8, n_epochs=30)
    fast.steps(run, 1)
    run.fit()
    return run.step


@pytest.fixture(scope="module")
def pool(fitted: ModelStep) -> PoolScores:
    return score_pool(fitted)


def passes(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)


# -- the pool ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("ties", ["random", "first"])
def test_the_ranking_is_the_one_a_run_with_that_function_asks_by(
    mnist5k: ImageDataset, name: str, ties: str
) -> None:
    run = fast.run(mnist5k, name, pool_subset_size=600, ties=ties, entropy_eps=1e-10)
    run.fit()
    query, _ = run.query()
    pool = score_pool(run.step)
    assert tuple(pool.ranking(name, 100).tolist()) == query.ranking
    scores = tuple(float(np.sort(pool.scores[name])[::-1][n]) for n in range(100))
    assert scores == query.scores


def test_a_pool_image_has_the_passes_behind_its_own_score(
    fitted: ModelStep, pool: PoolScores
) -> None:
    for position in (0, 499, 500, 699):  # both chunks, first and last image of each
        image_id = int(pool.image_ids[position])
        probs = scored_passes(fitted, image_id, pool.n_passes)
        assert probs is not None
        parts = parts_of(probs)
        for name, score in parts.scores.items():
            assert score == pytest.approx(float(pool.scores[name][position]), abs=1e-6), name
        assert parts.mean == pytest.approx(pool.mean[position], abs=1e-6)


def test_more_passes_leave_the_first_ones_as_they_are(fitted: ModelStep, pool: PoolScores) -> None:
    image_id = int(pool.image_ids[3])
    few, many = scored_passes(fitted, image_id, 8), scored_passes(fitted, image_id, 64)
    assert few is not None and many is not None
    assert many.shape == (64, 10)
    assert torch.allclose(few, many[:8], atol=1e-6)


def test_the_passes_of_a_query_are_those_stored_with_it(fitted: ModelStep) -> None:
    query, stored = fitted.learner.query(fitted.fitted, fitted.labelled)
    assert stored is not None
    for place, image_id in enumerate(query.shown()):
        probs = scored_passes(fitted, image_id, fitted.protocol.num_mc_samples)
        assert probs is not None
        assert probs.numpy() == pytest.approx(stored[:, place], abs=1e-6)


def test_an_image_that_was_not_scored_has_no_passes_of_the_run(fitted: ModelStep) -> None:
    assert scored_passes(fitted, int(fitted.split.test[0]), 8) is None
    assert scored_passes(fitted, int(fitted.split.initial[0]), 8) is None


def test_a_place_counts_the_better_and_the_equal_scores(pool: PoolScores) -> None:
    best = int(pool.ranking("bald", 1)[0])
    score = pool.score_of("bald", best)
    assert score is not None
    assert place_of(pool, "bald", score, best).rank == 1
    everyone = [place_of(pool, "bald", float(s), int(i)).rank for i, s in ranked(pool, "bald")]
    assert everyone == sorted(everyone)
    worst = place_of(pool, "variation_ratios", 0.0)
    assert worst.rank + worst.equal == worst.n_images == len(pool) + 1


def ranked(pool: PoolScores, name: str) -> list[tuple[int, float]]:
    ids = pool.ranking(name).tolist()
    return [(i, pool.score_of(name, i) or 0.0) for i in ids]


def test_the_examples_have_high_entropy_and_differ_in_bald(pool: PoolScores) -> None:
    ambiguous, disputed = ambiguous_image(pool), disputed_image(pool)
    limit = float(np.quantile(pool.scores["max_entropy"], 0.94))
    entropies = [pool.score_of("max_entropy", i) for i in (ambiguous, disputed)]
    assert all(e is not None and e >= limit for e in entropies)
    low, high = pool.score_of("bald", ambiguous), pool.score_of("bald", disputed)
    assert low is not None and high is not None and low < high


def test_an_empty_pool_has_no_examples(pool: PoolScores) -> None:
    empty = PoolScores(
        pool.image_ids[:0],
        {name: scores[:0] for name, scores in pool.scores.items()},
        pool.priority[:0],
        pool.mean[:0],
        8,
        30,
    )
    with pytest.raises(ValueError, match="the pool is empty"):
        ambiguous_image(empty)


# -- parts -------------------------------------------------------------------------------------


def test_passes_that_agree_have_entropy_but_no_mutual_information() -> None:
    parts = parts_of(passes([0.5, 0.5, 0.0], [0.5, 0.5, 0.0]))
    assert parts.entropy_of_mean == pytest.approx(math.log(2))
    assert parts.mean_of_entropies == pytest.approx(math.log(2))
    assert parts.scores["bald"] == pytest.approx(0.0, abs=1e-6)
    assert parts.spreads.tolist() == [0.0, 0.0, 0.0]


def test_passes_that_contradict_each_other_have_maximal_mutual_information() -> None:
    parts = parts_of(passes([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]))
    assert parts.scores["bald"] == pytest.approx(math.log(2))
    assert parts.mean_of_entropies == 0.0
    assert parts.votes.tolist() == [1, 1, 0]
    assert parts.scores["variation_ratios"] == pytest.approx(0.5)
    assert parts.spreads.tolist() == pytest.approx([0.5, 0.5, 0.0])


@pytest.mark.parametrize("eps", [0.0, 1e-10])
def test_the_parts_add_up_to_the_scores(fitted: ModelStep, pool: PoolScores, eps: float) -> None:
    probs = scored_passes(fitted, int(pool.ranking("bald", 1)[0]), 16)
    assert probs is not None
    parts = parts_of(probs, eps)
    scores = parts.scores
    assert parts.entropy_terms.sum() == pytest.approx(scores["max_entropy"], abs=1e-6)
    difference = parts.entropy_of_mean - parts.mean_of_entropies
    assert difference == pytest.approx(scores["bald"], abs=1e-6)
    assert 1 - parts.votes.max() / 16 == pytest.approx(scores["variation_ratios"])
    assert 1 - parts.mean.max() == pytest.approx(scores["variation_ratios_mean"], abs=1e-6)
    assert parts.spreads.mean() == pytest.approx(scores["mean_std"], abs=1e-6)
    assert parts.votes.sum() == 16
    assert set(scores) == set(FUNCTIONS) - {"random"}


def test_a_score_settles_at_its_value_after_all_passes(fitted: ModelStep, pool: PoolScores) -> None:
    probs = scored_passes(fitted, int(pool.image_ids[0]), 12)
    assert probs is not None
    line = settling(probs, "bald")
    assert len(line) == 12
    assert line[0] == pytest.approx(0.0, abs=1e-6)  # one pass has nobody to disagree with
    assert line[-1] == pytest.approx(parts_of(probs).scores["bald"], abs=1e-6)


def test_passes_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"probs is \[2, 3, 4\]"):
        parts_of(torch.zeros(2, 3, 4))


# -- passes of any image -----------------------------------------------------------------------


def test_without_dropout_all_passes_are_the_same(fitted: ModelStep, mnist5k: ImageDataset) -> None:
    probs = new_passes(fitted, mnist5k.images[0], 6, (0.0, 0.0))
    assert torch.equal(probs, probs[:1].expand(6, -1))


def test_more_dropout_spreads_the_passes(fitted: ModelStep, mnist5k: ImageDataset) -> None:
    little, much = (
        parts_of(new_passes(fitted, mnist5k.images[0], 64, (rate, rate))).spreads.mean()
        for rate in (0.05, 0.5)
    )
    assert much > little > 0


def test_the_same_call_gives_the_same_passes(fitted: ModelStep, mnist5k: ImageDataset) -> None:
    one, other = (new_passes(fitted, mnist5k.images[7], 5, (0.5, 0.25)) for _ in range(2))
    assert torch.equal(one, other)


def test_a_dropout_rate_of_one_is_refused(fitted: ModelStep, mnist5k: ImageDataset) -> None:
    with pytest.raises(ValueError, match=r"dropout is 1\.0; allowed: 0 or more, less than 1"):
        new_passes(fitted, mnist5k.images[0], 4, (0.5, 1.0))


# -- the model of a step -----------------------------------------------------------------------


def test_a_stored_model_scores_as_the_run_did(mnist5k: ImageDataset, dal_home: Path) -> None:
    store = open_store(dal_home)
    run_id, _ = asked_run(store, mnist5k)
    log = store.log(run_id)
    step = stored_step(store.home, log, mnist5k)
    assert step is not None
    query = open_query(log)
    assert tuple(score_pool(step).ranking("bald", 100).tolist()) == query.ranking
    stored = store.shown_probs(query.query_id)
    probs = scored_passes(step, query.ranking[0], step.protocol.num_mc_samples)
    assert stored is not None and probs is not None
    assert probs.numpy() == pytest.approx(stored[:, 0], abs=1e-6)


def test_while_the_next_model_trains_the_last_one_is_shown_in_its_own_state(
    mnist5k: ImageDataset, dal_home: Path
) -> None:
    store = open_store(dal_home)
    run_id, _ = asked_run(store, mnist5k)
    query = open_query(store.log(run_id))
    answers = [Answer(i, int(mnist5k.labels[i])) for i in query.shown()]
    store.submit(query.query_id, answers, annotator="Ann", source="person")
    step = stored_step(store.home, store.log(run_id), mnist5k)
    assert step is not None
    assert step.n_labelled == 20 and store.log(run_id).n_labelled == 30
    assert query.ranking[0] in step.pool_subset


def test_a_run_without_weights_has_no_model_to_show(mnist5k: ImageDataset, dal_home: Path) -> None:
    store = open_store(dal_home)
    run_id, _ = asked_run(store, mnist5k)
    folder = store.run_dir(run_id)
    (folder / "weights.safetensors").unlink()
    assert newest_model(store.home, run_id) is None
    assert stored_step(store.home, store.log(run_id), mnist5k) is None


def test_a_broken_weights_file_is_no_model(mnist5k: ImageDataset, dal_home: Path) -> None:
    store = open_store(dal_home)
    run_id, _ = asked_run(store, mnist5k)
    folder = store.run_dir(run_id)
    whole = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(whole[: len(whole) // 2])
    assert stored_step(store.home, store.log(run_id), mnist5k) is None


def test_every_stored_model_of_a_run_can_be_shown(mnist5k: ImageDataset, dal_home: Path) -> None:
    store = open_store(dal_home)
    run_id, workers = asked_run(store, mnist5k)
    actions.hand_over(store, store.log(run_id), 2)
    workers.work(run_id)
    log = store.log(run_id)
    first, last = (one.submission_id for one in log.submissions)
    assert stored_models(store.home, log) == [(last, 0)]
    recompute(store, mnist5k, run_id, first)
    assert stored_models(store.home, log) == [(first, 0), (last, 0)]
    step = stored_step(store.home, log, mnist5k, first)
    assert step is not None and step.n_labelled == 30
    asked = next(query for query in log.queries.values() if query.after == first)
    assert tuple(score_pool(step).ranking("bald", 100).tolist()) == asked.ranking
    assert stored_step(store.home, log, mnist5k, 0) is None


def test_weights_of_another_run_are_not_taken(mnist5k: ImageDataset, dal_home: Path) -> None:
    store = open_store(dal_home)
    run_id, _ = asked_run(store, mnist5k)
    stranger = fast.run(mnist5k, "max_entropy", seed=2)
    stranger.fit()
    save_fitted(store.run_dir(run_id) / FILE_NAME, stranger.fitted)
    assert stored_step(store.home, store.log(run_id), mnist5k) is None
