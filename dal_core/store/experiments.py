"""Experiments in a store: their definition, and the runs that belong to them.

An experiment has a run for each acquisition function and seed under one protocol, and may have
full-data bounds. A run may belong to several experiments, or be the baseline of a person's run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from dal_core.protocol.parameters import Protocol
from dal_core.run.rows import Progress, RunRow
from dal_core.run.summary import RunSummary


class ExperimentNotFound(ValueError):
    """No such experiment; the message is one line."""


class ExperimentDamaged(ValueError):
    """What is stored of an experiment cannot be read; the message is one line."""


@dataclass(frozen=True)
class DamagedExperiment:
    """An experiment that cannot be read, and why in one line. It can be deleted."""

    experiment_id: str
    why: str


@dataclass(frozen=True)
class ExperimentRow:
    """The definition of an experiment.

    Attributes:
        acquisitions, seeds: there is one run for each pair.
        full_data: whether it has a full-data bound for each seed.
        noise: probability of a wrong label from the oracle, in every run but the bounds.
    """

    experiment_id: str
    title: str
    protocol: Protocol
    acquisitions: tuple[str, ...]
    seeds: tuple[int, ...]
    full_data: bool
    created_at: str
    noise: float = 0.0


class Experiments(ABC):
    """The experiments of a store (`Store.experiments`)."""

    @abstractmethod
    def create(
        self,
        title: str,
        protocol: Protocol,
        acquisitions: Sequence[str],
        seeds: Sequence[int],
        full_data: bool,
        run_ids: Sequence[str],
        noise: float = 0.0,
    ) -> ExperimentRow:
        """Create an experiment from existing runs. Raises ValueError for the title."""

    @abstractmethod
    def get(self, experiment_id: str) -> ExperimentRow:
        """The experiment. Raises ExperimentNotFound, ExperimentDamaged."""

    @abstractmethod
    def all(self) -> list[ExperimentRow]:
        """All experiments, newest first. Damaged ones are left out."""

    @abstractmethod
    def damaged(self) -> list[DamagedExperiment]:
        """The experiments that cannot be read, newest first."""

    @abstractmethod
    def run_ids(self, experiment_id: str) -> list[str]:
        """Ids of the experiment's runs, those of damaged runs too."""

    @abstractmethod
    def runs(self, experiment_id: str) -> list[RunRow]:
        """The experiment's runs, in the order they were given. Damaged runs are left out."""

    @abstractmethod
    def summaries(self, experiment_id: str) -> list[tuple[RunSummary, Progress | None]]:
        """Summaries of the experiment's runs, from one snapshot, in the order they were given.

        Damaged runs are left out.
        """

    @abstractmethod
    def of_run(self, run_id: str) -> list[str]:
        """Ids of the experiments that a run belongs to."""

    @abstractmethod
    def delete(self, experiment_id: str) -> None:
        """Delete the experiment, but not its runs. The experiment may be damaged."""
