"""Random bits for many passes: their rate, their independence and what they drop."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dal_core.models.dropout_masks import BITS, KeepBits, keep

CPU = torch.device("cpu")
N, UNITS, PASSES = 201, 41, 40  # an odd number of words; more passes than a word has bits


def passes(p: float, seed: int = 4, n_passes: int = PASSES) -> Tensor:
    """[T, N, U] of 1 where kept, 0 where dropped, float64."""
    bits = KeepBits((N, UNITS), p, torch.Generator().manual_seed(seed), CPU)
    drawn = torch.stack([bits.next_pass() for _ in range(n_passes)])
    assert set(drawn.unique().tolist()) <= {0, -1}
    return -drawn.double()


@pytest.mark.parametrize("p", [0.5, 0.25, 0.75, 0.3, 0.9, 0.01])
def test_units_are_dropped_at_their_rate_in_every_pass_and_place(p: float) -> None:
    kept = passes(p)
    for axes, size in (((0, 1, 2), kept.numel()), ((1, 2), N * UNITS), ((0, 1), PASSES * N)):
        spread = math.sqrt(p * (1 - p) / size)
        assert (kept.mean(axes) - (1 - p)).abs().max() < 5 * spread
    spread = math.sqrt(p * (1 - p) / (PASSES * UNITS))
    assert (kept.mean((0, 2)) - (1 - p)).abs().max() < 5 * spread


@pytest.mark.parametrize("p", [0.5, 0.25, 0.3])
def test_units_images_and_passes_are_independent_of_their_neighbours(p: float) -> None:
    dropped = (1 - passes(p) - p) / math.sqrt(p * (1 - p))
    for axis in range(3):
        for lag in (1, 2, 3, 8, 31, 32):
            size = dropped.shape[axis]
            pairs = dropped.narrow(axis, 0, size - lag) * dropped.narrow(axis, lag, size - lag)
            assert abs(pairs.mean()) < 5 / math.sqrt(pairs.numel())


def test_nothing_is_dropped_at_probability_zero_and_nearly_all_at_nearly_one() -> None:
    assert passes(0.0).min() == 1
    assert passes(1 - 1e-9).mean() < 0.01


def test_the_generator_decides_the_bits_and_no_bit_is_used_twice() -> None:
    one, again, other = passes(0.5, 1), passes(0.5, 1), passes(0.5, 2)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    many = passes(0.5, n_passes=2 * BITS)
    distinct = {tuple(kept.flatten().tolist()) for kept in many}
    assert len(distinct) == 2 * BITS


def test_keeping_sets_the_dropped_units_to_zero_and_leaves_the_rest_as_they_are() -> None:
    x = torch.tensor([[1.5, -2.0, float("inf"), 0.0]])
    bits = torch.tensor([[-1, 0, 0, -1]], dtype=torch.int32)
    assert keep(x, bits).tolist() == [[1.5, 0.0, 0.0, 0.0]]
    assert x[0, 1] == -2
