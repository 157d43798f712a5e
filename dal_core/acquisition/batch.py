"""Selection of a batch: a learner calls `select` to choose the images to ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Never

import numpy as np
import torch
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
        positions: [b] int64, where the images are among the candidates.
    """

    ids: np.ndarray
    gains: np.ndarray
    positions: np.ndarray


@dataclass(frozen=True)
class Places:
    """Points of images in one space: of the candidates [N, D] and of the labelled images [L, D]."""

    candidates: Tensor
    labelled: Tensor


def _not_given(*_: object) -> Never:
    raise ValueError("these candidates come without what the function chooses by")


@dataclass(eq=False)
class Candidates:
    """The images to choose from, and all that a function may ask about them.

    What is expensive is a function, which is called only if the choice needs it.

    Attributes:
        ids: [N] int64 image ids.
        priority: [N] int64 order of equal scores (`top_k.tie_order`).
        passes: returns the images' probabilities in chunks [T, n, C], in the order of `ids`.
        generator: source of all random numbers of the choice.
        joint: (positions [n], k) -> consistent samples [k, n, C]: sample t uses one network for
            all images.
        pixels: where the images lie by their pixels (`coordinates.principal_coordinates`).
        features: where they lie in the model's last hidden layer, without dropout.
        n_samples: T of the protocol.
        batch_size: number of images that are shown together.
        eps: the protocol's `entropy_eps`.
        before: images that are asked for already and are no candidates; None if there are none. A
            batch is chosen as if it went on after them. `pixels` and `features` have them among
            the labelled images.
        part_of: the candidates from which `without` made these, and which of them are left.
    """

    ids: np.ndarray
    priority: np.ndarray
    passes: Callable[[], Iterable[Tensor]]
    generator: np.random.Generator
    joint: Callable[[np.ndarray, int], Tensor] = _not_given
    pixels: Callable[[], Places] = _not_given
    features: Callable[[], Places] = _not_given
    n_samples: int = 1
    batch_size: int = 10
    eps: float = 0.0
    before: Candidates | None = None
    part_of: tuple[Candidates, np.ndarray] | None = None

    @cached_property
    def probs(self) -> Tensor:
        """All passes, [T, N, C]: 151 MB for 58,980 images, 64 passes and 10 classes."""
        return torch.cat(list(self.passes()), dim=1)

    def batch(
        self, positions: Sequence[int] | np.ndarray, gains: Sequence[float] | np.ndarray
    ) -> Batch:
        """The images at these positions as a batch."""
        at = np.asarray(positions, dtype=np.int64)
        return Batch(self.ids[at], np.asarray(gains), at)

    def without(self, positions: Sequence[int] | np.ndarray) -> Candidates:
        """These candidates after the images at these positions have been asked for.

        The samples stay those that the model drew for all images together.
        """
        whole, kept = self.part_of or (self, np.ones(len(self.ids), dtype=bool))
        left = kept.copy()
        left[np.flatnonzero(kept)[np.asarray(positions, dtype=np.int64)]] = False
        before = whole._part(~left) if not left.all() else None
        return replace(whole._part(left), before=before, part_of=(whole, left))

    def _part(self, kept: np.ndarray) -> Candidates:
        """Some of the images, [N] bool; the others count as labelled."""
        at, rest = torch.from_numpy(np.flatnonzero(kept)), torch.from_numpy(np.flatnonzero(~kept))

        def places(of: Callable[[], Places]) -> Places:
            points = of()
            labelled = torch.cat([points.labelled, points.candidates[rest]])
            return Places(points.candidates[at], labelled)

        return replace(
            self,
            ids=self.ids[kept],
            priority=self.priority[kept],
            passes=lambda: [self.probs[:, at]],
            joint=lambda positions, k: self.joint(at.numpy()[positions], k),
            pixels=lambda: places(self.pixels),
            features=lambda: places(self.features),
        )

    def best(self, scores: np.ndarray, size: int) -> np.ndarray:
        """Positions of the `size` highest scores [N], best first."""
        return rank(scores, self.priority)[:size]


def select(
    function: AcquisitionFunction,
    candidates: Candidates,
    size: int,
    *,
    n_passes_kept: int,
) -> tuple[Batch, Tensor | None]:
    """Choose the `size` best candidates, and keep the passes of the first of them.

    Args:
        n_passes_kept: R, the number of images whose passes are returned: those that may be asked
            for. A function whose order lacks the prefix property chooses these batch after batch.

    Returns:
        The batch (shorter than `size` if there are fewer candidates), and the passes [T, R, C] of
        its first R images (None if the function needs no passes).

    Raises:
        ValueError: the candidates lack what the function chooses by.
    """
    if function.choose is not None:
        batch = _choose(function, candidates, size, n_passes_kept)
        if "probs" not in vars(candidates):
            return batch, None
        return batch, candidates.probs[:, torch.from_numpy(batch.positions[:n_passes_kept])]
    if function.needs == "nothing" and function.score is not None:
        scores = function.score(len(candidates.ids), candidates.generator)
        return top_k(candidates, scores, size), None
    score = function.scorer(candidates.eps)
    best = Shortlist(n_passes_kept, candidates.priority)
    scores, start = np.empty(len(candidates.ids), dtype=np.float32), 0
    for probs in candidates.passes():
        chunk = score(probs).cpu().numpy()
        scores[start : start + len(chunk)] = chunk
        best.add(start, chunk, probs)
        start += len(chunk)
    return top_k(candidates, scores, size), best.probs


def _choose(
    function: AcquisitionFunction, candidates: Candidates, size: int, n_asked: int
) -> Batch:
    """The function's order; without prefix property, `n_asked` images batch after batch."""
    assert function.choose is not None
    if function.prefix:
        return function.choose(candidates, size)
    chosen, gains = np.empty(0, dtype=np.int64), np.empty(0)
    while len(chosen) < min(size, len(candidates.ids)):
        left = np.delete(np.arange(len(candidates.ids)), chosen)
        is_last = len(chosen) + candidates.batch_size >= min(n_asked, size)
        n = size - len(chosen) if is_last else candidates.batch_size
        batch = function.choose(candidates.without(chosen) if len(chosen) else candidates, n)
        chosen = np.concatenate([chosen, left[batch.positions]])
        gains = np.concatenate([gains, batch.gains])
    return candidates.batch(chosen, gains)


def top_k(candidates: Candidates, scores: np.ndarray, size: int) -> Batch:
    """The `size` images with the highest scores [N], each chosen by its own score alone."""
    order = candidates.best(scores, size)
    return candidates.batch(order, scores[order])
