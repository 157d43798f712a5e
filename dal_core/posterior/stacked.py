"""MC dropout for R models at once: the stacked form of `posterior.mc_dropout`.

With the same seeds, the masks equal those of `McDropoutModel.sample_in_chunks`, and the
probabilities agree up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from dal_core.models.dropout_masks import BITS, KeepBits, keep
from dal_core.models.networks import BayesianCNN
from dal_core.posterior.base import CHUNK
from dal_core.posterior.mc_dropout import chunk_generator
from dal_core.training.stacked.model import StackedModel, stack

PASSES_BYTES = 2**30  # limit for the dropped-out features of the passes computed at once


@torch.no_grad()
def passes_together(
    models: Sequence[BayesianCNN],
    images: Tensor,
    ids: Tensor,
    n_passes: int,
    seeds: Sequence[int],
) -> Iterator[Tensor]:
    """p[r, t, n, c] for R models, each on its own images (docs/method.md, section 2).

    Args:
        images: [M, channels, H, W] float32, normalised, on the models' device.
        ids: [R, N] int64, positions in `images` for each run.
        n_passes: T.
        seeds: seeds of the masks, by run; runs with equal seeds share their draws.

    Yields:
        [R, T, n, C] for each chunk of n images, in order.
    """
    model = stack(models)
    scales = [1 / (1 - p) for p in models[0].dropout]
    for name, scale in zip(model.dense, scales, strict=False):
        model.parameters[f"{name}.weight"] *= scale
    distinct = list(dict.fromkeys(seeds))
    stream = torch.tensor([distinct.index(seed) for seed in seeds], device=images.device)
    for number, chunk in enumerate(ids.split(CHUNK, dim=1)):
        features = model.trunk(model.unfold(images[chunk]))  # [R, n, F]
        n_images = chunk.shape[1]
        bits = [_chunk_bits(models[0], n_images, number, s, images.device) for s in distinct]
        passes = list[Tensor]()
        while len(passes) * BITS < n_passes:
            layers = zip(*bits, strict=True)
            words = [torch.stack([bits.next_words() for bits in layer]) for layer in layers]
            left = min(BITS, n_passes - len(passes) * BITS)
            passes.append(_passes_of_words(model, features, words, stream, left))
        yield torch.cat(passes, dim=1)


def _chunk_bits(
    model: BayesianCNN, n_images: int, number: int, seed: int, device: torch.device
) -> list[KeepBits]:
    """The mask bits of one chunk for each dropped-out layer, as `mc_dropout` draws them."""
    generator = chunk_generator(seed, number)
    return [
        KeepBits((n_images, units), p, generator, device)
        for units, p in zip((model.feature_size, model.hidden_size), model.dropout, strict=True)
    ]


def _passes_of_words(
    model: StackedModel, features: Tensor, words: Sequence[Tensor], stream: Tensor, n_passes: int
) -> Tensor:
    """Up to 32 passes.

    Args:
        features: [R, n, F].
        words: [S, n, U] int32 for each dropped-out layer; the first pass is in the sign bit.
        stream: [R] int64, which of the S streams each run uses.

    Returns:
        [R, n_passes, n, C].
    """
    n_runs, n_images, n_units = features.shape
    at_once = max(1, min(n_passes, PASSES_BYTES // (4 * n_runs * n_images * n_units)))
    parts = []
    for shifts in torch.arange(n_passes, device=features.device, dtype=torch.int32).split(at_once):
        x = features.unsqueeze(1)  # [R, 1, n, F]
        for number, name in enumerate(model.dense):
            x = x.relu_() if number > 0 else x
            if number < len(words):
                bits = (words[number].unsqueeze(1) << shifts.view(-1, 1, 1)) >> (BITS - 1)
                x = keep(x, bits.index_select(0, stream))  # [R, passes, n, U]
            x = model.linear(name, x.flatten(1, 2)).unflatten(1, (len(shifts), n_images))
        parts.append(torch.softmax(x, -1))
    return torch.cat(parts, dim=1)
