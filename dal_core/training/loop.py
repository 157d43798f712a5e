"""Training from scratch: labelled images in, the kept weights and the loss history out.

Full batch (mini-batches for the full data set), cross entropy, AdamW, a fixed number of epochs
that is never cut short: keeping the best weights regularises, it saves no time (report, section
3.1; SPEC section 6). What to train on and when is the learner's business.
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
    """What is known after one epoch; `seconds_left` is extrapolated from the epochs so far.

    `val_loss` is None where there is no validation, where it was given up (see `validation`), or
    where it is not over yet (see `best_weights`).
    """

    number: int
    n_epochs: int
    train_loss: float
    val_loss: float | None
    seconds_left: float


@dataclass(frozen=True)
class Training:
    """Result of a training; losses in nats per image.

    `val_losses` and `best_epoch` (counted from 1) are empty and None where the protocol keeps the
    last epoch's weights, which needs no validation. A validation loss is None for an epoch whose
    validation was given up, since it could not become the lowest any more (see `validation`).
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
        """Lowest validation loss, dropout off."""
        return None if self.best_epoch is None else self.val_losses[self.best_epoch - 1]


Watch = Callable[[Epoch], None]  # may raise to give the training up


@dataclass(frozen=True)
class BatchOrder:
    """Mini-batches of `size` images in an order drawn anew for every epoch."""

    size: int
    generator: torch.Generator

    def epoch(self, n_images: int) -> Sequence[Tensor]:
        """Positions of the images of each mini-batch, [size] int64, the last one shorter."""
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
) -> Training:
    """Train `model` in place and leave the kept weights in it.

    Args:
        model: freshly initialised.
        images: [n, 1, 28, 28] normalised; the whole set is one batch unless `batches` says else.
        labels: [n] int64.
        protocol: epochs, optimiser and which weights to keep.
        generator: dropout masks come from it.
        validation: images [V, 1, 28, 28] and labels [V]; needed where the best weights are kept.
        watch: called after every epoch.
        batches: how to divide each epoch into mini-batches.
        full_curve: measure every epoch's validation loss, also where it cannot be the lowest; the
            kept weights are the same.
        helper: one thread that validates an epoch while the next one trains; the result is the
            same to the last bit.

    All tensors and the model are on one device; the generator is the CPU's.

    Raises:
        ValueError: the best weights are to be kept but there is no validation set.
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
            train_losses.append(_train_epoch(model, images, labels, parts, optimiser, generator))
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
) -> float:
    """One pass over the images, an optimiser step per part; the mean loss per image."""
    total = 0.0
    for part in parts:
        batch, wanted = images[part], labels[part]
        first, second = model.draw_masks(len(batch), generator)
        masks = first.to(batch.device), second.to(batch.device)
        optimiser.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(batch, masks), wanted)
        loss.backward()
        optimiser.step()
        total += float(loss.detach()) * len(batch)
    return total / len(images)


def _keeper(
    model: BayesianCNN, validation: Validation, helper: Executor | None
) -> BestWeights | BestWeightsInThread:
    if helper is None:
        return BestWeights(model, validation)
    return BestWeightsInThread(model, validation, helper)
