"""Training R stacked runs: `train_together`, the stacked form of `training.loop.train`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dal_core.models.networks import BayesianCNN
from dal_core.protocol.parameters import Protocol
from dal_core.training.loop import Training
from dal_core.training.stacked.draws import Draws
from dal_core.training.stacked.graph import WARM_UP, capture, run_on_side_stream
from dal_core.training.stacked.model import StackedModel, stack

EPOCHS_AHEAD = 25  # epochs that are drawn at once, and run between two reads of losses, on a GPU

Look = Callable[[int, Sequence[float], float], None]
"""Called with (epochs done, latest training loss of each run, seconds left); may raise."""


@dataclass(frozen=True)
class StackedSet:
    """Labelled images of R runs, on the models' device.

    Attributes:
        ids: [R, n] int64 positions in the images passed with it.
        labels: [R, n] int64.
    """

    ids: Tensor
    labels: Tensor


def train_together(
    models: Sequence[BayesianCNN],
    images: Tensor,
    training: StackedSet,
    protocol: Protocol,
    mask_seeds: Sequence[int],
    validation: StackedSet | None = None,
    order_seeds: Sequence[int] | None = None,
    look: Look | None = None,
    epochs_ahead: int | None = None,
    with_graph: bool = True,
) -> list[Training]:
    """Train R models in place and leave the kept weights in them (docs/method.md, section 6).

    Every epoch is validated on all images, since stopping early would need the loss on the host.

    Args:
        models: R freshly initialised models of one architecture.
        images: [M, channels, H, W] normalised, on the models' device.
        training: n images for each run; one batch unless `order_seeds` is given.
        protocol: epochs, optimiser, size of mini-batches and which weights to keep.
        mask_seeds: seeds of the dropout masks, by run; runs with equal seeds share their draws.
        validation: V images for each run; required if the best weights are kept.
        order_seeds: seeds of the order of mini-batches, by run. If given, training uses
            mini-batches of `protocol.full_data_batch_size`.
        look: called every `epochs_ahead` epochs.
        epochs_ahead: by default EPOCHS_AHEAD on a GPU and 1 on the CPU, where reading the losses
            costs nothing.
        with_graph: on a GPU, capture the epoch as a CUDA graph; False is for benchmarks.

    Returns:
        One Training for each run; `seconds` is its share of the time.

    Raises:
        ValueError: the protocol keeps the best weights but there are no validation images.
        torch.cuda.OutOfMemoryError: too many runs at once; the models are unchanged.
        GraphFailed: the epoch could not be captured; the models are unchanged.
    """
    if protocol.weights == "best" and validation is None:
        raise ValueError("weights is 'best', which needs a validation set; none was given")
    started = time.perf_counter()
    n_images = training.ids.shape[1]
    size = None if order_seeds is None else protocol.full_data_batch_size
    ahead = epochs_ahead or (EPOCHS_AHEAD if images.device.type == "cuda" else 1)
    with Draws(models[0], n_images, mask_seeds, order_seeds, size, ahead, images.device) as draws:
        epochs = Epochs(models, images, training, protocol, validation, draws, with_graph)
        done = 0
        while done < protocol.n_epochs:
            n_epochs = min(draws.ahead, protocol.n_epochs - done)
            draws.next_block(is_last=done + n_epochs == protocol.n_epochs)
            epochs.run(n_epochs)
            done += n_epochs
            losses = epochs.train_losses[done - 1].tolist()  # waits for the device
            if look is not None:
                left = (time.perf_counter() - started) / done * (protocol.n_epochs - done)
                look(done, losses, left)
    epochs.write_back(models)
    return epochs.results((time.perf_counter() - started) / len(models))


class Epochs:
    """The state of R trainings on the device, and one epoch of all of them."""

    def __init__(
        self,
        models: Sequence[BayesianCNN],
        images: Tensor,
        training: StackedSet,
        protocol: Protocol,
        validation: StackedSet | None,
        draws: Draws,
        with_graph: bool,
    ) -> None:
        self.model, self.draws, self.images, self.training = stack(models), draws, images, training
        self.weights = list(self.model.parameters.values())
        for weight in self.weights:
            weight.requires_grad_()
        on_gpu = images.device.type == "cuda"
        # AdamW works element by element, so stacked weights are updated like single ones.
        self.optimiser = torch.optim.AdamW(
            self.weights,
            lr=protocol.learning_rate,
            betas=protocol.betas,
            weight_decay=protocol.weight_decay,
            fused=True,
            capturable=on_gpu,
        )
        self.patches = None if draws.size else self.model.unfold(images[training.ids])
        shape = (protocol.n_epochs, len(models))
        self.train_losses = torch.zeros(shape, dtype=torch.float64, device=images.device)
        self.epoch = torch.zeros((), dtype=torch.int64, device=images.device)
        self.best = None
        if protocol.weights == "best" and validation is not None:
            self.best = _StackedBestWeights(self.model, images, validation, protocol.n_epochs)
        self.n_run, self.with_graph = 0, on_gpu and with_graph
        self.graph: torch.cuda.CUDAGraph | None = None

    def run(self, n_epochs: int) -> None:
        """Run some epochs; with a graph, those after the warm-up replay it."""
        for _ in range(n_epochs):
            if not self.with_graph:
                self.run_one()
            elif self.n_run < WARM_UP:
                run_on_side_stream(self.run_one)
            else:
                if self.graph is None:
                    self.graph = capture(self.run_one)
                self.graph.replay()
            self.n_run += 1

    def run_one(self) -> None:
        """One epoch: an optimiser step per batch, then validation. Nothing is sent to the host."""
        masks, order = self.draws.of_epoch(self.epoch)
        total = torch.zeros_like(self.train_losses[0])
        start = 0
        for n in self.draws.sizes:
            part = slice(start, start + n)
            patches, labels = self._batch(None if order is None else order[:, part])
            logits = self.model.head(self.model.trunk(patches), [mask[:, part] for mask in masks])
            losses = _cross_entropy(logits, labels).mean(1)  # [R]
            gradients = torch.autograd.grad(losses.sum(), self.weights)
            for weight, gradient in zip(self.weights, gradients, strict=True):
                # The fused optimiser needs a weight and its gradient in the same memory layout.
                weight.grad = gradient.contiguous()
            self.optimiser.step()
            total += losses.detach().double() * n
            start += n
        self.train_losses.index_copy_(0, self.epoch.view(1), (total / start).unsqueeze(0))
        if self.best is not None:
            self.best.validate(self.epoch)
        self.epoch += 1

    def write_back(self, models: Sequence[BayesianCNN]) -> None:
        """Copy the kept weights into the models."""
        self.model.write_back(models, self.best.weights if self.best else self.model.parameters)

    def results(self, seconds: float) -> list[Training]:
        """The losses and the best epoch of each run; `seconds` is the time for one run."""
        train_losses = self.train_losses.T.tolist()
        if self.best is None:
            return [Training(tuple(losses), (), None, seconds) for losses in train_losses]
        val_losses, epochs = self.best.losses.T.tolist(), self.best.epoch.tolist()
        return [
            Training(tuple(train), tuple(val), epoch + 1, seconds)
            for train, val, epoch in zip(train_losses, val_losses, epochs, strict=True)
        ]

    def _batch(self, order: Tensor | None) -> tuple[Tensor, Tensor]:
        """Patches and labels of the images at positions [R, b]; of all images if None."""
        if order is None:
            assert self.patches is not None
            return self.patches, self.training.labels
        images = self.images[self.training.ids.gather(1, order)]
        return self.model.unfold(images), self.training.labels.gather(1, order)


class _StackedBestWeights:
    """Keeps each run's weights with the lowest validation loss so far, on the device."""

    def __init__(
        self, model: StackedModel, images: Tensor, validation: StackedSet, n_epochs: int
    ) -> None:
        self.model, self.labels = model, validation.labels
        self.patches = model.unfold(images[validation.ids])
        self.weights = {name: w.detach().clone() for name, w in model.parameters.items()}
        shape = (n_epochs, len(validation.ids))
        self.losses = torch.zeros(shape, dtype=torch.float64, device=images.device)
        self.lowest = torch.full_like(self.losses[0], math.inf)
        self.epoch = torch.zeros_like(self.labels[:, 0])  # counted from 0

    @torch.no_grad()
    def validate(self, epoch: Tensor) -> None:
        """Validate with dropout off. The first epoch counts as the lowest, even if it is NaN."""
        losses = _cross_entropy(self.model.head(self.model.trunk(self.patches)), self.labels)
        loss = losses.double().clamp_min(0).mean(1)  # [R]
        self.losses.index_copy_(0, epoch.view(1), loss.unsqueeze(0))
        is_lower = (loss < self.lowest) | (epoch == 0)
        self.lowest.copy_(torch.where(is_lower, loss, self.lowest))
        self.epoch.copy_(torch.where(is_lower, epoch, self.epoch))
        for name, weight in self.model.parameters.items():
            chosen = is_lower.view(-1, *[1] * (weight.dim() - 1))
            self.weights[name].copy_(torch.where(chosen, weight, self.weights[name]))


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """[R, n, C] and [R, n] -> [R, n] nats."""
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
