"""Streams of random numbers depend on seed, purpose and training set size alone."""

from __future__ import annotations

import random

import numpy as np
import torch

from dal_core.data.base import ImageDataset
from dal_core.protocol.randomness import Purpose, numpy_generator, torch_seed
from tests import fast


def test_purposes_keep_the_numbers_that_stored_runs_were_made_with() -> None:
    assert {purpose.name: purpose.value for purpose in Purpose} == {
        "SPLIT": 1,
        "INITIAL_WEIGHTS": 2,
        "TRAINING_DROPOUT": 3,
        "TEST_SUBSET": 4,
        "POOL_SUBSET": 5,
        "MC_DROPOUT_POOL": 6,
        "MC_DROPOUT_TEST": 7,
        "TIES": 8,
        "RANDOM_SCORES": 9,
        "MC_DROPOUT_SHOWN": 10,
        "BATCH_ORDER": 11,
        "NOISE": 12,
        "SELECTION": 13,
        "CONSISTENT_POOL": 14,
    }


def test_no_two_uses_share_a_stream() -> None:
    uses = [(seed, p, n) for seed in (0, 1, 2) for p in Purpose for n in (0, 20, 30, 1020)]
    assert len({torch_seed(*use) for use in uses}) == len(uses)
    assert len({numpy_generator(*use).integers(2**62) for use in uses}) == len(uses)


def test_a_stream_depends_on_seed_purpose_and_size_alone() -> None:
    one, again = (numpy_generator(3, Purpose.TIES, 40).random(5).tolist() for _ in range(2))
    assert one == again
    # numpy promises this value for good; spawn key: docs/method.md, section 13.
    words = np.random.SeedSequence(3, spawn_key=(8, 40)).generate_state(1, np.uint64)
    assert torch_seed(3, Purpose.TIES, 40) == int(words[0]) >> 1 < 2**63


def test_nothing_draws_from_or_seeds_a_global_generator(mnist5k: ImageDataset) -> None:
    before = (torch.get_rng_state(), np.random.get_state(), random.getstate())
    for acquisition in ("bald", "random"):
        run = fast.run(mnist5k, acquisition, weights="best", dropout=[0.3, 0.25])
        fast.steps(run, 2)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state()) == repr(before[1])
    assert random.getstate() == before[2]


def test_the_state_of_the_global_generators_changes_no_result(mnist5k: ImageDataset) -> None:
    def run() -> list[object]:
        one = fast.run(mnist5k, "variation_ratios")
        done = [(fast.measured(r), q.ranking, q.scores) for r, q in fast.steps(one, 2)]
        one.fit()
        return [done, [w.tobytes() for w in fast.weights(one.fitted)]]

    first = run()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        np.random.seed(99)
        assert run() == first
