"""The T softmax outputs of one image: the run's own where it scored it, fresh ones elsewhere.

Owns which masks one image is shown with. The passes themselves are `mc_dropout`'s.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from dal_core.explain.step import fitted_of
from dal_core.learner.bayesian_cnn import Learner
from dal_core.models.networks import BayesianCNN
from dal_core.posterior.mc_dropout import passes_of_one, stochastic_passes
from dal_core.protocol.randomness import Purpose, torch_seed

Dropout = tuple[float, float]


def scored_passes(learner: Learner, image_id: int, n_passes: int) -> Tensor | None:
    """The passes with which the run scored a pool image, and more of the same stream after them.

    Args:
        learner: with its model (see `step.stored_step`).
        n_passes: T; the first `num_mc_samples` of them are those behind the run's own score.

    Returns:
        [T, C] float32, or None for an image that the run did not score at this step.
    """
    candidates = learner.pool_subset()
    found = np.flatnonzero(candidates == image_id)
    if not len(found):
        return None
    fitted = fitted_of(learner)
    seed = torch_seed(learner.spec.seed, Purpose.MC_DROPOUT_POOL, learner.n_labelled)
    images, position = learner.dataset.images, int(found[0])
    return passes_of_one(fitted.model, images, candidates, position, n_passes, seed).cpu()


def fresh_passes(
    learner: Learner, image: np.ndarray, n_passes: int, dropout: Dropout | None = None
) -> Tensor:
    """Passes of any image, with masks the run has no use for: a drawn one, other dropout rates.

    The masks depend on the run's seed and labels only, so the same question has one answer.

    Args:
        learner: with its model.
        image: uint8, of the shape of the data set's images.
        n_passes: T.
        dropout: rates before the first and the second dense layer; None for the run's own.

    Returns:
        [T, C] float32.

    Raises:
        ValueError: a rate outside [0, 1), or an image of another shape.
    """
    if image.shape != learner.dataset.image_shape:
        allowed = list(learner.dataset.image_shape)
        raise ValueError(f"image is {list(image.shape)}; allowed: {allowed}")
    model = with_dropout(fitted_of(learner).model, dropout or learner.protocol.dropout)
    device = next(model.parameters()).device
    seed = torch_seed(learner.spec.seed, Purpose.MC_DROPOUT_SHOWN, learner.n_labelled)
    generator = torch.Generator().manual_seed(seed)
    return stochastic_passes(model, model.normalise(image[None]).to(device), n_passes, generator)[
        :, 0
    ].cpu()


def with_dropout(model: BayesianCNN, dropout: Dropout) -> BayesianCNN:
    """The same weights (shared, not copied) under other dropout rates. Raises ValueError."""
    for rate in dropout:
        if not 0 <= rate < 1:
            raise ValueError(f"dropout is {rate}; allowed: 0 or more, less than 1")
    other = copy.copy(model)
    other.dropout = (float(dropout[0]), float(dropout[1]))
    return other
