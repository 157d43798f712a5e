"""Drawing images in proportion to a weight."""

from __future__ import annotations

import numpy as np
import pytest

from dal_core.acquisition.perturbed import (
    POWER_BETA,
    SOFTMAX_BETA,
    draw,
    power_weights,
    softmax_weights,
    softrank_weights,
)

SCORES = np.array([0.8, 0.0, 0.4, 0.4, 1.2])
PRIORITY = np.array([0, 1, 3, 2, 4])


def test_weights_equal_their_definitions() -> None:
    with np.errstate(divide="ignore"):
        assert power_weights(SCORES, PRIORITY) == pytest.approx(np.log(SCORES**POWER_BETA))
    assert softmax_weights(SCORES, PRIORITY) == pytest.approx(SOFTMAX_BETA * SCORES)
    ranks = np.array([2, 5, 4, 3, 1])  # of equal scores, the lower priority comes first
    assert softrank_weights(SCORES, PRIORITY) == pytest.approx(-np.log(ranks))


def test_scores_of_zero_or_less_come_last() -> None:
    weights = power_weights(np.array([-1e-6, 0.0, 0.1]), np.arange(3))
    order, _ = draw(weights, np.arange(3), 3, np.random.default_rng(0))
    assert order.tolist() == [2, 0, 1]


def test_the_draw_follows_the_weights_without_replacement() -> None:
    weights = np.array([0.5, 0.3, 0.2])
    generator = np.random.default_rng(0)
    orders = [
        tuple(draw(np.log(weights), np.arange(3), 2, generator)[0].tolist()) for _ in range(20_000)
    ]
    for first in range(3):
        for second in set(range(3)) - {first}:
            expected = weights[first] * weights[second] / (1 - weights[first])
            found = orders.count((first, second)) / len(orders)
            assert found == pytest.approx(expected, abs=0.012)  # over 3 standard errors
