"""Floating-point operations of the parts, and the rate at which this machine multiplies matrices.

PyTorch counts the operations of the reference network, two for each multiply-add. Passes count the
trunk once and the head T times. The rate is that of a large float32 product with PyTorch's
defaults; oneDNN's kernels can be faster.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import reference
from benchmarks.sides import REPORT, T, cpu_seconds

SIDE, REPEATS = 1024, 8
N = 10  # images; every count is proportional to their number


def gemm_rate() -> float:
    """Floating-point operations per second of one thread: the best of some 1024 x 1024 products."""
    left, right = torch.randn(2, SIDE, SIDE)
    return 2 * SIDE**3 / min(cpu_seconds(lambda: left @ right) for _ in range(REPEATS))


def per_image() -> dict[str, float]:
    """Operations per image: an epoch of training, a validation, T passes."""
    model = reference.lenet5(REPORT.dropout)
    images = torch.zeros(N, 1, 28, 28)
    trunk, head = model[:7], model[7:]
    forward = _count(lambda: model(images))
    labels = torch.zeros(N, dtype=torch.int64)
    training = _count(lambda: F.cross_entropy(model(images), labels).backward())
    passes = _count(lambda: trunk(images)) + T * _count(lambda: head(torch.zeros(N, 400)))
    return {"train": training / N, "validation": forward / N, "passes": passes / N}


def _count(work: object) -> int:
    with FlopCounterMode(display=False) as counter:
        work()  # type: ignore[operator]
    return counter.get_total_flops()
