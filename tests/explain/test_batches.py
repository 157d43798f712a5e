"""What every function would ask for from one model, and how its batch is judged."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import exp, log
from typing import Any

import numpy as np
import pytest
import torch

from dal_core.acquisition import registry
from dal_core.data.base import ImageDataset
from dal_core.explain.batches import Pool, asked_by, in_groups, may_ask
from dal_core.explain.information import information_of, joint_information
from dal_core.explain.redundancy import (
    covering_of,
    mean_similarity,
    random_similarity,
    redundancy_of,
)
from dal_core.explain.uncovered import uncovered
from dal_core.protocol import posteriors
from tests import fast


@pytest.fixture(scope="module")
def run(mnist5k: ImageDataset) -> fast.Run:
    run = fast.run(mnist5k, n_epochs=20)
    fast.steps(run, 1)
    run.fit()
    return run


@pytest.fixture(scope="module")
def pool(run: fast.Run) -> Pool:
    return Pool(run.step)


# -- the batches -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", registry.names())
def test_a_batch_is_the_one_that_a_run_with_the_function_asks_for(
    run: fast.Run, pool: Pool, mnist5k: ImageDataset, name: str
) -> None:
    asked = asked_by(pool, name, 10)
    other = fast.run(mnist5k, name, n_epochs=20).with_labels_of(run)
    other.model = replace(run.fitted, spec_key=other.learner.spec.key)
    query, _ = other.query()
    assert asked.image_ids == query.ranking[:10]
    assert asked.gains == pytest.approx(query.scores[:10])


def test_every_function_is_in_one_group_by_what_it_needs() -> None:
    groups = in_groups()
    names = [name for group in groups.values() for name in group]
    assert sorted(names) == sorted(registry.names())
    assert groups["random"] == ["random"] and "bald" in groups["scores"]
    assert "power_bald" in groups["noise"] and "batchbald" in groups["joint"]
    assert "bald_coverage" in groups["places"] and "labels" not in groups
    assert replace(registry.get("badge"), needs="labels").group == "labels"


def test_a_network_that_cannot_disagree_says_which_functions_it_cannot_be_asked_by(
    mnist5k: ImageDataset,
) -> None:
    run = fast.run(mnist5k, "margin", posterior="deterministic", num_mc_samples=1)
    run.fit()
    pool = Pool(run.step)
    with pytest.raises(ValueError, match="'bald', which scores how much samples disagree"):
        asked_by(pool, "bald", 10)
    assert not may_ask(run.step, "bald") and may_ask(run.step, "margin")
    assert uncovered(pool, asked_by(pool, "margin", 10).image_ids).weight == "max_entropy"


# -- joint information -------------------------------------------------------------------------


def samples(n_passes: int, n_images: int, n_classes: int) -> torch.Tensor:
    logits = np.random.default_rng(0).normal(scale=2, size=(n_passes, n_images, n_classes))
    return torch.softmax(torch.from_numpy(logits), -1)


def counted(probs: np.ndarray, n: int) -> float:
    """I[y_1, ..., y_n; w], label by label."""
    n_passes, _, n_classes = probs.shape
    found = 0.0
    for labels in product(range(n_classes), repeat=n):
        each = [
            float(np.prod([probs[t, k, y] for k, y in enumerate(labels)])) for t in range(n_passes)
        ]
        found += sum(p * log(p * n_passes / sum(each)) for p in each) / n_passes
    return found


def test_the_joint_information_of_drawn_labels_is_that_of_all_labels() -> None:
    probs = samples(8, 5, 3)
    found = joint_information(probs, np.random.default_rng(1), 20_000)
    exact = [counted(probs.numpy(), n + 1) for n in range(5)]
    assert found == pytest.approx(exact, abs=0.02)
    assert found[0] == pytest.approx(exact[0], abs=1e-9)


def test_copies_of_an_image_tell_hardly_more_than_one() -> None:
    sure = torch.softmax(40 * samples(8, 1, 4), -1)
    found = joint_information(sure.expand(-1, 6, -1), np.random.default_rng(0))
    assert found[-1] == pytest.approx(found[0], abs=0.05)


def test_no_batch_tells_more_than_the_logarithm_of_the_samples(pool: Pool) -> None:
    for name in ("bald", "batchbald", "random"):
        one = information_of(pool, asked_by(pool, name, 10).image_ids)
        assert one.n_samples == 256 and one.bound == pytest.approx(log(256))
        assert one.joint[0] == one.summed[0] == 0 and len(one.joint) == 11
        assert one.joint[1] == pytest.approx(one.summed[1])
        assert one.joint[-1] <= one.bound
        assert one.share is not None and 0 < one.share <= 1


def test_an_ensemble_has_as_many_samples_as_networks(mnist5k: ImageDataset) -> None:
    run = fast.run(mnist5k, posterior="ensemble", num_mc_samples=3)
    run.fit()
    pool = Pool(run.step)
    one = information_of(pool, asked_by(pool, "bald", 10).image_ids)
    assert one.n_samples == 3 and one.joint[-1] <= log(3)


# -- redundancy --------------------------------------------------------------------------------


def test_similarity_is_the_mean_of_the_kernel_over_all_pairs() -> None:
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    assert mean_similarity(points, 2.0) == pytest.approx((exp(-0.5) + exp(-2) + exp(-2.5)) / 3)
    assert mean_similarity(torch.ones(4, 3), 2.0) == pytest.approx(1)
    assert np.isnan(mean_similarity(torch.ones(1, 3), 2.0))


def test_random_batches_come_from_the_given_generator() -> None:
    points = torch.from_numpy(np.random.default_rng(1).normal(size=(50, 4)))
    one, other = (
        random_similarity(points, 10, 2.0, 20, np.random.default_rng(3)) for _ in range(2)
    )
    assert len(one) == 20 and np.array_equal(one, other)


def test_redundancy_counts_the_classes_that_the_model_predicts(pool: Pool) -> None:
    asked = asked_by(pool, "bald", 10)
    found = redundancy_of(pool, covering_of(pool), asked.image_ids)
    predicted = pool.probs.mean(0).argmax(-1)
    assert found.n_predicted == len({int(predicted[pool.place[i]]) for i in asked.image_ids})
    assert 0 < found.similarity < 1


# -- coverage ----------------------------------------------------------------------------------


def test_what_a_pick_takes_from_the_weight_not_covered_is_its_gain(pool: Pool) -> None:
    asked = asked_by(pool, "bald_coverage", 10)
    found = uncovered(pool, asked.image_ids)
    assert found.weight == "bald" and found.left.shape == (11, len(found.image_ids))
    assert -np.diff(found.totals) == pytest.approx(asked.gains, rel=1e-3)
    assert (np.diff(found.left, axis=0) <= 0).all() and (found.left >= 0).all()


def test_a_picked_image_is_covered_from_then_on(pool: Pool) -> None:
    asked = asked_by(pool, "bald", 3)
    found = uncovered(pool, asked.image_ids)
    at = [found.image_ids.tolist().index(i) for i in asked.image_ids]
    assert found.left[0, at].min() > 0
    assert found.left[[1, 2, 3], at] == pytest.approx(np.zeros(3), abs=1e-4)
    assert found.coordinates[at] == pytest.approx(found.picks)
    assert 0 < found.shown < 1


@pytest.mark.parametrize("name", posteriors.names())
def test_batches_of_every_posterior_are_judged(mnist5k: ImageDataset, name: str) -> None:
    entry = posteriors.get(name)
    changes: dict[str, Any] = {
        "posterior": name,
        **({"num_mc_samples": entry.samples} if entry.samples else {}),
    }
    run = fast.run(mnist5k, "entropy_coverage", pool_subset_size=60, n_epochs=2, **changes)
    run.fit()
    pool = Pool(run.step)
    asked = asked_by(pool, "entropy_coverage", 5)
    assert len(asked.image_ids) == 5
    found, told = uncovered(pool, asked.image_ids), information_of(pool, asked.image_ids)
    assert 0 < found.covered < 1
    assert told.joint[-1] <= told.bound + 1e-9
    assert told.share is None or 0 <= told.share <= 1


def test_before_the_first_label_there_is_no_weight_to_cover(mnist5k: ImageDataset) -> None:
    run = fast.run(mnist5k, "random", pool_subset_size=60, train_size=0, initial_set="empty")
    run.fit()
    pool = Pool(run.step)
    for name in registry.names():
        asked = asked_by(pool, name, 5)
        assert len(set(asked.image_ids)) == 5, name
    found, told = uncovered(pool, asked.image_ids), information_of(pool, asked.image_ids)
    assert found.covered == 0 and told.share is None and len(found.labelled) == 0
