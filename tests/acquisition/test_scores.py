"""Scores against loops, hand-computed values and their bounds; and the ranking."""

from __future__ import annotations

from collections import Counter
from math import log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dal_core.acquisition import scores as functions
from dal_core.acquisition.registry import scorer
from dal_core.acquisition.top_k import rank, tie_order
from tests import reference

NAMES = sorted(reference.SCORES)


def softmax(logits: np.ndarray) -> torch.Tensor:
    return torch.softmax(torch.from_numpy(logits.astype(np.float32)), -1)


def one_hot(generator: np.random.Generator, shape: tuple[int, int, int]) -> torch.Tensor:
    classes = generator.integers(shape[2], size=shape[:2])
    return torch.nn.functional.one_hot(torch.from_numpy(classes), shape[2]).float()


def inputs(kind: str) -> torch.Tensor:
    generator, shape = np.random.default_rng(5), (16, 40, 10)
    if kind == "random":
        return softmax(generator.normal(size=shape))
    if kind == "one-hot":
        return one_hot(generator, shape)
    if kind == "uniform":
        return torch.full(shape, 0.1)
    # All but 1e-4 to 1e-30 of the mass on one class, the same one in most passes.
    favoured = generator.integers(10, size=(1, 40, 1)) == np.arange(10)
    return softmax(favoured * generator.uniform(10, 70, size=(16, 40, 1)))


@pytest.mark.parametrize("kind", ["random", "one-hot", "uniform", "near-deterministic"])
@pytest.mark.parametrize("name", NAMES)
def test_a_score_equals_the_loops_written_from_its_formula(name: str, kind: str) -> None:
    probs = inputs(kind)
    expected = [reference.SCORES[name](probs.numpy().astype(float), n) for n in range(40)]
    np.testing.assert_allclose(scorer(name)(probs).numpy(), expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("eps", [1e-10, 1e-3])
@pytest.mark.parametrize("kind", ["random", "one-hot", "near-deterministic"])
@pytest.mark.parametrize("name", ["max_entropy", "bald"])
def test_the_released_form_adds_eps_inside_the_logarithm(name: str, kind: str, eps: float) -> None:
    probs = inputs(kind)
    loops = {"max_entropy": reference.max_entropy, "bald": reference.bald}[name]
    expected = [loops(probs.numpy().astype(float), n, eps) for n in range(40)]
    np.testing.assert_allclose(scorer(name, eps)(probs).numpy(), expected, rtol=2e-5, atol=2e-6)


def test_entropy_eps_reaches_the_score() -> None:
    certain = torch.tensor([[[1.0, 0.0]]])
    # - (1 log(1 + 0.001) + 0 log(0.001)) = -0.0009995
    assert scorer("max_entropy", 1e-3)(certain).item() == pytest.approx(-log(1.001), rel=1e-3)
    assert scorer("max_entropy")(certain).item() == 0
    assert scorer("mean_std", 1e-3) is functions.mean_std


#            pass 1                              pass 2
# image 1: [0.5, 0.25, 0.25]                   [0.25, 0.5, 0.25]   mean [0.375, 0.375, 0.25]
# image 2: [1, 0, 0]                           [0.6, 0.4, 0]       mean [0.8, 0.2, 0]
HAND = torch.tensor([[[0.5, 0.25, 0.25], [1, 0, 0]], [[0.25, 0.5, 0.25], [0.6, 0.4, 0]]])
MEAN_1 = -(2 * 0.375 * log(0.375) + 0.25 * log(0.25))  # 1.0822
MEAN_2 = -(0.8 * log(0.8) + 0.2 * log(0.2))  # 0.5004
PASS_1 = 0.5 * log(2) + 2 * 0.25 * log(4)  # 1.0397, in both passes
PASS_2 = -(0.6 * log(0.6) + 0.4 * log(0.4)) / 2  # (0 + 0.6730) / 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("max_entropy", [MEAN_1, MEAN_2]),
        ("bald", [MEAN_1 - PASS_1, MEAN_2 - PASS_2]),  # 0.0425, 0.1639
        # Image 1: one vote for class 0, one for class 1: 1 - 1/2. Image 2: both for class 0.
        ("variation_ratios", [0.5, 0]),
        ("variation_ratios_mean", [1 - 0.375, 1 - 0.8]),
        # Image 1: 0.5 and 0.25 lie 0.125 from their mean, twice; the third class does not move.
        # Image 2: 1 and 0.6 lie 0.2 from theirs, 0 and 0.4 too.
        ("mean_std", [(0.125 + 0.125 + 0) / 3, (0.2 + 0.2 + 0) / 3]),
    ],
)
def test_a_score_equals_what_was_computed_by_hand(name: str, expected: list[float]) -> None:
    np.testing.assert_allclose(scorer(name)(HAND).numpy(), expected, rtol=1e-5, atol=1e-7)


