"""What a batch leaves uncovered: the weight of the pool far from every labelled or chosen image.

Weighted coverage chooses the images after which the least is left (docs/method.md, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dal_core.acquisition import registry
from dal_core.acquisition.coverage import Covering
from dal_core.explain.batches import Pool, may_ask
from dal_core.explain.redundancy import covering_of


@dataclass(frozen=True)
class Uncovered:
    """The weight not covered, before any pick and after each.

    Attributes:
        weight: name of the score that is the weight w: `bald`, or `max_entropy` if the model
            cannot disagree with itself.
        image_ids: [M] int64, the images to be covered.
        left: [b + 1, M] w_i (1 - c_i) after k picks, from k = 0.
        coordinates: [M, 2] the first two of the kernel's coordinates.
        picks: [b, 2] the same of the picks.
        labelled: [L, 2] the same of the labelled images.
        shown: share of the coordinates' variance that the two hold.
    """

    weight: str
    image_ids: np.ndarray
    left: np.ndarray
    coordinates: np.ndarray
    picks: np.ndarray
    labelled: np.ndarray
    shown: float

    @property
    def totals(self) -> np.ndarray:
        """[b + 1] sum of the weight not covered after k picks."""
        totals: np.ndarray = self.left.sum(1, dtype=np.float64)
        return totals

    @property
    def covered(self) -> float:
        """The share of the weight that all picks cover; 0 if there is no weight."""
        totals = self.totals
        return float(1 - totals[-1] / totals[0]) if totals[0] > 0 else 0.0


def weight_of(pool: Pool) -> str:
    """The score by which coverage is weighted here."""
    return "bald" if may_ask(pool.step, "bald") else "max_entropy"


def uncovered(
    pool: Pool, image_ids: tuple[int, ...], covering: Covering | None = None
) -> Uncovered:
    """The weight that is not covered, before and after each of these picks in their order."""
    covering = covering or covering_of(pool)
    weight = weight_of(pool)
    score = registry.scorer(weight, pool.step.protocol.entropy_eps)
    weights = score(pool.probs)[covering.targets].clamp(min=0)  # [M]
    points = pool.pixels.candidates
    at = pool.positions(image_ids)
    by_picks = covering.similarity(points[at])  # [b, M]
    reached = torch.cat([covering.by_labelled()[None], by_picks]).cummax(0).values
    variance = points.var(0)
    return Uncovered(
        weight=weight,
        image_ids=pool.step.pool_subset[covering.targets.numpy()],
        left=(weights * (1 - reached)).numpy(),
        coordinates=points[covering.targets, :2].numpy(),
        picks=points[at, :2].numpy(),
        labelled=pool.pixels.labelled[:, :2].numpy(),
        shown=float(variance[:2].sum() / variance.sum()),
    )
