"""The scores of a step's pool images by every acquisition function, and their ranks.

The pool is scored as the run scores it: with the same subset, masks and order of equal scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dal_core.acquisition import registry
from dal_core.acquisition.top_k import rank, tie_order
from dal_core.explain.parts import scored_functions
from dal_core.explain.step import ModelStep
from dal_core.protocol.randomness import Purpose, numpy_generator

HIGH_ENTROPY_SHARE = 0.05  # share of the pool whose entropy counts as "high" for examples


@dataclass(frozen=True)
class PoolScores:
    """The pool of a step, scored.

    Attributes:
        image_ids: [N] int64, the scored images.
        scores: [N] for each function by name, `random` included.
        priority: [N]; of equal scores, the lower number comes first.
        mean: [N, C] mean softmax output over the passes.
        n_passes: T.
        n_labelled: number of labels the model was trained on.
    """

    image_ids: np.ndarray
    scores: Mapping[str, np.ndarray]
    priority: np.ndarray
    mean: np.ndarray
    n_passes: int
    n_labelled: int

    def __len__(self) -> int:
        return len(self.image_ids)

    def ranking(self, name: str, n: int | None = None) -> np.ndarray:
        """Image ids by descending score, as a run with this function would rank them."""
        order = rank(self.scores[name], self.priority)
        return self.image_ids[order[:n]]

    def score_of(self, name: str, image_id: int) -> float | None:
        """The image's score, or None if it was not scored."""
        found = np.flatnonzero(self.image_ids == image_id)
        return float(self.scores[name][found[0]]) if len(found) else None


@dataclass(frozen=True)
class Place:
    """The rank of a score in the pool: 1 is the best; `equal` other images have the same score."""

    rank: int
    equal: int
    n_images: int


def score_pool(step: ModelStep, progress: Callable[[int, int], None] | None = None) -> PoolScores:
    """Score the images that the run scores at this step, with the same passes.

    Args:
        progress: called with (images done, N) after each chunk.
    """
    ids, protocol = step.pool_subset, step.protocol
    names = scored_functions()
    functions = {name: registry.scorer(name, protocol.entropy_eps) for name in names}
    scores = {name: np.empty(len(ids), dtype=np.float32) for name in names}
    mean = np.empty((len(ids), step.dataset.n_classes), dtype=np.float32)
    images, n_passes, start = step.dataset.images[ids], protocol.num_mc_samples, 0
    seed, n_labelled = step.seed, step.n_labelled
    for probs in step.model.pool_in_chunks(
        images, n_passes, step.seed_of(Purpose.MC_DROPOUT_POOL), progress=progress
    ):
        chunk = slice(start, start + probs.shape[1])
        for name in names:
            scores[name][chunk] = functions[name](probs).cpu().numpy()
        mean[chunk] = probs.mean(0).cpu().numpy()
        start = chunk.stop
    ties = numpy_generator(seed, Purpose.TIES, n_labelled)
    return PoolScores(
        image_ids=ids,
        scores=scores | _drawn_scores(seed, n_labelled, len(ids)),
        priority=tie_order(len(ids), protocol.ties, ties),
        mean=mean,
        n_passes=n_passes,
        n_labelled=n_labelled,
    )


def _drawn_scores(seed: int, n_labelled: int, n_images: int) -> dict[str, np.ndarray]:
    """Scores [N] by name, for the functions that do not use the model."""
    return {
        entry.name: entry.score(n_images, numpy_generator(seed, Purpose.RANDOM_SCORES, n_labelled))
        for entry in registry.functions()
        if entry.needs == "nothing" and entry.score is not None
    }


def place_of(pool: PoolScores, name: str, score: float, image_id: int | None = None) -> Place:
    """The rank of a score among the pool's other images.

    Args:
        image_id: the image scored; None for one outside the pool.
    """
    others = pool.scores[name][pool.image_ids != image_id] if image_id is not None else None
    others = pool.scores[name] if others is None else others
    value = others.dtype.type(score)  # float32, as stored; otherwise equal scores would differ
    return Place(
        rank=1 + int((others > value).sum()),
        equal=int((others == value).sum()),
        n_images=len(others) + 1,
    )


def ambiguous_image(pool: PoolScores) -> int:
    """The image with high entropy for which BALD is the smallest share of the entropy.

    The passes agree that it could be of several classes. Max entropy would ask for it, BALD would
    not (report, section 2.2.2).

    Raises:
        ValueError: the pool is empty.
    """
    high = _high_entropy(pool)
    share = pool.scores["bald"][high] / pool.scores["max_entropy"][high]
    return int(pool.image_ids[high[share.argmin()]])


def disputed_image(pool: PoolScores) -> int:
    """The image with high entropy and the highest BALD: the passes contradict each other.

    Raises:
        ValueError: the pool is empty.
    """
    high = _high_entropy(pool)
    return int(pool.image_ids[high[pool.scores["bald"][high].argmax()]])


def disagreement(pool: PoolScores, image_id: int) -> float:
    """The share of a pool image's entropy that is disagreement: BALD / entropy; 0 without entropy.

    Raises:
        ValueError: the image was not scored.
    """
    entropy, bald = pool.score_of("max_entropy", image_id), pool.score_of("bald", image_id)
    if entropy is None or bald is None:
        raise ValueError(f"image is {image_id}; allowed: one that was scored")
    return bald / entropy if entropy > 0 else 0.0


def _high_entropy(pool: PoolScores) -> np.ndarray:
    """Positions of the HIGH_ENTROPY_SHARE of the pool with the highest entropy."""
    if not len(pool):
        raise ValueError("the pool is empty: there is no image to show")
    n = max(1, round(HIGH_ENTROPY_SHARE * len(pool)))
    return rank(pool.scores["max_entropy"], pool.priority)[:n]
