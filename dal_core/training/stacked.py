"""Lock-step: runs at the same step, trained and scored as one batch of models.

Runs of an experiment that stand at the same step have the same number of labels, so R small
trainings can be one: every parameter gets a leading axis of runs, [R, ...], every operation is a
batched one, and an epoch takes as many kernels for R runs as for one. That is for a GPU, where
starting kernels costs more than what they calculate for one run; on a CPU it is 2 to 4 times
slower, and `training` and `mc_dropout` remain the reference: given the same seeds these are the
same trainings, the same kept weights and the same passes but for rounding, which the tests hold
them to on the CPU. It has not run on a GPU yet: the graph is untested, the speed predicted, and
what to look at first is listed in `benchmarks/gpu.md`.

Convolutions are written out as patches times weights: a grouped convolution of many tiny groups
is expected to be slower on a GPU (not measured), and a matrix product is float32 throughout where
a convolution would by default be TF32. Nothing in an epoch depends on a value on the device, and
nothing is read back: losses, best weights and the epoch's number stay there, random numbers were
drawn ahead on the CPU. So an epoch can be one CUDA graph. Which runs stand together, and the
store, are the business of `lockstep_experiment`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dal_core.models.dropout_masks import BITS, KeepBits, keep
from dal_core.models.networks import BayesianCNN, GalCNN, LeNet5
from dal_core.posterior.mc_dropout import CHUNK, chunk_generator
from dal_core.protocol.parameters import Protocol
from dal_core.training.loop import Training

EPOCHS_AHEAD = 25  # drawn at once, and run between two looks at the losses, on a GPU
DRAWS_BYTES = 256 * 2**20  # at most, of what is drawn at once
WARM_UP = 3  # epochs before the graph is captured: libraries set themselves up in the first
MATRICES = 65_535  # in one batched product, which some of the libraries' kernels are limited to
ELEMENTS = 2**31 - 1  # of one tensor, which some kernels number with 32 bits
PASSES_BYTES = 2**30  # of the first dropped-out layer's units, for as many passes as fit

T = TypeVar("T")

Look = Callable[[int, Sequence[float], float], None]
"""Called with (epochs done, their last training loss by run, seconds left); may raise."""


class GraphFailed(RuntimeError):
    """An epoch could not be captured as a CUDA graph; it still can be run without one."""


@dataclass(frozen=True)
class Labelled:
    """The labelled images of R runs: ids into the images given beside, and labels, [R, n] int64."""

    ids: Tensor
    labels: Tensor


# -- R models as one ---------------------------------------------------------------------------


class StackedModel:
    """R models of one architecture; `parameters` by the names they have in one, each [R, ...].

    Activations are [R, n, ...]: run, image, then as in `models`. `training_floats` and
    `forward_floats` are the float32 numbers alive at once for an image of a run at the peak of a
    training step and of a validation, counted from the shapes (see `memory_of_a_run`);
    `largest_floats` those of the largest tensor alone.
    """

    training_floats: int
    forward_floats: int
    largest_floats: int

    def __init__(self, models: Sequence[BayesianCNN]) -> None:
        states = [dict(model.named_parameters()) for model in models]
        self.one = models[0]
        self.parameters = {
            name: torch.stack([state[name].detach() for state in states]).contiguous()
            for name in states[0]
        }
        self.dense = [n for n, layer in self.one.named_children() if isinstance(layer, nn.Linear)]

    def unfold(self, images: Tensor) -> Tensor:
        """[R, n, 1, 28, 28] images -> the patches that the first convolution multiplies."""
        raise NotImplementedError

    def trunk(self, patches: Tensor) -> Tensor:
        """Patches of images (see `unfold`) -> [R, n, feature_size] features."""
        raise NotImplementedError

    def head(self, features: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """[R, n, feature_size] features -> [R, n, C] logits; without masks, dropout is off."""
        x = features
        for number, name in enumerate(self.dense):
            x = F.relu(x) if number > 0 else x
            x = x * masks[number] if number < len(masks) else x
            x = _linear(x, self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"])
        return x

    def convolve(self, name: str, patches: Tensor) -> Tensor:
        """[R, n, C k k, L] patches -> [R, n, C', H', W'], square: L = H' W'; without the bias."""
        weight = self.parameters[f"{name}.weight"].flatten(2).unsqueeze(1)  # [R, 1, C', C k k]
        x = weight @ patches  # [R, n, C', L]
        side = math.isqrt(x.shape[-1])
        return x.unflatten(-1, (side, side))

    def add_bias(self, name: str, x: Tensor) -> Tensor:
        """[R, n, C', H', W'] with a convolution's bias; after pooling a quarter of the work."""
        return x + self.parameters[f"{name}.bias"][:, None, :, None, None]

    def write_back(self, models: Sequence[BayesianCNN], weights: Mapping[str, Tensor]) -> None:
        """Copy each run's weights into its own model."""
        with torch.no_grad():
            for number, model in enumerate(models):
                for name, parameter in model.named_parameters():
                    parameter.copy_(weights[name][number])


class _StackedLeNet5(StackedModel):
    training_floats, forward_floats = 80_000, 45_000
    largest_floats = 25 * 784  # patches of the first layer

    def unfold(self, images: Tensor) -> Tensor:
        return _patches(F.pad(images, (2, 2, 2, 2)), 5)  # [R, n, 25, 784]

    def trunk(self, patches: Tensor) -> Tensor:
        x = _pool(self.convolve("conv1", patches))
        x = F.relu(self.add_bias("conv1", x))  # [R, n, 6, 14, 14]
        x = _pool(self.convolve("conv2", _patches(x, 5)))
        x = F.relu(self.add_bias("conv2", x))  # [R, n, 16, 5, 5]
        return x.flatten(2)


class _StackedGalCNN(StackedModel):
    training_floats, forward_floats = 850_000, 420_000
    largest_floats = 512 * 625  # patches of the second layer

    def unfold(self, images: Tensor) -> Tensor:
        return _patches(F.pad(images, (1, 2, 1, 2)), 4)  # [R, n, 16, 784]

    def trunk(self, patches: Tensor) -> Tensor:
        x = F.relu(self.add_bias("conv1", self.convolve("conv1", patches)))  # [R, n, 32, 28, 28]
        x = _pool(self.convolve("conv2", _patches(x, 4)))
        x = F.relu(self.add_bias("conv2", x))  # [R, n, 32, 12, 12]
        return x.flatten(2)


STACKED: Mapping[type[BayesianCNN], type[StackedModel]] = {
    LeNet5: _StackedLeNet5,
    GalCNN: _StackedGalCNN,
}


def stack(models: Sequence[BayesianCNN]) -> StackedModel:
    """Copies of the models' parameters as one stacked model."""
    return STACKED[type(models[0])](models)


def memory_of_a_run(model: BayesianCNN, n_images: int, n_validation: int) -> int:
    """Bytes that one more run in a batch of models is expected to take while it is trained.

    Args:
        n_images: of one batch.
        n_validation: 0 where the last weights are kept.
    """
    kind = STACKED[type(model)]
    return 4 * (kind.training_floats * n_images + kind.forward_floats * n_validation)


def runs_that_fit(model: BayesianCNN, n_images: int, n_validation: int, n_bytes: int) -> int:
    """How many runs to train at once in that much memory, at least one."""
    by_memory = n_bytes // memory_of_a_run(model, n_images, n_validation)
    return max(1, min(by_memory, runs_at_once(model, max(n_images, n_validation, CHUNK))))


def runs_at_once(model: BayesianCNN, n_images: int) -> int:
    """How many runs of that many images each kernels can number, at least one."""
    largest = STACKED[type(model)].largest_floats * n_images
    return max(1, min(MATRICES // n_images, ELEMENTS // largest))


def in_groups(work: Callable[[list[T]], None], members: Sequence[T], at_most: int) -> int:
    """Do `work` on groups of `at_most` members, on smaller ones when memory runs short.

    Returns:
        The size of group that there was memory for.

    Raises:
        torch.cuda.OutOfMemoryError: there is not enough for a single one.
    """
    start, size = 0, max(1, min(at_most, len(members)))
    while start < len(members):
        group = list(members[start : start + size])
        try:
            work(group)
        except torch.cuda.OutOfMemoryError:
            if len(group) == 1:
                raise
            size = (len(group) + 1) // 2
            continue
        start += len(group)
    return size


def _patches(x: Tensor, kernel: int) -> Tensor:
    """[R, n, C, H, W] -> [R, n, C k k, L]: what the kernel sees at each of L places."""
    return _Patches.apply(x, kernel)


class _Patches(torch.autograd.Function):
    """`F.unfold` of all images at once: on a GPU PyTorch's own starts a kernel for each image."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: int) -> Tensor:
        ctx.kernel, ctx.size = kernel, x.shape[-2:]
        seen = x.unfold(3, kernel, 1).unfold(4, kernel, 1)  # [R, n, C, H', W', k, k]
        return seen.permute(0, 1, 2, 5, 6, 3, 4).flatten(5).flatten(2, 4)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        folded = F.fold(grad.flatten(0, 1), ctx.size, ctx.kernel)  # one kernel, no atomic sums
        return folded.unflatten(0, grad.shape[:2]), None


def _pool(x: Tensor) -> Tensor:
    """2x2 max-pool: [R, n, C, H, W] -> [R, n, C, H // 2, W // 2]."""
    return F.max_pool2d(x.flatten(0, 1), 2).unflatten(0, x.shape[:2])


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """[R, m, in], [R, out, in], [R, out] -> [R, m, out]."""
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


# -- training ----------------------------------------------------------------------------------


def train_together(
    models: Sequence[BayesianCNN],
    images: Tensor,
    training: Labelled,
    protocol: Protocol,
    mask_seeds: Sequence[int],
    validation: Labelled | None = None,
    order_seeds: Sequence[int] | None = None,
    look: Look | None = None,
    epochs_ahead: int | None = None,
    with_graph: bool = True,
) -> list[Training]:
    """`training.train` for R runs at once: trains the models in place, leaves the kept weights.

    Every epoch is validated whole: giving a hopeless one up would need its loss on the host.

    Args:
        models: R freshly initialised ones.
        images: [M, 1, 28, 28] normalised, on the models' device.
        training: each run's n labelled images; one batch, unless there are `order_seeds`.
        mask_seeds: of the dropout masks, by run; runs with equal seeds share their draws.
        validation: each run's V images; needed where the best weights are kept.
        order_seeds: of the order of mini-batches (`protocol.full_data_batch_size`), by run.
        look: called every `epochs_ahead` epochs, 1 on the CPU, where looking costs nothing.
        with_graph: on a GPU, replay the epoch as a CUDA graph; without is for measuring.

    Returns:
        A Training each; `seconds` is a run's share of the time.

    Raises:
        ValueError: the best weights are to be kept but there are no validation images.
        torch.cuda.OutOfMemoryError: too many runs at once; the models are as they were.
        GraphFailed: only `with_graph`; the models are as they were.
    """
    if protocol.weights == "best" and validation is None:
        raise ValueError("weights is 'best', which needs a validation set; none was given")
    started = time.perf_counter()
    n_images, size = training.ids.shape[1], None
    if order_seeds is not None:
        size = protocol.full_data_batch_size
    ahead = epochs_ahead or (EPOCHS_AHEAD if images.device.type == "cuda" else 1)
    with _Draws(models[0], n_images, mask_seeds, order_seeds, size, ahead, images.device) as draws:
        epochs = _Epochs(models, images, training, protocol, validation, draws, with_graph)
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


class _Epochs:
    """The state of R trainings on the device, and one epoch of all of them."""

    def __init__(
        self,
        models: Sequence[BayesianCNN],
        images: Tensor,
        training: Labelled,
        protocol: Protocol,
        validation: Labelled | None,
        draws: _Draws,
        with_graph: bool,
    ) -> None:
        self.model, self.draws, self.images, self.training = stack(models), draws, images, training
        self.weights = list(self.model.parameters.values())
        for weight in self.weights:
            weight.requires_grad_()
        self.on_gpu = images.device.type == "cuda"
        self.optimiser = torch.optim.AdamW(  # element by element, so stacked is as good as single
            self.weights,
            lr=protocol.learning_rate,
            betas=protocol.betas,
            weight_decay=protocol.weight_decay,
            fused=True,
            capturable=self.on_gpu,
        )
        self.patches = None if draws.size else self.model.unfold(images[training.ids])
        shape = (protocol.n_epochs, len(models))
        self.train_losses = torch.zeros(shape, dtype=torch.float64, device=images.device)
        self.epoch = torch.zeros((), dtype=torch.int64, device=images.device)
        self.best = None
        if protocol.weights == "best" and validation is not None:
            self.best = _Best(self.model, images, validation, protocol.n_epochs)
        self.n_run, self.with_graph = 0, self.on_gpu and with_graph
        self.graph: torch.cuda.CUDAGraph | None = None

    def run(self, n_epochs: int) -> None:
        """That many epochs; on a GPU from the fourth on by replaying the captured graph."""
        for _ in range(n_epochs):
            if not self.with_graph:
                self.one()
            elif self.n_run < WARM_UP:
                _on_side_stream(self.one)
            else:
                if self.graph is None:
                    self.graph = _capture(self.one)
                self.graph.replay()
            self.n_run += 1

    def one(self) -> None:
        """One epoch: an optimiser step a batch, then the validation. Nothing is read back."""
        masks, order = self.draws.of_epoch(self.epoch)
        total = torch.zeros_like(self.train_losses[0])
        start = 0
        for n in self.draws.sizes:
            part = slice(start, start + n)
            patches, labels = self._batch(None if order is None else order[:, part])
            parts = [mask[:, part] for mask in masks]
            logits = self.model.head(self.model.trunk(patches), parts)
            losses = _cross_entropy(logits, labels).mean(1)  # [R]
            gradients = torch.autograd.grad(losses.sum(), self.weights)
            for weight, gradient in zip(self.weights, gradients, strict=True):
                # The fused optimiser takes weights and gradients to lie alike in memory.
                weight.grad = gradient.contiguous()
            self.optimiser.step()
            total += losses.detach().double() * n
            start += n
        self.train_losses.index_copy_(0, self.epoch.view(1), (total / start).unsqueeze(0))
        if self.best is not None:
            self.best.look(self.epoch)
        self.epoch += 1

    def write_back(self, models: Sequence[BayesianCNN]) -> None:
        """The kept weights into the models."""
        self.model.write_back(models, self.best.weights if self.best else self.model.parameters)

    def results(self, seconds: float) -> list[Training]:
        """What is known of each run's training."""
        train_losses = self.train_losses.T.tolist()
        if self.best is None:
            return [Training(tuple(losses), (), None, seconds) for losses in train_losses]
        val_losses, epochs = self.best.losses.T.tolist(), self.best.epoch.tolist()
        return [
            Training(tuple(train), tuple(val), epoch + 1, seconds)
            for train, val, epoch in zip(train_losses, val_losses, epochs, strict=True)
        ]

    def _batch(self, order: Tensor | None) -> tuple[Tensor, Tensor]:
        """Patches and labels of the images at these positions, [R, b]; of all without."""
        if order is None:
            assert self.patches is not None
            return self.patches, self.training.labels
        images = self.images[self.training.ids.gather(1, order)]
        return self.model.unfold(images), self.training.labels.gather(1, order)


class _Best:
    """Each run's weights with its lowest validation loss so far, replaced by a masked copy."""

    def __init__(
        self, model: StackedModel, images: Tensor, validation: Labelled, n_epochs: int
    ) -> None:
        self.model, self.labels = model, validation.labels
        self.patches = model.unfold(images[validation.ids])
        self.weights = {name: w.detach().clone() for name, w in model.parameters.items()}
        shape = (n_epochs, len(validation.ids))
        self.losses = torch.zeros(shape, dtype=torch.float64, device=images.device)
        self.lowest = torch.full_like(self.losses[0], math.inf)
        self.epoch = torch.zeros_like(self.labels[:, 0])  # counted from 0

    @torch.no_grad()
    def look(self, epoch: Tensor) -> None:
        """Validate, dropout off; the first epoch counts as the lowest whatever it is."""
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


@cache
def _side_stream() -> torch.cuda.Stream:
    """The one stream to capture on, and to run what comes before on.

    Libraries set themselves up for every stream anew, which is not to happen in a capture, and
    keep their workspaces (on Hopper 32 MB each).
    """
    return torch.cuda.Stream()


def _on_side_stream(work: Callable[[], None]) -> None:
    """Run it as PyTorch wants what comes before a capture to be run."""
    stream, current = _side_stream(), torch.cuda.current_stream()
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        work()
    current.wait_stream(stream)


def _capture(work: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """The work as a graph, not yet run. Raises GraphFailed, OutOfMemoryError."""
    graph = torch.cuda.CUDAGraph()
    # A capture that cannot be ended leaves its stream behind as the current one.
    with torch.cuda.stream(torch.cuda.current_stream()):
        try:
            # Threads that draw the next block may do as they like meanwhile.
            with torch.cuda.graph(graph, stream=_side_stream(), capture_error_mode="thread_local"):
                work()
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            cause = error.__context__  # of a capture that was broken off and then failed to end
            if isinstance(cause, torch.cuda.OutOfMemoryError):
                raise cause from None
            raise GraphFailed(f"an epoch could not be captured: {cause or error}") from error
    return graph


# -- what chance decides -----------------------------------------------------------------------


class _Draws:
    """Masks and batch orders of a block of epochs, drawn ahead on the CPU in threads.

    They are the draws of `training` in its order: per run one generator for the masks, another
    for the order of mini-batches. A mask travels as a byte a unit; buffers on the device stay in
    their place, and the epoch's number, a tensor there, says which entry counts: a graph needs
    both. Runs with equal seeds, so the functions of one seed, have equal draws, made once.
    """

    def __init__(
        self,
        model: BayesianCNN,
        n_images: int,
        mask_seeds: Sequence[int],
        order_seeds: Sequence[int] | None,
        size: int | None,
        ahead: int,
        device: torch.device,
    ) -> None:
        self.model, self.size = model, size
        whole, rest = divmod(n_images, size or n_images)
        self.sizes = [size or n_images] * whole + [rest] * (rest > 0)  # of an epoch's batches
        seeds = list(zip(mask_seeds, order_seeds or [0] * len(mask_seeds), strict=True))
        streams = list(dict.fromkeys(seeds))
        self.stream = torch.tensor([streams.index(pair) for pair in seeds], device=device)  # [R]
        self.generators = [[torch.Generator().manual_seed(s) for s in pair] for pair in streams]
        units = model.feature_size, model.hidden_size
        bytes_an_epoch = len(streams) * n_images * (sum(units) + 8 * (size is not None))
        self.ahead = max(1, min(ahead, DRAWS_BYTES // bytes_an_epoch))
        shape = (self.ahead, len(streams), n_images)
        self.on_gpu = device.type == "cuda"
        # Two blocks on the host: one is drawn while the other is copied.
        self.hosts = [_Block(shape, units, size is not None, self.on_gpu) for _ in range(2)]
        self.block = _Block(shape, units, size is not None, False, device)
        self.pool = ThreadPoolExecutor(max_workers=len(streams) if self.on_gpu else 1)
        self.drawing = self._draw(self.hosts[0])

    def __enter__(self) -> _Draws:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def next_block(self, is_last: bool) -> None:
        """Put what was drawn in its place, and begin to draw the next. Waits if it must.

        The caller has waited for the device since the block before.
        """
        for future in self.drawing:
            future.result()
        drawn, free = self.hosts
        self.block.copy_from(drawn)
        self.hosts.reverse()
        self.drawing = [] if is_last else self._draw(free)

    def of_epoch(self, epoch: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """Masks [R, n, units] float32 of 0 or 1/(1-p), as drawn by `models`; order [R, n].

        Positions are those of the batches laid end to end.
        """
        slot = (epoch % self.ahead).view(1)
        masks = [
            kept.index_select(0, slot)[0].index_select(0, self.stream).float() * (1 / (1 - p))
            for kept, p in zip(self.block.kept, self.model.dropout, strict=True)
        ]
        if self.block.order is None:
            return masks, None
        return masks, self.block.order.index_select(0, slot)[0].index_select(0, self.stream)

    def _draw(self, block: _Block) -> list[Future[None]]:
        return [self.pool.submit(self._draw_stream, block, s) for s in range(len(self.generators))]

    def _draw_stream(self, block: _Block, stream: int) -> None:
        masks, order = self.generators[stream]
        for epoch in range(self.ahead):
            if block.order is not None:
                n_images = block.order.shape[-1]
                block.order[epoch, stream] = torch.randperm(n_images, generator=order)
            start = 0
            for n in self.sizes:
                for kept, mask in zip(block.kept, self.model.draw_masks(n, masks), strict=True):
                    torch.ne(mask, 0, out=kept[epoch, stream, start : start + n])
                start += n


class _Block:
    """Room for the draws of some epochs: [epochs, streams, n(, units)]."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        units: Sequence[int],
        is_ordered: bool,
        pinned: bool,
        device: torch.device | str = "cpu",
    ) -> None:
        def room(*shape: int, dtype: torch.dtype) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=device, pin_memory=pinned)

        self.kept = [room(*shape, n, dtype=torch.bool) for n in units]
        self.order = room(*shape, dtype=torch.int64) if is_ordered else None

    def copy_from(self, other: _Block) -> None:
        for mine, theirs in zip(self.kept, other.kept, strict=True):
            mine.copy_(theirs, non_blocking=True)
        if self.order is not None and other.order is not None:
            self.order.copy_(other.order, non_blocking=True)


# -- passes ------------------------------------------------------------------------------------


@torch.no_grad()
def passes_together(
    models: Sequence[BayesianCNN],
    images: Tensor,
    ids: Tensor,
    n_passes: int,
    seeds: Sequence[int],
) -> Iterator[Tensor]:
    """`mc_dropout.chunked_passes` for R models at once, each on images of its own.

    Args:
        images: [M, 1, 28, 28] float32, normalised, on the models' device.
        ids: [R, N] the images of each run.
        n_passes: T.
        seeds: of the masks, by run; runs with equal seeds share their draws.

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
        shape = chunk.shape[1], number
        bits = [_ChunkBits(models[0], *shape, seed, images.device) for seed in distinct]
        passes = list[Tensor]()
        while len(passes) * BITS < n_passes:
            words = [torch.stack(layer) for layer in zip(*(b.words() for b in bits), strict=True)]
            left = min(BITS, n_passes - len(passes) * BITS)
            passes.append(_passes_of_words(model, features, words, stream, left))
        yield torch.cat(passes, dim=1)


def _passes_of_words(
    model: StackedModel, features: Tensor, words: Sequence[Tensor], stream: Tensor, n_passes: int
) -> Tensor:
    """Up to 32 passes: words [S, n, U] for each dropped-out layer -> [R, n_passes, n, C]."""
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
            weight, bias = model.parameters[f"{name}.weight"], model.parameters[f"{name}.bias"]
            x = _linear(x.flatten(1, 2), weight, bias).unflatten(1, (len(shifts), n_images))
        parts.append(torch.softmax(x, -1))
    return torch.cat(parts, dim=1)


class _ChunkBits:
    """The mask bits of one chunk of images, drawn as `mc_dropout` draws them."""

    def __init__(
        self, model: BayesianCNN, n_images: int, number: int, seed: int, device: torch.device
    ) -> None:
        generator = chunk_generator(seed, number)
        self.keeps = [
            KeepBits((n_images, units), p, generator, device)
            for units, p in zip((model.feature_size, model.hidden_size), model.dropout, strict=True)
        ]

    def words(self) -> list[Tensor]:
        """[n, U] int32 for each dropped-out layer: the next 32 passes, the first in the sign."""
        return [bits.next_words() for bits in self.keeps]
