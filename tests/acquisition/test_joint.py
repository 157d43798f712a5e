"""BatchBALD and EPIG against their definitions, with every joint label counted in float64."""

from __future__ import annotations

from itertools import product
from math import log

import numpy as np
import pytest
import torch

from dal_core.acquisition.joint import batchbald, epig
from dal_core.acquisition.scores import bald
from dal_core.explain.information import joint_information as drawn_information


def samples(n_passes: int, n_images: int, n_classes: int, seed: int = 0) -> torch.Tensor:
    logits = np.random.default_rng(seed).normal(scale=2, size=(n_passes, n_images, n_classes))
    return torch.softmax(torch.from_numpy(logits), -1)


def joint_information(probs: np.ndarray, images: list[int]) -> float:
    """I[y_1, ..., y_b; w] = H(y_1, ..., y_b) - sum_n mean_t H(p_tn), label by label."""
    n_passes, _, n_classes = probs.shape
    entropy = 0.0
    for labels in product(range(n_classes), repeat=len(images)):
        p = 0.0
        for t in range(n_passes):
            p += float(np.prod([probs[t, n, y] for n, y in zip(images, labels, strict=True)]))
        p /= n_passes
        entropy -= p * log(p)
    given = [-(probs[t, n] * np.log(probs[t, n])).sum() for t in range(n_passes) for n in images]
    return entropy - float(np.sum(given)) / n_passes


def slow_batchbald(probs: np.ndarray, size: int) -> tuple[list[int], list[float]]:
    chosen: list[int] = []
    gains: list[float] = []
    for _ in range(size):
        now = joint_information(probs, chosen) if chosen else 0.0
        tried = {
            n: joint_information(probs, [*chosen, n]) - now
            for n in range(probs.shape[1])
            if n not in chosen
        }
        best = max(tried, key=lambda n: tried[n])
        chosen.append(best)
        gains.append(tried[best])
    return chosen, gains


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_batchbald_equals_the_joint_information_counted_label_by_label(seed: int) -> None:
    probs = samples(6, 7, 3, seed)
    chosen, gains = batchbald(probs, 4, np.random.default_rng(0))
    expected, worth = slow_batchbald(probs.numpy(), 4)
    assert chosen == expected
    assert gains == pytest.approx(worth, abs=1e-9)


def test_batchbald_goes_on_after_images_that_are_asked_already() -> None:
    probs = samples(6, 7, 3, seed=4)
    order, gains = slow_batchbald(probs.numpy(), 4)
    left = [n for n in range(7) if n not in order[:2]]
    chosen, worth = batchbald(
        probs[:, left], 2, np.random.default_rng(0), before=probs[:, order[:2]]
    )
    assert [left[n] for n in chosen] == order[2:]
    assert worth == pytest.approx(gains[2:], abs=1e-9)


def test_the_first_image_is_that_of_bald() -> None:
    probs = samples(10, 20, 4)
    chosen, gains = batchbald(probs, 1, np.random.default_rng(0))
    assert chosen == [int(bald(probs).argmax())]
    assert gains[0] == pytest.approx(float(bald(probs).max()))


def test_an_image_and_its_copy_are_not_both_chosen() -> None:
    # The passes are almost sure of each image, so a copy's label tells nothing new.
    probs = torch.softmax(30 * samples(8, 6, 3), -1)
    doubled = torch.cat([probs, probs], dim=1)
    chosen, _ = batchbald(doubled, 3, np.random.default_rng(0))
    assert len({n % 6 for n in chosen}) == 3


def test_no_batch_tells_more_than_the_logarithm_of_the_passes() -> None:
    probs = torch.softmax(50 * samples(4, 30, 5), -1)
    _, gains = batchbald(probs, 5, np.random.default_rng(0), n_configurations=5**6)
    assert sum(gains) <= log(4) + 1e-9


def test_sampled_configurations_come_close_to_the_exact_gains() -> None:
    probs = samples(12, 15, 4)
    exact = batchbald(probs, 6, np.random.default_rng(0), n_configurations=4**6)[1]
    sampled = [
        batchbald(probs, 6, np.random.default_rng(seed), n_configurations=500)[1]
        for seed in range(5)
    ]
    assert np.mean(sampled, axis=0) == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ten_picks_add_up_to_what_their_labels_tell_together(seed: int) -> None:
    """Beyond four picks the configurations are drawn from drawn ones, again and again."""
    probs = samples(64, 40, 10, seed)
    chosen, gains = batchbald(probs, 10, np.random.default_rng(seed))
    together = drawn_information(probs[:, chosen], np.random.default_rng(9), 20_000)
    assert np.cumsum(gains) == pytest.approx(together, abs=0.1)
    assert sum(gains) <= log(64) + 0.1


def test_a_choice_is_the_same_for_the_same_generator_and_never_repeats_an_image() -> None:
    probs = samples(5, 12, 3)
    one, other = (batchbald(probs, 12, np.random.default_rng(3), 50) for _ in range(2))
    assert one == other
    assert sorted(one[0]) == list(range(12))


def test_epig_equals_its_definition() -> None:
    probs, targets = samples(6, 5, 3), samples(6, 4, 3, seed=9)
    expected = np.zeros(5)
    for n in range(5):
        for m in range(4):
            joint = np.zeros((3, 3))
            for t in range(6):
                joint += np.outer(probs[t, n], targets[t, m]) / 6
            independent = np.outer(joint.sum(1), joint.sum(0))
            expected[n] += (joint * np.log(joint / independent)).sum() / 4
    assert epig(probs, targets).numpy() == pytest.approx(expected, abs=1e-12)


def test_epig_of_passes_that_agree_is_zero() -> None:
    probs = samples(1, 5, 3).expand(7, -1, -1)
    assert epig(probs, probs).numpy() == pytest.approx(np.zeros(5), abs=1e-12)
