"""From scores to an ordered batch of images: the selection that a learner calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dal_core.acquisition.registry import AcquisitionFunction
from dal_core.acquisition.top_k import Shortlist, rank


@dataclass(frozen=True)
class Batch:
    """Images to ask for, the most wanted first.

    Attributes:
        ids: [b] int64 image ids.
        gains: [b] what each image adds to those before it; of a function that scores each image
            by itself, its score.
    """

    ids: np.ndarray
    gains: np.ndarray


@dataclass(frozen=True)
class Candidates:
    """The images to choose from.

    Attributes:
        ids: [N] int64 image ids.
        priority: [N] int64 order of equal scores (`top_k.tie_order`).
        passes: makes chunks [T, n, C] of the images' probabilities, in the order of `ids`;
            called only for a function that needs them.
        generator: for a function that draws its scores.
    """

    ids: np.ndarray
    priority: np.ndarray
    passes: Callable[[], Iterable[Tensor]]
    generator: np.random.Generator


def select(
    function: AcquisitionFunction,
    candidates: Candidates,
    size: int,
    *,
    n_passes_kept: int,
    eps: float = 0.0,
) -> tuple[Batch, Tensor | None]:
    """The `size` images a function asks for, and the passes of the first of them.

    Args:
        n_passes_kept: R, of how many images the passes are returned.
        eps: the protocol's `entropy_eps`.

    Returns:
        The batch, shorter than `size` where there are fewer candidates; and [T, R, C], the passes
        of its first R images, None for a function that needs none.

    Raises:
        ValueError: the function needs what no learner here can give.
    """
    if function.needs == "nothing":
        scores = function.score(len(candidates.ids), candidates.generator)
        return top_k(candidates, scores, size), None
    score = function.scorer(eps)
    best = Shortlist(n_passes_kept, candidates.priority)
    scores, start = np.empty(len(candidates.ids), dtype=np.float32), 0
    for probs in candidates.passes():
        chunk = score(probs).cpu().numpy()
        scores[start : start + len(chunk)] = chunk
        best.add(start, chunk, probs)
        start += len(chunk)
    return top_k(candidates, scores, size), best.probs


def top_k(candidates: Candidates, scores: np.ndarray, size: int) -> Batch:
    """The images of highest score [N], each chosen without regard to the others."""
    order = rank(scores, candidates.priority)[:size]
    return Batch(candidates.ids[order], scores[order])
