"""The T softmax outputs of one image: the run's own if it scored the image, new ones otherwise."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dal_core.explain.step import ModelStep
from dal_core.posterior.mc_dropout import Dropout, McDropoutModel
from dal_core.protocol.randomness import Purpose


def scored_passes(step: ModelStep, image_id: int, n_passes: int) -> Tensor | None:
    """The passes with which the run scored a pool image, followed by more if needed.

    Args:
        n_passes: T; the first `num_mc_samples` gave the run's own score.

    Returns:
        [T, C] float32, or None for an image that the run did not score at this step.
    """
    candidates = step.pool_subset
    found = np.flatnonzero(candidates == image_id)
    if not len(found):
        return None
    seed, images = step.seed_of(Purpose.MC_DROPOUT_POOL), step.dataset.images
    return step.model.samples_of_one(images, candidates, int(found[0]), n_passes, seed).cpu()


def new_passes(
    step: ModelStep, image: np.ndarray, n_passes: int, dropout: Dropout | None = None
) -> Tensor:
    """Passes for any image, such as a person's drawing, or with other dropout rates.

    Their random numbers depend only on the run's seed and number of labels, so the same call
    always gives the same result. They come from a stream of their own (docs/method.md, section
    13, purpose 10).

    Args:
        image: uint8, of the data set's shape.
        n_passes: T.
        dropout: rates before the first and the second dense layer; None for the run's own.

    Returns:
        [T, C] float32.

    Raises:
        ValueError: a rate is outside [0, 1), `dropout` is given for a posterior without dropout
            rates, or the image has another shape.
    """
    shape = step.dataset.image_shape
    if image.shape != shape:
        raise ValueError(f"image is {list(image.shape)}; allowed: {list(shape)}")
    model = step.model
    if dropout is not None:
        if not isinstance(model, McDropoutModel):
            raise ValueError(f"posterior {step.protocol.posterior} has no dropout rates")
        model = model.with_dropout(dropout)
    return model.sample(image[None], n_passes, step.seed_of(Purpose.MC_DROPOUT_SHOWN))[:, 0].cpu()
