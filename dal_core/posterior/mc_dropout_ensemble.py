"""An ensemble whose networks keep dropout on: each makes several stochastic passes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dal_core.posterior.base import chunk_seed, register
from dal_core.posterior.ensemble import Ensemble, EnsembleModel
from dal_core.posterior.mc_dropout import McDropout
from dal_core.posterior.network import NetworkModel
from dal_core.protocol.posteriors import PosteriorEntry
from dal_core.training.loop import Training

ENTRY = PosteriorEntry(
    name="mc_dropout_ensemble",
    title="Ensemble of MC dropout",
    hint="several networks, each predicting several times with random parts switched off",
    sample="network t modulo their number, with new dropout masks",
    source="Lakshminarayanan et al. 2017; Gal and Ghahramani 2016",
    row="pass",
    rows="passes",
    origin=(
        "Several networks were trained on the same labels, from different initial weights (an "
        "*ensemble*). While predicting, random parts of each are switched off (*dropout*). Each "
        "row below is one prediction of one network; the networks take turns"
    ),
    samples=21,
    multiple_of="n_networks",
    parameters=("n_networks",),
)


class McDropoutEnsemble(Ensemble):
    """Trains `n_networks` networks; the first one is the network of MC dropout."""

    member = McDropout

    @property
    def n_networks(self) -> int:
        return self.protocol.n_networks

    def model(self, members: Sequence[NetworkModel], training: Training) -> McDropoutEnsembleModel:
        return McDropoutEnsembleModel(members, training)


class McDropoutEnsembleModel(EnsembleModel):
    """Trained networks that predict in turn, with dropout."""

    def __init__(self, members: Sequence[NetworkModel], training: Training) -> None:
        super().__init__(members, training)
        self.n_networks = None  # there is no end of different samples

    def sample(self, images: np.ndarray, k: int, seed: int, consistent: bool = False) -> Tensor:
        n = len(self.members)
        passes = [
            member.sample(images, len(range(number, k, n)), chunk_seed(seed, number), consistent)
            for number, member in enumerate(self.members[:k])
        ]
        return torch.stack([passes[t % n][t // n] for t in range(k)])


register(ENTRY, McDropoutEnsemble)
