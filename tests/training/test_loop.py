"""Training against a stock PyTorch loop, and which weights it leaves in the model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dal_core.data.base import ImageDataset
from dal_core.models.networks import BayesianCNN, build_model, normalise
from dal_core.protocol.parameters import Protocol
from dal_core.training.loop import BatchOrder, Epoch, Training, train
from dal_core.training.weight_selection import image_losses
from tests import fast

Labelled = tuple[Tensor, Tensor]


def labelled(dataset: ImageDataset, start: int, step: int) -> Labelled:
    ids = range(start, len(dataset), step)
    return normalise(dataset.images[ids]), torch.from_numpy(dataset.labels[ids])


@pytest.fixture(scope="module")
def training_set(mnist5k: ImageDataset) -> Labelled:
    return labelled(mnist5k, 0, 250)  # 20 images, two a class


@pytest.fixture(scope="module")
def validation_set(mnist5k: ImageDataset) -> Labelled:
    return labelled(mnist5k, 1, 50)  # 100 other images


def fitted(
    protocol: Protocol,
    data: Labelled,
    validation: Labelled | None = None,
    full_curve: bool = False,
) -> tuple[BayesianCNN, Training]:
    model = build_model("lenet5", protocol.dropout, seed=5)
    generator = torch.Generator().manual_seed(6)
    return model, train(model, *data, protocol, generator, validation, full_curve=full_curve)


def validation_loss(model: BayesianCNN, images: Tensor, labels: Tensor) -> float:
    return float(image_losses(model, images, labels).mean())


def stock_training(protocol: Protocol, data: Labelled) -> tuple[list[float], nn.Module]:
    """The same training with nothing but PyTorch's own layers, optimiser and loop."""
    ours = build_model("lenet5", protocol.dropout, seed=5)
    trunk = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
    )
    dense = nn.ModuleList([nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)])
    stock = nn.ModuleList([trunk, dense]).double()
    for mine, theirs in zip(stock.parameters(), ours.parameters(), strict=True):
        mine.data.copy_(theirs.data)
    optimiser = torch.optim.AdamW(
        stock.parameters(),
        lr=protocol.learning_rate,
        betas=protocol.betas,
        weight_decay=protocol.weight_decay,
        foreach=False,
    )
    generator, losses = torch.Generator().manual_seed(6), []
    for _ in range(protocol.n_epochs):
        first, second = ours.draw_masks(len(data[0]), generator)
        optimiser.zero_grad()
        hidden = torch.relu(dense[0](trunk(data[0]) * first))
        logits = dense[2](torch.relu(dense[1](hidden * second)))
        loss = nn.CrossEntropyLoss()(logits, data[1])
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses, stock


def test_training_equals_a_plain_pytorch_loop_with_the_same_masks(training_set: Labelled) -> None:
    """In float64, where rounding leaves no room for a difference in the procedure."""
    protocol = fast.protocol(
        n_epochs=15, learning_rate=0.002, weight_decay=0.1, betas=[0.8, 0.99], dropout=[0.5, 0.25]
    )
    data = (training_set[0].double(), training_set[1])
    model = build_model("lenet5", protocol.dropout, seed=5).double()
    training = train(model, *data, protocol, torch.Generator().manual_seed(6))
    losses, stock = stock_training(protocol, data)
    assert training.train_losses == pytest.approx(losses, rel=1e-9)
    for mine, theirs in zip(model.parameters(), stock.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-10)


def test_training_twice_gives_the_same_bits(
    training_set: Labelled, validation_set: Labelled
) -> None:
    protocol = fast.protocol(weights="best", n_epochs=30)
    (one, history), (two, again) = (
        fitted(protocol, training_set, validation_set) for _ in range(2)
    )
    assert history.train_losses == again.train_losses
    assert history.val_losses == again.val_losses
    assert all(map(torch.equal, one.parameters(), two.parameters()))


# A learning rate this large overshoots: the last epoch is not the best one.
RASH = {"learning_rate": 0.01, "n_epochs": 25}


def test_best_leaves_the_weights_of_the_lowest_validation_loss(
    training_set: Labelled, validation_set: Labelled
) -> None:
    protocol = fast.protocol(weights="best", **RASH)
    model, training = fitted(protocol, training_set, validation_set, full_curve=True)
    best, curve = training.best_epoch, [loss for loss in training.val_losses if loss is not None]
    assert best is not None
    assert len(curve) == protocol.n_epochs
    assert curve[best - 1] == min(curve) == training.val_loss
    assert curve[-1] > 1.05 * min(curve), "the test needs a worse end"
    assert validation_loss(model, *validation_set) == pytest.approx(training.val_loss, rel=1e-6)
    assert training.train_loss == training.train_losses[best - 1]

    # The best epoch's weights are those of a training that ends there.
    shorter = fast.protocol(weights="last", **{**RASH, "n_epochs": best})
    until_best, _ = fitted(shorter, training_set)
    assert all(map(torch.equal, model.parameters(), until_best.parameters()))


