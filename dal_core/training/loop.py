"""Training a network from scratch on labelled images (docs/method.md, section 6).

The loss is cross entropy and the optimiser is AdamW. The training set is one batch, except for the
full-data bound, which uses mini-batches. All epochs are always run: keeping the best weights
regularises but saves no time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dal_core.models.networks import BayesianCNN
from dal_core.protocol.parameters import Protocol
from dal_core.training.weight_selection import BestWeights, BestWeightsInThread, Validation


@dataclass(frozen=True)
class Epoch:
    """Progress after one epoch; losses in nats per image.

    Attributes:
        number: number of the epoch, counted from 1.
        val_loss: None without validation, if validation stopped early, or while a thread is still
            validating (see `weight_selection`).
        seconds_left: extrapolated from the epochs so far.
    """

    number: int
    n_epochs: int
    train_loss: float
    val_loss: float | None
    seconds_left: float


@dataclass(frozen=True)
class Training:
    """Result of a training; losses in nats per image.

    Attributes:
        train_losses: loss of every epoch, with dropout on.
        val_losses: loss of every epoch, with dropout off; None if validation stopped early
            because the epoch could not be the best. Empty if the protocol keeps the last weights.
        best_epoch: counted from 1; None if the protocol keeps the last weights.
        seconds: wall-clock time.
    """

    train_losses: tuple[float, ...]
    val_losses: tuple[float | None, ...]
    best_epoch: int | None
    seconds: float

    @property
    def train_loss(self) -> float:
        """Loss on the training images, dropout on, in the epoch whose weights were kept."""
        return self.train_losses[(self.best_epoch or len(self.train_losses)) - 1]

    @property
    def val_loss(self) -> float | None:
        """Lowest validation loss, dropout off; None if the protocol keeps the last weights."""
        return None if self.best_epoch is None else self.val_losses[self.best_epoch - 1]


Watch = Callable[[Epoch], None]  # may raise to stop the training


@dataclass(frozen=True)
class BatchOrder:
    """Mini-batches of `size` images in a new random order for every epoch."""

    size: int
    generator: torch.Generator

    def epoch(self, n_images: int) -> Sequence[Tensor]:
        """Positions of the images in each mini-batch, [size] int64; the last may be shorter."""
        return torch.randperm(n_images, generator=self.generator).split(self.size)


def train(
    model: BayesianCNN,
    images: Tensor,
    labels: Tensor,
    protocol: Protocol,
    generator: torch.Generator,
    validation: tuple[Tensor, Tensor] | None = None,
    watch: Watch | None = None,
    batches: BatchOrder | None = None,
    full_curve: bool = False,
    helper: Executor | None = None,
    alive: Callable[[], None] = lambda: None,
) -> Training:
    """Train `model` in place and leave the kept weights in it.

    Args:
        model: freshly initialised.
        images: [n, channels, H, W] normalised; one batch unless `batches` is given.
        labels: [n] int64.
        protocol: epochs, optimiser and which weights to keep.
        generator: source of the dropout masks, on the CPU.
        validation: images and labels of V images; required if the best weights are kept.
        watch: called after every epoch.
        batches: how to divide each epoch into mini-batches.
        full_curve: measure the validation loss of every epoch, even if it cannot be the lowest.
            The kept weights are the same.
        helper: an executor with one thread, which validates an epoch while the next one trains.
            The result is the same to the last bit.
        alive: called after every batch, since an epoch can take minutes.

    The model and all tensors are on one device.

    Raises:
        ValueError: the protocol keeps the best weights but there is no validation set.
    """
    if protocol.weights == "best" and validation is None:
        raise ValueError("weights is 'best', which needs a validation set; none was given")
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=protocol.learning_rate,
        betas=protocol.betas,
        weight_decay=protocol.weight_decay,
        fused=True,
    )
    keeper = None
    if protocol.weights == "best" and validation is not None:
        keeper = _keeper(model, Validation(*validation, full_curve), helper)
    train_losses: list[float] = []
    started = time.perf_counter()
    try:
        for number in range(1, protocol.n_epochs + 1):
            parts = batches.epoch(len(images)) if batches else [slice(None)]
            train_losses.append(
                _train_epoch(model, images, labels, parts, optimiser, generator, alive)
            )
            val_loss = keeper.validate(number) if keeper else None
            if watch is not None:
                left = (time.perf_counter() - started) / number * (protocol.n_epochs - number)
                watch(Epoch(number, protocol.n_epochs, train_losses[-1], val_loss, left))
        if keeper:
            keeper.restore()
    finally:
        if keeper:
            keeper.close()
    return Training(
        tuple(train_losses),
        tuple(keeper.losses) if keeper else (),
        keeper.best_epoch if keeper else None,
        time.perf_counter() - started,
    )


def _train_epoch(
    model: BayesianCNN,
    images: Tensor,
    labels: Tensor,
    parts: Sequence[slice | Tensor],
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    alive: Callable[[], None],
) -> float:
    """One pass over the images with an optimiser step per part; returns the mean loss per image."""
    total = 0.0
    for part in parts:
        batch, targets = images[part], labels[part]
        first, second = model.draw_masks(len(batch), generator)
        masks = first.to(batch.device), second.to(batch.device)
        optimiser.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(batch, masks), targets)
        loss.backward()
        optimiser.step()
        total += float(loss.detach()) * len(batch)
        alive()
    return total / len(images)


def _keeper(
    model: BayesianCNN, validation: Validation, helper: Executor | None
) -> BestWeights | BestWeightsInThread:
    if helper is None:
        return BestWeights(model, validation)
    return BestWeightsInThread(model, validation, helper)
