"""Selections by places, against slow versions written from their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dal_core.acquisition.batch import Places
from dal_core.acquisition.geometry import (
    farthest_first,
    gradient_seeding,
    round_robin,
    typical_of_clusters,
)


def points(n: int, dimensions: int = 3, seed: int = 0) -> torch.Tensor:
    draws = np.random.default_rng(seed).normal(size=(n, dimensions))
    return torch.from_numpy(draws.astype(np.float32))


@pytest.mark.parametrize("n_labelled", [0, 5])
def test_coreset_takes_the_farthest_image_each_time(n_labelled: int) -> None:
    places = Places(points(30), points(n_labelled, seed=1))
    chosen, gains = farthest_first(places, 6, start=4)
    known = [row.double().numpy() for row in places.labelled]
    there = places.candidates.double().numpy()
    for position, gain in zip(chosen, gains, strict=True):
        if not known:
            assert (position, gain) == (4, 0.0)
        else:
            distances = [min(np.linalg.norm(x - other) for other in known) for x in there]
            assert position == int(np.argmax(distances))
            assert gain == pytest.approx(max(distances), rel=1e-4)
        known.append(there[position])


def test_badge_draws_by_the_distances_of_the_explicit_gradients() -> None:
    mean = torch.softmax(2 * points(25, 4), -1)
    hidden = points(25, 6, seed=2).abs()
    chosen, gains = gradient_seeding(mean, hidden, 8, np.random.default_rng(7))
    q = mean.double().numpy().copy()
    q[np.arange(25), q.argmax(1)] -= 1
    gradients = np.einsum("nc,nf->ncf", q, hidden.double().numpy()).reshape(25, -1)
    generator = np.random.default_rng(7)
    expected = [int((gradients**2).sum(1).argmax())]
    worth = [float((gradients**2).sum(1).max())]
    while len(expected) < 8:
        nearest = np.array(
            [min(((g - gradients[j]) ** 2).sum() for j in expected) for g in gradients]
        )
        at = generator.random() * nearest.sum()
        expected.append(int(np.searchsorted(nearest.cumsum(), at, side="right")))
        worth.append(float(nearest[expected[-1]]))
    assert chosen == expected
    assert gains == pytest.approx(worth, rel=1e-6)


def test_badge_goes_on_after_images_that_are_asked_already() -> None:
    mean = torch.softmax(2 * points(25, 4), -1)
    hidden = points(25, 6, seed=2).abs()
    chosen, gains = gradient_seeding(
        mean[5:], hidden[5:], 3, np.random.default_rng(7), (mean[:5], hidden[:5])
    )
    q = mean.double().numpy().copy()
    q[np.arange(25), q.argmax(1)] -= 1
    gradients = np.einsum("nc,nf->ncf", q, hidden.double().numpy()).reshape(25, -1)
    generator, there = np.random.default_rng(7), list(range(5))
    for position, gain in zip(chosen, gains, strict=True):
        nearest = np.array(
            [min(((g - gradients[j]) ** 2).sum() for j in there) for g in gradients[5:]]
        )
        at = generator.random() * nearest.sum()
        assert position == int(np.searchsorted(nearest.cumsum(), at, side="right"))
        assert gain == pytest.approx(nearest[position], rel=1e-6)
        there.append(position + 5)


def test_coreset_goes_on_as_if_its_first_images_were_labelled() -> None:
    places = Places(points(30), points(3, seed=1))
    order, gains = farthest_first(places, 8, start=0)
    first, left = order[:4], [n for n in range(30) if n not in order[:4]]
    asked = Places(places.candidates[left], torch.cat([places.labelled, places.candidates[first]]))
    second, distances = farthest_first(asked, 4, start=0)
    assert [left[n] for n in second] == order[4:]
    assert distances == pytest.approx(gains[4:], rel=1e-5)


def test_badge_goes_on_when_only_copies_are_left() -> None:
    mean = torch.softmax(points(2, 4), -1).repeat(3, 1)
    hidden = points(2, 6, seed=2).abs().repeat(3, 1)
    chosen, _ = gradient_seeding(mean, hidden, 6, np.random.default_rng(0))
    assert sorted(chosen) == list(range(6))
    assert {n % 2 for n in chosen[:2]} == {0, 1}


def test_typiclust_takes_the_middle_of_each_cluster_without_a_label() -> None:
    generator = np.random.default_rng(0)
    centres = np.array([[0, 0], [20, 0], [0, 20], [20, 20]])
    sizes = (30, 25, 20, 15)
    there = np.concatenate(
        [c + generator.normal(size=(n, 2)) for c, n in zip(centres, sizes, strict=True)]
    ).astype(np.float32)
    places = Places(torch.from_numpy(there), torch.tensor([[0.0, 0.0]]))
    chosen, worth = typical_of_clusters(places, 3, batch_size=3, seed=0)
    clusters = np.repeat(np.arange(4), sizes)
    assert clusters[chosen].tolist() == [1, 2, 3]  # the largest first; cluster 0 has a label
    for position in chosen:
        members = there[clusters == clusters[position]].astype(float)

        def typicality(x: np.ndarray, members: np.ndarray = members) -> float:
            nearest = np.sort(np.linalg.norm(members - x, axis=1))[1:]
            return float(1 / nearest[: min(20, len(members) - 1)].mean())

        assert typicality(there[position].astype(float)) == pytest.approx(
            max(typicality(x) for x in members), rel=1e-4
        )
    assert all(value > 0 for value in worth)


def test_typiclust_ranks_as_many_images_as_there_are() -> None:
    places = Places(points(40), points(4, seed=1))
    chosen, worth = typical_of_clusters(places, 100, batch_size=5, seed=0)
    assert sorted(chosen) == list(range(40))
    assert np.isfinite(worth).all()


def test_clusters_take_turns_the_smallest_first() -> None:
    clusters = np.array([0, 0, 0, 1, 2, 2])
    scores = np.array([0.1, 0.9, 0.5, 0.2, 0.3, 0.4])
    assert round_robin(scores, clusters, 5) == [3, 5, 1, 4, 2]
    assert round_robin(scores, clusters, 10) == [3, 5, 1, 4, 2, 0]
