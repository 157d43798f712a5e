"""Passes of stacked models on the CPU equal those of each model alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dal_core.data.base import ImageDataset
from dal_core.models.networks import build_model, normalise
from dal_core.posterior.mc_dropout import McDropoutModel
from dal_core.posterior.stacked import passes_together
from dal_core.training.loop import Training


@pytest.mark.parametrize("name", ["lenet5", "gal_cnn"])
def test_passes_of_several_models_are_those_of_each(mnist5k: ImageDataset, name: str) -> None:
    """Over a chunk and a bit, with more passes than a word holds."""
    images = normalise(mnist5k.images[:2000])
    models = [build_model(name, (0.25, 0.5), seed) for seed in (10, 11, 12)]
    n_images, n_passes = (520, 40) if name == "lenet5" else (30, 33)
    ids = torch.from_numpy(np.random.default_rng(2).integers(0, 2000, (3, n_images)))
    seeds = [7, 8, 7]
    mine = torch.cat(list(passes_together(models, images, ids, n_passes, seeds)), dim=2)
    assert mine.shape == (3, n_passes, n_images, 10)
    for run, model in enumerate(models):
        pixels = mnist5k.images[ids[run].numpy()]
        one = McDropoutModel(model, Training((), (), None, 0.0))
        theirs = torch.cat(list(one.sample_in_chunks(pixels, n_passes, seeds[run])), dim=1)
        torch.testing.assert_close(mine[run], theirs, rtol=1e-4, atol=1e-5)
