"""Weighted coverage against a full greedy in float64, and its coordinates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dal_core.acquisition import coordinates, coverage
from dal_core.acquisition.batch import Places
from dal_core.acquisition.coordinates import (
    PixelSpace,
    median_squared_distance,
    squared_distances,
)
from dal_core.acquisition.coverage import weighted_coverage
from dal_core.acquisition.greedy import cover


def slow_coverage(
    weights: np.ndarray, points: np.ndarray, labelled: np.ndarray, scale: float, size: int
) -> tuple[list[int], list[float]]:
    """The definition, one sum at a time: each pick tries every image."""

    def similarity(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a - b) ** 2).sum() / scale))

    def worth(chosen: list[int]) -> float:
        others = [points[j] for j in chosen] + list(labelled)
        return sum(
            max(0.0, w) * max((similarity(x, other) for other in others), default=0.0)
            for w, x in zip(weights, points, strict=True)
        )

    chosen: list[int] = []
    gains: list[float] = []
    for _ in range(size):
        now = worth(chosen)
        gain, best = max(
            (worth([*chosen, j]) - now, -j) for j in range(len(points)) if j not in chosen
        )
        chosen.append(-best)
        gains.append(gain)
    return chosen, gains


def test_coverage_goes_on_as_if_its_first_images_were_labelled() -> None:
    draws = np.random.default_rng(5)
    there = torch.from_numpy(draws.normal(size=(40, 5)).astype(np.float32))
    weights = torch.from_numpy(draws.gamma(1, size=40).astype(np.float32))
    similarity = squared_distances(there, there).div(-4).exp()
    order, gains = cover(similarity, weights, torch.zeros(40), 8)
    second, more = cover(similarity, weights, similarity[order[:4]].amax(0), 4)
    assert second == order[4:]
    assert more == pytest.approx(gains[4:], rel=1e-5)


@pytest.mark.parametrize("n_labelled", [0, 4])
def test_coverage_equals_a_full_greedy_in_float64(n_labelled: int) -> None:
    draws = np.random.default_rng(n_labelled)
    points = draws.normal(size=(40, 5)).astype(np.float32)
    labelled = draws.normal(size=(n_labelled, 5)).astype(np.float32)
    weights = draws.gamma(1, size=40).astype(np.float32) - 0.2  # some below 0
    places = Places(torch.from_numpy(points), torch.from_numpy(labelled))
    order = np.argsort(-weights, kind="stable")
    positions, gains = weighted_coverage(
        torch.from_numpy(weights), places, 8, np.random.default_rng(1), order
    )
    scale = coverage.BAND * median_squared_distance(places.candidates)
    expected, worth = slow_coverage(
        weights.astype(float), points.astype(float), labelled.astype(float), scale, 8
    )
    assert positions == expected
    assert gains == pytest.approx(worth, rel=1e-4, abs=1e-5)


def test_a_longer_choice_begins_with_the_shorter_one_and_its_gains_do_not_grow() -> None:
    draws = np.random.default_rng(5)
    points = torch.from_numpy(draws.normal(size=(200, 3)).astype(np.float32))
    weights = torch.from_numpy(draws.gamma(1, size=200).astype(np.float32))
    order = np.argsort(-weights.numpy(), kind="stable")

    def choose(size: int) -> tuple[list[int], list[float]]:
        places = Places(points, points[:3])
        return weighted_coverage(weights, places, size, np.random.default_rng(2), order)

    ten, hundred = choose(10), choose(100)
    assert hundred[0][:10] == ten[0]
    assert len(set(hundred[0])) == 100
    assert (np.diff(hundred[1]) <= 1e-5).all()


def test_copies_are_not_asked_for_twice() -> None:
    points = torch.cat([torch.zeros(20, 2), torch.full((20, 2), 10.0), torch.full((5, 2), 20.0)])
    weights = torch.cat([torch.full((20,), 1.0), torch.full((20,), 0.6), torch.full((5,), 0.5)])
    order = np.argsort(-weights.numpy(), kind="stable")
    places = Places(points, torch.zeros(0, 2))
    positions, _ = weighted_coverage(weights, places, 3, np.random.default_rng(0), order)
    assert [position // 20 for position in positions] == [0, 1, 2]


def test_what_is_labelled_is_covered_already() -> None:
    points = torch.tensor([[0.0], [0.1], [5.0], [10.0]])
    places = Places(points, torch.tensor([[0.0]]))
    order = np.arange(4)
    positions, gains = weighted_coverage(
        torch.tensor([9.0, 9.0, 1.0, 1.0]), places, 4, np.random.default_rng(0), order
    )
    assert set(positions[:2]) == {2, 3}
    assert gains[-1] == pytest.approx(0, abs=0.2)


def test_large_pools_are_covered_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "N_COVERED", 30)
    monkeypatch.setattr(coverage, "N_CHOSEN_FROM", 20)
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32))
    weights = torch.linspace(1, 0.1, 100)
    places = Places(points, torch.zeros(0, 2))
    positions, gains = weighted_coverage(
        weights, places, 50, np.random.default_rng(0), np.arange(100)
    )
    assert sorted(positions) == list(range(20))  # only the highest weights are chosen from
    assert sum(gains) <= float(weights[:30].sum())


# -- coordinates -------------------------------------------------------------------------------


def test_coordinates_are_principal_components_of_the_pool() -> None:
    images = np.random.default_rng(0).integers(0, 256, (120, 6, 5), dtype=np.uint8)
    pool = np.arange(20, 120)
    found = PixelSpace.of(images[pool]).coordinates(images).numpy()
    values = images.reshape(120, -1) / 255
    centred = values - values[pool].mean(0)
    _, _, components = np.linalg.svd(centred[pool], full_matrices=False)
    expected = centred @ components.T
    assert found.shape == (120, 30)
    assert np.abs(found) == pytest.approx(np.abs(expected), abs=1e-4)  # signs are free


def test_an_image_has_the_same_coordinates_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    space = PixelSpace.of(images)
    whole = space.coordinates(images)
    monkeypatch.setattr(coordinates, "N_FITTED", 7)
    assert torch.allclose(space.coordinates(images), whole, atol=1e-6)
    assert torch.allclose(space.coordinates(images[3:5]), whole[3:5], atol=1e-6)
    assert space.coordinates(images[:0]).shape == (0, 48)


def test_large_images_are_averaged_first() -> None:
    images = np.random.default_rng(0).integers(0, 256, (70, 64, 48, 3), dtype=np.uint8)
    assert PixelSpace.of(images).coordinates(images).shape == (70, 64)


def test_distances_equal_their_definition() -> None:
    a, b = (torch.from_numpy(np.random.default_rng(n).normal(size=(7, 3))) for n in (0, 1))
    expected = ((a[:, None] - b) ** 2).sum(-1)
    assert torch.allclose(squared_distances(a, b), expected)
    pairs = [expected_ for i in range(7) for expected_ in ((a[i] - a[i + 1 :]) ** 2).sum(-1)]
    assert median_squared_distance(a) == pytest.approx(float(torch.stack(pairs).median()))
    assert median_squared_distance(a[:1]) == 1
