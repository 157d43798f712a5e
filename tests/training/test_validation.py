"""Validation that stops early keeps the same weights as a full validation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dal_core.data.base import ImageDataset
from dal_core.models.networks import BayesianCNN, build_model, normalise
from dal_core.training.loop import Training, train
from dal_core.training.weight_selection import VALIDATION_CHUNK, Validation, image_losses
from tests import fast

Labelled = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def validation_set(mnist5k: ImageDataset) -> Labelled:
    """700 images: five whole chunks and a part."""
    ids = range(3, 4903, 7)
    return normalise(mnist5k.images[ids]), torch.from_numpy(mnist5k.labels[ids])


def trained(
    mnist5k: ImageDataset, validation: Labelled, rate: float, full: bool
) -> tuple[BayesianCNN, Training]:
    """A rash training on 20 images, whose validation loss goes up and down."""
    ids = range(0, 5000, 250)
    images, labels = normalise(mnist5k.images[ids]), torch.from_numpy(mnist5k.labels[ids])
    protocol = fast.protocol(weights="best", n_epochs=40, learning_rate=rate)
    model = build_model("lenet5", protocol.dropout, seed=5)
    generator = torch.Generator().manual_seed(6)
    kept = train(model, images, labels, protocol, generator, validation, full_curve=full)
    return model, kept


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.02])
def test_stopping_early_keeps_the_same_weights_to_the_last_bit(
    mnist5k: ImageDataset, validation_set: Labelled, rate: float
) -> None:
    quick, short = trained(mnist5k, validation_set, rate, full=False)
    slow, whole = trained(mnist5k, validation_set, rate, full=True)
    assert all(map(torch.equal, quick.parameters(), slow.parameters()))
    assert (short.best_epoch, short.val_loss) == (whole.best_epoch, whole.val_loss)
    assert short.train_losses == whole.train_losses
    assert None not in whole.val_losses


def test_only_epochs_that_are_not_the_best_are_stopped_early(
    mnist5k: ImageDataset, validation_set: Labelled
) -> None:
    _, short = trained(mnist5k, validation_set, 0.01, full=False)
    _, whole = trained(mnist5k, validation_set, 0.01, full=True)
    curve = [loss for loss in whole.val_losses if loss is not None]
    assert None in short.val_losses, "the test needs epochs that are given up"
    for epoch, loss in enumerate(short.val_losses):
        if loss is None:
            assert curve[epoch] >= min(curve[:epoch])
        else:
            assert loss == curve[epoch]


def test_epochs_that_cannot_win_evaluate_few_images(validation_set: Labelled) -> None:
    seen: list[int] = []

    class Counting(BayesianCNN):
        """Its logits are given; it counts the images it is asked about."""

        confidence = 1.0

        def forward(self, images: Tensor, masks: object = None) -> Tensor:
            seen.append(len(images))
            logits = torch.zeros(len(images), 10)
            logits[:, 0] = self.confidence
            return logits

    images, labels = validation_set
    model, validation = Counting((0, 0), 0, 0), Validation(images, labels)
    assert validation.measure(model).is_lowest
    assert sum(seen) == len(labels)
    seen.clear()
    model.confidence = 20.0  # certain, and wrong for nine digits of ten
    assert validation.measure(model).loss is None
    assert seen == [VALIDATION_CHUNK]  # the hardest are looked at first
    seen.clear()
    model.confidence = 0.5
    assert validation.measure(model).is_lowest
    assert sum(seen) == len(labels)


def test_a_loss_is_the_mean_over_all_images(validation_set: Labelled) -> None:
    model = build_model("lenet5", (0.5, 0.25), seed=5)
    expected = float(image_losses(model, *validation_set).mean())
    assert Validation(*validation_set).measure(model).loss == pytest.approx(expected, rel=1e-6)


def test_the_first_epoch_counts_even_where_its_loss_is_not_a_number(
    validation_set: Labelled,
) -> None:
    model = build_model("lenet5", (0.5, 0.25), seed=5)
    with torch.no_grad():
        model.dense_layers()[-1].bias.fill_(float("nan"))
    validation = Validation(*validation_set)
    assert validation.measure(model).is_lowest
    assert not validation.measure(model).is_lowest


def test_no_image_has_a_negative_loss(validation_set: Labelled) -> None:
    model = build_model("lenet5", (0.5, 0.25), seed=5)
    with torch.no_grad():
        model.dense_layers()[-1].weight.mul_(1e4)  # most losses vanish, some are huge
    losses = image_losses(model, *validation_set)
    assert losses.min() == 0
    assert losses.dtype == torch.float64