shapes = st.tuples(st.integers(1, 12), st.integers(1, 4), st.integers(2, 10))
logits = shapes.flatmap(
    lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(-200, 200, width=32))
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(logits=logits)
def test_a_score_stays_within_its_bounds_and_is_never_nan(name: str, logits: np.ndarray) -> None:
    scores = scorer(name)(softmax(logits)).numpy()
    assert scores.shape == (logits.shape[1],)
    assert np.isfinite(scores).all()
    assert (scores >= -1e-5).all()
    assert (scores <= reference.upper_bound(name, logits.shape[2]) + 1e-5).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_score_reaches_both_ends_of_its_range(name: str) -> None:
    """Ten passes that are each certain of another class, beside ten that agree."""
    disagree, agree = torch.eye(10), torch.eye(10)[[3] * 10]
    scores = scorer(name)(torch.stack([disagree, agree], dim=1)).numpy()
    np.testing.assert_allclose(scores, [reference.upper_bound(name, 10), 0], rtol=1e-5, atol=1e-6)


def test_random_scores_are_uniform_and_depend_on_the_generator_alone() -> None:
    scores = functions.random(20_000, np.random.default_rng(1))
    assert scores.shape == (20_000,)
    assert scores.min() >= 0
    assert scores.max() < 1
    assert np.histogram(scores, 10, (0, 1))[0] == pytest.approx([2000] * 10, abs=5 * 2000**0.5)
    assert (scores == functions.random(20_000, np.random.default_rng(1))).all()
    assert (scores != functions.random(20_000, np.random.default_rng(2))).all()


@pytest.mark.parametrize("name", ["random", "entropy", ""])
def test_random_and_unknown_names_have_no_scorer(name: str) -> None:
    with pytest.raises(ValueError, match=f"acquisition {name!r}"):
        scorer(name)


def ordered(scores: np.ndarray, ties: str, seed: int) -> np.ndarray:
    return rank(scores, tie_order(len(scores), ties, np.random.default_rng(seed)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    scores=hnp.arrays(np.float32, st.integers(0, 30), elements=st.sampled_from([0, 0.1, 0.5, 1])),
    ties=st.sampled_from(["random", "first"]),
)
def test_a_ranking_holds_every_position_once_by_descending_score(
    scores: np.ndarray, ties: str
) -> None:
    order = ordered(scores, ties, 0)
    assert sorted(order) == list(range(len(scores)))
    assert (np.diff(scores[order]) <= 0).all()


def test_equal_scores_come_in_every_order_equally_often() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.5])
    orders = Counter(tuple(ordered(scores, "random", seed)) for seed in range(1200))
    assert {order[0] for order in orders} == {1}
    assert len(orders) == 6
    assert list(orders.values()) == pytest.approx([200] * 6, abs=5 * 200**0.5)


def test_one_generator_gives_one_order_of_equal_scores() -> None:
    scores = np.zeros(50)
    one, two = (ordered(scores, "random", 3) for _ in range(2))
    assert one.tolist() == two.tolist() != list(range(50))


def test_first_orders_equal_scores_by_position() -> None:
    order = ordered(np.array([0, 1, 0, 1]), "first", 0)
    assert order.tolist() == [1, 3, 0, 2]