def test_last_leaves_the_weights_of_the_last_epoch(
    training_set: Labelled, validation_set: Labelled
) -> None:
    protocol = fast.protocol(weights="best", **RASH)
    best, history = fitted(protocol, training_set, validation_set, full_curve=True)
    last, training = fitted(fast.protocol(weights="last", **RASH), training_set)
    measured = validation_loss(last, *validation_set)
    assert measured == pytest.approx(history.val_losses[-1], rel=1e-6)
    assert not any(map(torch.equal, best.parameters(), last.parameters()))
    assert training.train_losses == history.train_losses
    assert (training.val_losses, training.val_loss, training.best_epoch) == ((), None, None)
    assert training.train_loss == training.train_losses[-1]


def test_best_without_a_validation_set_is_refused(training_set: Labelled) -> None:
    with pytest.raises(ValueError, match="needs a validation set"):
        fitted(fast.protocol(weights="best"), training_set)


def test_all_epochs_run_and_each_is_reported(
    training_set: Labelled, validation_set: Labelled
) -> None:
    protocol, seen = fast.protocol(weights="best"), list[Epoch]()
    model = build_model("lenet5", protocol.dropout, seed=5)
    training = train(model, *training_set, protocol, torch.Generator(), validation_set, seen.append)
    assert [(epoch.number, epoch.n_epochs) for epoch in seen] == [(i, 6) for i in range(1, 7)]
    assert tuple(epoch.train_loss for epoch in seen) == training.train_losses
    assert tuple(epoch.val_loss for epoch in seen) == training.val_losses
    assert all(epoch.seconds_left >= 0 for epoch in seen)
    assert seen[-1].seconds_left == 0


def test_watch_may_stop_the_training(training_set: Labelled) -> None:
    class Enough(Exception):
        pass

    seen = list[int]()

    def watch(epoch: Epoch) -> None:
        seen.append(epoch.number)
        if epoch.number == 2:
            raise Enough

    protocol = fast.protocol()
    model = build_model("lenet5", protocol.dropout, seed=5)
    with pytest.raises(Enough):
        train(model, *training_set, protocol, torch.Generator(), watch=watch)
    assert seen == [1, 2]


def test_training_lowers_the_loss(training_set: Labelled) -> None:
    _, training = fitted(fast.protocol(n_epochs=40, learning_rate=0.003), training_set)
    assert training.train_losses[0] > 2
    assert training.train_losses[-1] < 1


def test_a_validation_loss_is_the_mean_cross_entropy_without_dropout(
    validation_set: Labelled,
) -> None:
    model = build_model("lenet5", (0.5, 0.25), seed=5)
    images, labels = validation_set
    log_p = torch.log_softmax(model(images).detach().double(), -1)
    expected = -sum(float(log_p[n, label]) for n, label in enumerate(labels)) / len(labels)
    assert validation_loss(model, images, labels) == pytest.approx(expected, rel=1e-5)


def test_mini_batches_cover_every_image_once_an_epoch_in_a_new_order() -> None:
    order = BatchOrder(8, torch.Generator().manual_seed(2))
    one, other = (order.epoch(20) for _ in range(2))
    assert [len(batch) for batch in one] == [8, 8, 4]
    assert torch.cat(list(one)).sort().values.tolist() == list(range(20))
    assert torch.cat(list(one)).tolist() != torch.cat(list(other)).tolist()


def test_one_batch_of_everything_is_full_batch_training(training_set: Labelled) -> None:
    """Shuffling within the only batch moves nothing but rounding and who gets which mask."""
    protocol = fast.protocol(dropout=[0, 0])
    model = build_model("lenet5", (0, 0), seed=5)
    order = BatchOrder(1000, torch.Generator().manual_seed(2))
    training = train(model, *training_set, protocol, torch.Generator(), batches=order)
    _, full = fitted(protocol, training_set)
    assert training.train_losses == pytest.approx(full.train_losses, rel=1e-4)


def test_the_loss_of_an_epoch_is_the_mean_over_images_not_over_batches(
    training_set: Labelled,
) -> None:
    """At a learning rate of almost nothing all batches meet the same weights."""
    protocol = fast.protocol(dropout=[0, 0], learning_rate=1e-12, n_epochs=1)
    model = build_model("lenet5", (0, 0), seed=5)
    expected = validation_loss(model, *training_set)
    order = BatchOrder(19, torch.Generator().manual_seed(2))  # 19 images, then one
    training = train(model, *training_set, protocol, torch.Generator(), batches=order)
    assert training.train_loss == pytest.approx(expected, rel=1e-6)
