"""A deterministic network: one sample, without dropout (the comparison of Gal et al. 2017, 5.2)."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dal_core.models.networks import BayesianCNN
from dal_core.posterior.base import register
from dal_core.posterior.network import NetworkModel, NetworkPosterior
from dal_core.protocol.posteriors import PosteriorEntry
from dal_core.training.loop import Training

ENTRY = PosteriorEntry(
    name="deterministic",
    title="Deterministic network",
    hint="one network and one prediction, for comparison; nothing can disagree",
    sample="the network without dropout",
    source="Gal et al. 2017, section 5.2",
    row="network",
    rows="networks",
    origin=(
        "This network predicts without dropout. It has a single prediction, so nothing can "
        "disagree with it. The row below is that prediction"
    ),
    samples=1,
    one_sample=True,
)


class Deterministic(NetworkPosterior):
    """Trains the network as MC dropout does, with dropout, and predicts without it."""

    def model(self, network: BayesianCNN, training: Training) -> DeterministicModel:
        return DeterministicModel(network, training)


class DeterministicModel(NetworkModel):
    """A trained network that predicts without dropout; all its samples are equal."""

    n_networks = 1

    def sample(self, images: np.ndarray, k: int, seed: int, consistent: bool = False) -> Tensor:
        return self.prediction(images).expand(k, -1, -1)


register(ENTRY, Deterministic)
