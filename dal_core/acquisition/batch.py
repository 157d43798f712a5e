"""Selection of a batch: a learner calls `select` to choose the images to ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dal_core.acquisition.registry import AcquisitionFunction
from dal_core.acquisition.top_k import Shortlist, rank


@dataclass(frozen=True)
class Batch:
    """Images to ask for, best first.

    Attributes:
        ids: [b] int64 image ids.
        gains: [b] what each image adds to the images before it. For a function that scores each
            image by itself, this is the score.
    """

    ids: np.ndarray
    gains: np.ndarray


@dataclass(frozen=True)
class Candidates:
    """The images to choose from.

    Attributes:
        ids: [N] int64 image ids.
        priority: [N] int64 order of equal scores (`top_k.tie_order`).
        passes: returns the images' probabilities in chunks [T, n, C], in the order of `ids`.
            Called only if the function needs probabilities.
        generator: source of random scores.
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
    """Choose the `size` best candidates, and keep the passes of the first of them.

    Args:
        n_passes_kept: R, the number of images whose passes are returned.
        eps: the protocol's `entropy_eps`.

    Returns:
        The batch (shorter than `size` if there are fewer candidates), and the passes [T, R, C] of
        its first R images (None if the function needs no passes).

    Raises:
        ValueError: the function does not score single images from their own passes.
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
    """The `size` images with the highest scores [N], each chosen by its own score alone."""
    order = rank(scores, candidates.priority)[:size]
    return Batch(candidates.ids[order], scores[order])
