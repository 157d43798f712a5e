"""Counts of a stacked step (kernels, bytes, operations) and the time they predict on a GPU.

The operations that PyTorch dispatches on the CPU are counted for two numbers of images, and the
counts are interpolated linearly. Kernels depend on neither runs nor images. Bytes and operations
are proportional to runs and linear in images. An operation counts as one kernel that reads its
inputs and writes its outputs once; views count as none. Four constants describe the machine; they
are estimates, not measurements. `python -m benchmarks.stacked` prints the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.data import dataset
from benchmarks.sides import REPORT
from dal_core.models.networks import build_model, normalise
from dal_core.posterior.stacked import passes_together
from dal_core.protocol.parameters import Protocol, override
from dal_core.training.stacked.train import StackedSet, train_together

COUNTED = (20, 120)  # images
T = REPORT.num_mc_samples
STEPS = range(20, 1021, 10)
TEST, POOL, FULL_DATA, BATCH = 3000, 5000, 59_000, 1024

# One H200: 67e12 float32 operations per second without tensor cores, of which narrow products
# reach a fifth, and 4.8e12 bytes per second, of which plain kernels reach three fifths.
OPERATIONS_A_SECOND, BYTES_A_SECOND = 67e12 * 0.2, 4.8e12 * 0.6
NO_KERNEL = ("aten::detach", "aten::_unsafe_view", "aten::_local_scalar_dense")
EAGER_LAUNCH, GRAPH_LAUNCH = 8e-6, 1.5e-6  # seconds per kernel, from Python and from a graph


@dataclass(frozen=True)
class Count:
    """Kernels, bytes moved, and floating-point operations (two per multiply-add)."""

    kernels: float
    bytes: float
    operations: float

    def __add__(self, other: Count) -> Count:
        return Count(
            self.kernels + other.kernels,
            self.bytes + other.bytes,
            self.operations + other.operations,
        )

    def times(self, kernels: float, work: float) -> Count:
        """`kernels` times the kernels, `work` times the bytes and operations."""
        return Count(self.kernels * kernels, self.bytes * work, self.operations * work)

    def seconds(self, launch: float) -> float:
        """Predicted seconds: host and device work at the same time, so the slower one counts.

        Args:
            launch: seconds the host needs to start a kernel.
        """
        work = self.bytes / BYTES_A_SECOND + self.operations / OPERATIONS_A_SECOND
        return max(launch * self.kernels, work + GRAPH_LAUNCH * self.kernels)


class _Counter(TorchDispatchMode):
    """Counts kernels and the bytes they move."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels, self.bytes = 0, 0

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        is_kernel = not operation.is_view and "empty" not in operation.name()
        if is_kernel and operation.name() not in NO_KERNEL:
            touched = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)]
            self.kernels += 1
            self.bytes += sum(_bytes(tensor) for tensor in touched)
        return result


def _bytes(tensor: Tensor) -> int:
    """Bytes a tensor takes in memory; expanded axes and overlapping windows count once."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    spread = tensor.element_size() * int(np.prod([n for n, stride in sizes if stride != 0]))
    return min(spread, tensor.untyped_storage().nbytes())


def _counted(work: Callable[[], object]) -> Count:
    with FlopCounterMode(display=False) as counter, _Counter() as watch:
        work()
    return Count(watch.kernels, watch.bytes, counter.get_total_flops())


@dataclass(frozen=True)
class Line:
    """A count of one run as a linear function of its images: level + slope * images."""

    level: Count
    slope: Count

    def at(self, n_images: float, n_runs: int) -> Count:
        """The count for `n_runs` stacked runs with `n_images` images each."""
        kernels = self.level.kernels + self.slope.kernels * n_images
        bytes_ = self.level.bytes + self.slope.bytes * n_images
        operations = self.level.operations + self.slope.operations * n_images
        return Count(kernels, n_runs * bytes_, n_runs * operations)


def _line(count: Callable[[int], Count]) -> Line:
    few, many = COUNTED
    one, other = count(few), count(many)
    slope = (other + one.times(-1, -1)).times(1 / (many - few), 1 / (many - few))
    return Line(one + slope.times(-few, -few), slope)


def epoch(protocol: Protocol = REPORT) -> Line:
    """One epoch of one run: training, optimiser, validation if any, and keeping the weights."""

    def count(n: int) -> Count:
        one, two = (_training(n, override(protocol, {"n_epochs": e})) for e in (1, 2))
        return two + one.times(-1, -1)  # without the work before the first and after the last epoch

    return _line(count)


def passes() -> Line:
    """T passes over a chunk of images of one run."""
    images = normalise(dataset().images[:200])
    model = build_model(REPORT.which_model, REPORT.dropout, seed=1)

    def count(n: int) -> Count:
        ids = torch.arange(n).unsqueeze(0)
        return _counted(lambda: list(passes_together([model], images, ids, T, [1])))

    return _line(count)


def unfused_optimiser() -> int:
    """Number of kernels that PyTorch's plain AdamW starts beyond those of the fused one."""
    model = build_model(REPORT.which_model, REPORT.dropout, seed=1)
    kernels = []
    for fused in (False, True):
        weights = [p.detach().clone().requires_grad_() for p in model.parameters()]
        for weight in weights:
            weight.grad = torch.zeros_like(weight)
        optimiser = torch.optim.AdamW(weights, fused=fused, foreach=False)
        optimiser.step()  # the first step creates its state
        kernels.append(_counted(optimiser.step).kernels)
    return int(kernels[0] - kernels[1])


def _training(n: int, protocol: Protocol) -> Count:
    images = normalise(dataset().images[: n + protocol.val_size])
    ids = torch.arange(len(images)).unsqueeze(0)
    labels = torch.zeros_like(ids)
    training = StackedSet(ids[:, :n], labels[:, :n])
    validation = StackedSet(ids[:, n:], labels[:, n:])
    model = build_model(protocol.which_model, protocol.dropout, seed=1)
    return _counted(lambda: train_together([model], images, training, protocol, [1], validation))
