"""A deep ensemble (Lakshminarayanan et al. 2017): sample t is the prediction of network t.

The networks differ in their initial weights and in the dropout of their training. Each sample is
one network for all images, so samples are always consistent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from dal_core.posterior.base import (
    LabelledImages,
    Posterior,
    PosteriorModel,
    Seeds,
    chunk_seed,
    register,
)
from dal_core.posterior.deterministic import Deterministic
from dal_core.posterior.network import NetworkModel, NetworkPosterior
from dal_core.protocol.posteriors import PosteriorEntry
from dal_core.training.loop import Epoch, Training, Watch

ENTRY = PosteriorEntry(
    name="ensemble",
    title="Ensemble",
    hint="several networks, each trained from another start; slower to train, best calibrated",
    sample="network t without dropout",
    source="Lakshminarayanan et al. 2017",
    row="network",
    rows="networks",
    origin=(
        "Several networks were trained on the same labels, from different initial weights (an "
        "*ensemble*). Each row below is the prediction of one network"
    ),
    samples=5,
)


class Ensemble(Posterior):
    """Trains `num_mc_samples` networks; with a helper, two at a time.

    The first one is the network of MC dropout.
    """

    member: type[NetworkPosterior] = Deterministic

    @property
    def n_networks(self) -> int:
        """Number of networks."""
        return self.protocol.num_mc_samples

    def fit(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        seeds: Seeds,
        *,
        validation: LabelledImages | None = None,
        batch_size: int | None = None,
        watch: Watch | None = None,
    ) -> EnsembleModel:
        started = perf_counter()
        trainer = self._trainer()

        def train(number: int, watch: Watch) -> NetworkModel:
            return trainer.fit(
                images,
                labels,
                _seeds_of(seeds, number),
                validation=validation,
                batch_size=batch_size,
                watch=watch,
            )

        members = self._all_members(train, _Progress(self.n_networks, watch))
        return self.model(members, _together(members, perf_counter() - started))

    def load(self, arrays: Mapping[str, np.ndarray], training: Training) -> EnsembleModel:
        trainer = self._trainer()
        parts: list[dict[str, np.ndarray]] = [{} for _ in range(self.n_networks)]
        for name, array in arrays.items():
            number, _, own_name = name.partition(".")
            if not number.isdecimal() or int(number) >= len(parts):
                raise ValueError(f"weights {name!r} belong to no network of this ensemble")
            parts[int(number)][own_name] = array
        return self.model([trainer.load(part, training) for part in parts], training)

    def model(self, members: Sequence[NetworkModel], training: Training) -> EnsembleModel:
        """The ensemble of these trained networks."""
        return EnsembleModel(members, training)

    def _trainer(self) -> NetworkPosterior:
        """Without the helper, since a network that trains on it would wait for itself."""
        return self.member(self.protocol, self.kind, self.device, alive=self.alive)

    def _all_members(
        self, train: Callable[[int, Watch], NetworkModel], progress: _Progress
    ) -> list[NetworkModel]:
        """The networks in order; the helper, if there is one, trains every second of them."""
        step = 2 if self.helper else 1
        members: list[NetworkModel] = []
        for number in range(0, self.n_networks, step):
            beside = None
            if self.helper and number + 1 < self.n_networks:
                beside = self.helper.submit(train, number + 1, progress.beside)
            try:
                members.append(train(number, progress.seen))
            except BaseException:
                progress.stopped.set()
                if beside:
                    beside.exception()  # wait, so that nothing trains on
                raise
            if beside:
                members.append(beside.result())
        return members


class _Progress:
    """Reports the epochs of all networks as those of one training, from the calling thread."""

    def __init__(self, n_networks: int, watch: Watch | None) -> None:
        self.n_networks, self.watch = n_networks, watch
        self.stopped = threading.Event()
        self._done = [0, 0]  # epochs by the calling thread and by the helper
        self._started = perf_counter()

    def seen(self, epoch: Epoch) -> None:
        """An epoch in the calling thread."""
        self._done[0] += 1
        if self.watch is None:
            return
        done, total = sum(self._done), epoch.n_epochs * self.n_networks
        left = (perf_counter() - self._started) / done * (total - done)
        self.watch(replace(epoch, number=done, n_epochs=total, seconds_left=left))

    def beside(self, epoch: Epoch) -> None:
        """An epoch in the helper's thread, which stops if the calling thread has stopped."""
        self._done[1] += 1
        if self.stopped.is_set():
            raise InterruptedError("the training of the ensemble was stopped")


def _seeds_of(seeds: Seeds, number: int) -> Seeds:
    return seeds if number == 0 else lambda purpose: chunk_seed(seeds(purpose), number)


def _together(members: Sequence[NetworkModel], seconds: float) -> Training:
    """The mean loss of every epoch. There is no best epoch: each network may keep another one."""
    losses = zip(*(member.training.train_losses for member in members), strict=True)
    return Training(tuple(fmean(epoch) for epoch in losses), (), None, seconds)


class EnsembleModel(PosteriorModel):
    """Trained networks that predict without dropout; sample t is network t modulo their number."""

    def __init__(self, members: Sequence[NetworkModel], training: Training) -> None:
        self.members, self.training = members, training
        self.n_networks: int | None = len(members)

    def sample(self, images: np.ndarray, k: int, seed: int, consistent: bool = False) -> Tensor:
        distinct = [member.prediction(images) for member in self.members[:k]]
        return torch.stack([distinct[t % len(distinct)] for t in range(k)])

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            f"{number}.{name}": array
            for number, member in enumerate(self.members)
            for name, array in member.arrays().items()
        }

    def features(self, images: np.ndarray) -> np.ndarray:
        """The features of all networks beside each other."""
        return np.concatenate([member.features(images) for member in self.members], axis=1)

    def hidden(self, images: np.ndarray) -> Tensor:
        """The last hidden layers of all networks beside each other."""
        return torch.cat([member.hidden(images) for member in self.members], dim=1)


register(ENTRY, Ensemble)
