"""MC dropout: T stochastic forward passes, the trunk once and the head T times.

Work goes in chunks of images with a fixed size, each with masks from a generator of its own
(seeded by the chunk's number), so the numbers do not depend on who computes which chunk, and the
temporaries of a chunk stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from dal_core.models import BayesianCNN, normalise

CHUNK = 250  # images; measured best between 128 and 500 on one core


def stochastic_passes(
    model: BayesianCNN, images: Tensor, n_passes: int, generator: torch.Generator
) -> Tensor:
    """p[t, n, c] = softmax(f(x_n; w_t)) with new dropout masks for every pass (report, 2.1.1).

    Args:
        model: its trunk runs once, its head `n_passes` times.
        images: [N, 1, 28, 28] normalised.
        n_passes: T.
        generator: every mask comes from it.

    Returns:
        [T, N, C] float32 probabilities.
    """
    with torch.inference_mode():
        features = model.trunk(images)  # [N, F]
        logits = [
            model.head(features, model.draw_masks(len(images), generator)) for _ in range(n_passes)
        ]
        return torch.softmax(torch.stack(logits), -1)


def chunked_passes(
    model: BayesianCNN,
    images: np.ndarray,
    n_passes: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Tensor]:
    """`stochastic_passes` over uint8 [N, 28, 28] images, CHUNK images at a time.

    Args:
        seed: with the number of the chunk it seeds that chunk's masks.
        progress: called with (images done, N) after each chunk.

    Yields:
        [T, n, C] for each chunk of n images, in order.
    """
    for number, start in enumerate(range(0, len(images), CHUNK)):
        mask_seed = np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(mask_seed[0] >> np.uint64(1)))
        chunk = images[start : start + CHUNK]
        yield stochastic_passes(model, normalise(chunk), n_passes, generator)
        if progress is not None:
            progress(min(start + CHUNK, len(images)), len(images))
