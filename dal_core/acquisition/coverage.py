"""Weighted coverage: a batch beside which no uncertain part of the pool is left alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dal_core.acquisition.registry import AcquisitionFunction, register
from dal_core.acquisition.scores import bald, max_entropy

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor

    from dal_core.acquisition.batch import Batch, Candidates, Places

N_COVERED = 5000  # images to be covered, drawn from the candidates if there are more
N_CHOSEN_FROM = 1000  # images to choose from: those of the highest weight
N_MEASURED = 500  # images whose median distance sets the scale
BAND = 0.25  # band width, as a share of the median squared distance


@dataclass(frozen=True, eq=False)
class Covering:
    """The images to be covered, and how close others are to them.

    Attributes:
        places: of the candidates [N, D] and of the labelled images [L, D].
        targets: [M] int64 positions of the candidates to be covered, in ascending order.
        scale: s^2, BAND times the median squared distance of N_MEASURED candidates.
    """

    places: Places
    targets: Tensor
    scale: float

    @classmethod
    def of(cls, places: Places, generator: np.random.Generator) -> Covering:
        """Draw the images to be covered and those that set the scale."""
        import torch

        from dal_core.acquisition.coordinates import median_squared_distance

        points = places.candidates
        shuffled = torch.from_numpy(generator.permutation(len(points)))
        scale = BAND * median_squared_distance(points[shuffled[:N_MEASURED]])
        return cls(places, shuffled[:N_COVERED].sort().values, scale)

    def similarity(self, points: Tensor) -> Tensor:
        """k(i, j) of points [n, D] and the images to be covered: [n, M] in [0, 1]."""
        from dal_core.acquisition.coordinates import squared_distances

        targets = self.places.candidates[self.targets]
        return squared_distances(points, targets).div_(-self.scale).exp_()

    def by_labelled(self) -> Tensor:
        """c, [M]: how much the labelled images cover each image."""
        import torch

        labelled = self.places.labelled
        if not len(labelled):
            return torch.zeros(len(self.targets))
        return self.similarity(labelled).amax(0)


def weighted_coverage(
    weights: Tensor, places: Places, size: int, generator: np.random.Generator, order: np.ndarray
) -> tuple[list[int], list[float]]:
    """Choose images that cover the pool, weighted by how uncertain each image is.

    f(S) = sum_i w_i max(c_i, max_{j in S} k(i, j)),  k(i, j) = exp(-|x_i - x_j|^2 / s^2),
    where c_i = max_l k(i, l) over labelled images l, and s^2 is BAND times the median squared
    distance of candidates (docs/method.md, section 3.1). Images are chosen greedily.

    For N candidates of D coordinates and L labelled images it takes
    O(min(N, 5000) (1000 + L) D) operations and 20 MB.

    Args:
        weights: w, [N]; values below 0 count as 0.
        places: x, of the candidates [N, D] and of the labelled images [L, D].
        size: number of images to choose.
        generator: draws the images that are covered and those that set the scale.
        order: [N] positions by descending weight; its head is chosen from.

    Returns:
        Positions of the chosen images in order, and what each adds to f.
    """
    import torch

    from dal_core.acquisition.greedy import cover

    covering = Covering.of(places, generator)
    chosen_from = torch.from_numpy(order[:N_CHOSEN_FROM].copy())
    positions, gains = cover(
        covering.similarity(places.candidates[chosen_from]),
        weights[covering.targets].float().clamp(min=0),
        covering.by_labelled(),
        size,
    )
    return chosen_from[positions].tolist(), gains


def _choose(score: Callable[..., Tensor], candidates: Candidates, size: int) -> Batch:
    weights = score(candidates.probs, candidates.eps).cpu()
    order = candidates.best(weights.numpy(), len(weights))
    places = candidates.pixels()
    return candidates.batch(*weighted_coverage(weights, places, size, candidates.generator, order))


_EQUATION = (
    r"\sum_i w_i \max\Big(c_i, \max_{j \in S} e^{-\lVert x_i - x_j \rVert^2 / s^2}\Big), \qquad "
)

register(
    AcquisitionFunction(
        name="bald_coverage",
        title="BALD-weighted coverage",
        short_title="BALD cover",
        hint="covers the part of the pool that predictions disagree on, with unlike images",
        equation=_EQUATION + r"w_i = \text{BALD of image } i",
        source="facility location (Nemhauser et al. 1978), weighted by BALD",
        record_name="mutual_information_coverage",
        bounds=lambda n_classes, n_passes: (0, float("inf")),
        needs="features",
        colour="crimson",
        choose=partial(_choose, bald),
        needs_disagreement=True,
    )
)

register(
    AcquisitionFunction(
        name="entropy_coverage",
        title="Entropy-weighted coverage",
        short_title="ME cover",
        hint="covers the part of the pool that the mean prediction is unsure of",
        equation=_EQUATION + r"w_i = \mathbb{H}[m_i]",
        source="facility location (Nemhauser et al. 1978), weighted by entropy",
        record_name="predictive_entropy_coverage",
        bounds=lambda n_classes, n_passes: (0, float("inf")),
        needs="features",
        colour="coral",
        choose=partial(_choose, max_entropy),
    )
)
