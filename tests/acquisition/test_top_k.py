"""The shortlist of a pool scored in chunks equals that of the pool scored at once."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dal_core.acquisition.top_k import Shortlist, rank, tie_order


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    scores=hnp.arrays(np.float32, st.integers(1, 60), elements=st.sampled_from([0, 0.1, 0.5, 1])),
    chunk=st.integers(1, 70),
    size=st.integers(1, 20),
    ties=st.sampled_from(["random", "first"]),
)
def test_a_shortlist_is_the_head_of_the_ranking_however_the_pool_is_divided(
    scores: np.ndarray, chunk: int, size: int, ties: str
) -> None:
    n = len(scores)
    priority = tie_order(n, ties, np.random.default_rng(7))
    probs = torch.arange(3 * n * 2, dtype=torch.float32).view(3, n, 2)
    shortlist = Shortlist(size, priority)
    for start in range(0, n, chunk):
        shortlist.add(start, scores[start : start + chunk], probs[:, start : start + chunk])
    best = rank(scores, priority)[:size]
    assert shortlist.positions.tolist() == best.tolist()
    assert shortlist.scores.tolist() == scores[best].tolist()
    assert shortlist.probs is not None
    assert torch.equal(shortlist.probs, probs[:, torch.from_numpy(best)])


def test_no_more_passes_are_held_than_asked_for() -> None:
    shortlist = Shortlist(4, np.arange(1000))
    for start in range(0, 1000, 100):
        shortlist.add(start, np.random.default_rng(start).random(100), torch.zeros(64, 100, 10))
    assert shortlist.probs is not None
    assert shortlist.probs.untyped_storage().nbytes() == 4 * 64 * 4 * 10
