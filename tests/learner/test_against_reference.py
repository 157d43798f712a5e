"""The fast implementation against the plain one in `benchmarks.reference`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import reference
from dal_core.data.base import ImageDataset
from dal_core.models.networks import BayesianCNN, build_model, normalise
from dal_core.posterior.mc_dropout import stochastic_passes
from dal_core.training.loop import train
from dal_core.training.weight_selection import Validation
from tests import fast

DROPOUT = (0.5, 0.25)


def pair(dropout: tuple[float, float] = DROPOUT) -> tuple[BayesianCNN, nn.Sequential]:
    """Ours and the reference with the same weights."""
    ours, theirs = build_model("lenet5", dropout, seed=3), reference.lenet5(dropout)
    with torch.no_grad():
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            other.copy_(mine)
    return ours, theirs


def labelled(mnist5k: ImageDataset, step: int) -> tuple[np.ndarray, np.ndarray]:
    return mnist5k.images[::step].copy(), mnist5k.labels[::step].copy()


def test_images_are_transformed_to_the_same_numbers(mnist5k: ImageDataset) -> None:
    images, labels = labelled(mnist5k, 100)
    (batch, wanted), *_ = reference.loader(images, labels)
    torch.testing.assert_close(normalise(images), batch, rtol=1e-6, atol=1e-6)
    assert wanted.tolist() == labels.tolist()


def test_the_validation_loss_is_the_references(mnist5k: ImageDataset) -> None:
    images, labels = labelled(mnist5k, 10)
    ours, theirs = pair()
    expected = reference.validation_loss(theirs, reference.loader(images, labels))
    measured = Validation(normalise(images), torch.from_numpy(labels)).measure(ours).loss
    assert measured == pytest.approx(expected, rel=1e-6)


def test_training_gradients_are_the_references_in_float64(mnist5k: ImageDataset) -> None:
    images, labels = labelled(mnist5k, 100)
    ours, theirs = (model.double() for model in pair((0, 0)))
    pixels, wanted = normalise(images).double(), torch.from_numpy(labels)
    for model in (ours, theirs):
        F.cross_entropy(model(pixels), wanted).backward()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-9, atol=1e-11)


def test_ten_epochs_lower_the_loss_as_the_reference_does(mnist5k: ImageDataset) -> None:
    """Without dropout both are the same computation, in float64 to many digits."""
    images, labels = labelled(mnist5k, 250)
    ours, theirs = pair((0, 0))
    ours, theirs = ours.double(), theirs.double()
    pixels, wanted = normalise(images).double(), torch.from_numpy(labels)
    protocol = fast.protocol(weights="last", n_epochs=10, dropout=[0, 0])
    optimiser = torch.optim.AdamW(theirs.parameters(), lr=protocol.learning_rate)
    expected = [reference.train_epoch(theirs, optimiser, pixels, wanted) for _ in range(10)]
    training = train(ours, pixels, wanted, protocol, torch.Generator())
    assert training.train_losses == pytest.approx(expected, rel=1e-7)


def test_stochastic_passes_have_the_references_mean_and_spread(mnist5k: ImageDataset) -> None:
    images, labels = labelled(mnist5k, 1000)
    ours, theirs = pair()
    n_passes = 1500
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        expected = reference.stochastic_passes(theirs, reference.loader(images, labels), n_passes)
    generator = torch.Generator().manual_seed(2)
    passes = stochastic_passes(ours, normalise(images), n_passes, generator)
    assert passes.shape == expected.shape == (n_passes, 5, 10)
    tolerance = 5 * standard_error(expected)
    assert ((passes.mean(0) - expected.mean(0)).abs() < tolerance).all()
    torch.testing.assert_close(passes.std(0), expected.std(0), rtol=0.15, atol=0)


def standard_error(passes: Tensor) -> Tensor:
    """Of the difference of two means over as many passes."""
    return passes.std(0) * (2 / len(passes)) ** 0.5
