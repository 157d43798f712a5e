"""What is known before the first label: every class is equally likely.

Not a value of the protocol's `posterior`. A learner uses it in place of any posterior while there
is nothing to train on (docs/method.md, section 4).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dal_core.posterior.base import PosteriorModel
from dal_core.training.loop import Training


class Untrained(PosteriorModel):
    """Predicts 1 / C for every class of every image; its loss is ln C."""

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes
        self.training = Training((math.log(n_classes),), (), None, 0.0)

    def sample(self, images: np.ndarray, k: int, seed: int, consistent: bool = False) -> Tensor:
        return torch.full((k, len(images), self.n_classes), 1 / self.n_classes)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"n_classes": np.array([self.n_classes])}
