"""How many runs fit into one stack, given the memory and the limits of the kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from dal_core.models.networks import BayesianCNN
from dal_core.training.stacked.model import STACKED

MATRICES = 65_535  # limit of some kernels for one batched product
ELEMENTS = 2**31 - 1  # limit for one tensor, since some kernels index with 32 bits
PIXELS = 28 * 28  # image size that `training_floats` and `forward_floats` refer to

T = TypeVar("T")


def memory_of_a_run(model: BayesianCNN, n_images: int, n_validation: int) -> int:
    """Estimated bytes that one more run in a stack takes during training.

    Args:
        n_images: images in one batch.
        n_validation: validation images; 0 if the last weights are kept.
    """
    kind, (channels, height, width) = STACKED[type(model)], model.image_size
    pixels = height * width
    more_patches = (channels - 1) * kind.kernel**2 * pixels  # of the colour channels
    training, forward = (
        floats * pixels // PIXELS + more_patches
        for floats in (kind.training_floats, kind.forward_floats)
    )
    return 4 * (training * n_images + forward * n_validation)


def runs_that_fit(model: BayesianCNN, n_images: int, n_validation: int, n_bytes: int) -> int:
    """Number of runs to train at once in `n_bytes` of memory, at least one."""
    by_memory = n_bytes // memory_of_a_run(model, n_images, n_validation)
    return max(1, min(by_memory, runs_at_once(model, max(n_images, n_validation))))


def runs_at_once(model: BayesianCNN, n_images: int) -> int:
    """Number of runs of `n_images` each that the kernels can index, at least one."""
    largest = STACKED[type(model)].largest_tensor(*model.image_size) * n_images
    return max(1, min(MATRICES // n_images, ELEMENTS // largest))


def in_groups(work: Callable[[list[T]], None], members: Sequence[T], at_most: int) -> int:
    """Call `work` on groups of `at_most` members, and on smaller groups once memory runs short.

    Returns:
        The group size for which memory was sufficient.

    Raises:
        torch.cuda.OutOfMemoryError: memory is too small for a single member.
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
