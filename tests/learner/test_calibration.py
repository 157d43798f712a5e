"""Negative log-likelihood, Brier score and calibration error of predicted probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dal_core.learner.calibration import N_BINS, calibration
from tests import reference


def random_predictions(seed: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """float32 [400, 7] probabilities, and labels that agree with some of them."""
    draws = np.random.default_rng(seed)
    logits = sharpness * draws.standard_normal((400, 7))
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.where(draws.random(400) < 0.7, probs.argmax(1), draws.integers(0, 7, 400))
    return probs.astype(np.float32), labels


@pytest.mark.parametrize("sharpness", [0.0, 0.5, 3.0, 40.0])
def test_the_measures_equal_the_loops_in_float64(sharpness: float) -> None:
    probs, labels = random_predictions(3, sharpness)
    found = calibration(probs, labels)
    expected = reference.calibration(probs, labels.tolist())
    assert (found.nll, found.brier, found.ece) == pytest.approx(expected, rel=1e-12)


def test_three_images_worked_out_by_hand() -> None:
    probs = np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
    found = calibration(probs, np.array([0, 0, 0]))
    assert found.nll == pytest.approx((math.log(2) + math.log(4)) / 3)
    assert found.brier == pytest.approx((0.5 + 2 * 0.75**2) / 3)
    # Three bins of one image each: |1 - 0.5|, |0 - 0.75| and |1 - 1|.
    assert found.ece == pytest.approx((0.5 + 0.75) / 3)


def test_a_probability_that_underflowed_keeps_the_likelihood_finite() -> None:
    found = calibration(np.array([[0.0, 1.0]], np.float32), np.array([0]))
    assert found.nll == 126 * math.log(2)
    assert (found.brier, found.ece) == (2.0, 1.0)


def test_perfect_predictions_have_zero_everywhere() -> None:
    found = calibration(np.eye(3, dtype=np.float32), np.arange(3))
    assert [math.copysign(1, one) for one in (found.nll, found.brier, found.ece)] == [1, 1, 1]
    assert (found.nll, found.brier, found.ece) == (0, 0, 0)


def test_a_bin_holds_its_upper_edge() -> None:
    """Two images at 0.6 = 9 / 15, one above: the gaps within a bin cancel, those of two do not."""
    edge, above = 9 / N_BINS, np.nextafter(9 / N_BINS, 1)
    labels = np.array([0, 1])
    same = calibration(np.array([[edge, 1 - edge], [edge, 1 - edge]]), labels)
    apart = calibration(np.array([[edge, 1 - edge], [above, 1 - above]]), labels)
    assert same.ece == pytest.approx(abs(1 - 2 * edge) / 2)
    assert apart.ece == pytest.approx((1 - edge + above) / 2)
