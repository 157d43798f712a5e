"""The batch that each acquisition function would ask for from one model and one pool.

Every function gets the passes, places and random numbers that a run with it would use, so its batch
is the one such a run asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import get_args

import torch
from torch import Tensor

from dal_core.acquisition import registry
from dal_core.acquisition.batch import Candidates, Places, select
from dal_core.acquisition.registry import Group
from dal_core.explain.step import ModelStep
from dal_core.protocol.parameters import ProtocolError

GROUPS: tuple[Group, ...] = get_args(Group)


@dataclass(frozen=True)
class Asked:
    """A function's batch: image ids, best first, and the gain (or score) of each."""

    image_ids: tuple[int, ...]
    gains: tuple[float, ...]


class Pool:
    """A step's pool as the functions see it. What several of them need is computed once."""

    def __init__(self, step: ModelStep) -> None:
        self.step = step

    def candidates(self, name: str) -> Candidates:
        """The pool for a choice by the named function."""
        own = self.step.learner.candidates(self.step.fitted, self.step.pool_subset, name)
        return replace(
            own,
            passes=lambda: [self.probs],
            pixels=lambda: self.pixels,
            features=lambda: self.features,
        )

    @cached_property
    def _own(self) -> Candidates:
        step = self.step
        return step.learner.candidates(step.fitted, step.pool_subset)

    @cached_property
    def probs(self) -> Tensor:
        """The run's passes of all images, [T, N, C]."""
        return torch.cat([chunk.cpu() for chunk in self._own.passes()], dim=1)

    @cached_property
    def pixels(self) -> Places:
        """Where the images lie by their pixels."""
        return self._own.pixels()

    @cached_property
    def features(self) -> Places:
        """Where they lie in the model's last hidden layer."""
        return self._own.features()

    @cached_property
    def place(self) -> dict[int, int]:
        """Image id -> position in the pool."""
        return {image_id: n for n, image_id in enumerate(self.step.pool_subset.tolist())}

    def positions(self, image_ids: tuple[int, ...]) -> Tensor:
        """Positions of images of the pool: int64 [n]."""
        return torch.tensor([self.place[i] for i in image_ids], dtype=torch.long)


def in_groups() -> dict[Group, list[str]]:
    """The names of all functions by group; groups without a function are left out."""
    found: dict[Group, list[str]] = {group: [] for group in GROUPS}
    for entry in registry.functions():
        found[entry.group].append(entry.name)
    return {group: names for group, names in found.items() if names}


def asked_by(pool: Pool, name: str, size: int) -> Asked:
    """The batch that a run with the named function asks for at this step.

    Raises:
        ValueError: it cannot be used with the step's posterior (`ProtocolError`), or cannot choose
            from these images.
    """
    replace(pool.step.learner.spec, acquisition=name)  # refuses what no run may combine
    batch, _ = select(registry.get(name), pool.candidates(name), size, n_passes_kept=1)
    return Asked(
        tuple(batch.ids[:size].tolist()), tuple(float(gain) for gain in batch.gains[:size])
    )


def may_ask(step: ModelStep, name: str) -> bool:
    """Whether a run of the step's posterior may use the named function."""
    try:
        replace(step.learner.spec, acquisition=name)
    except ProtocolError:
        return False
    return True
