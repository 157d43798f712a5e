"""A deterministic network: one sample, without dropout (the comparison of Gal et al. 2017, 5.2)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from dal_core.posterior.base import LabelledImages, Posterior, PosteriorModel, Seeds, register
from dal_core.posterior.mc_dropout import McDropout, McDropoutModel
from dal_core.protocol.posteriors import PosteriorEntry
from dal_core.training.loop import Training, Watch

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


class Deterministic(Posterior):
    """Trains the network as MC dropout does, with dropout, and predicts without it."""

    def fit(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        seeds: Seeds,
        *,
        validation: LabelledImages | None = None,
        batch_size: int | None = None,
        watch: Watch | None = None,
    ) -> DeterministicModel:
        trained = self._trainer().fit(
            images, labels, seeds, validation=validation, batch_size=batch_size, watch=watch
        )
        return DeterministicModel(trained)

    def load(self, arrays: Mapping[str, np.ndarray], training: Training) -> DeterministicModel:
        return DeterministicModel(self._trainer().load(arrays, training))

    def _trainer(self) -> McDropout:
        return McDropout(self.protocol, self.kind, self.device, self.helper, self.alive)


class DeterministicModel(PosteriorModel):
    """A trained network that predicts without dropout; all its samples are equal."""

    def __init__(self, trained: McDropoutModel) -> None:
        self.trained, self.training = trained, trained.training
        self.n_networks = 1

    def sample(self, images: np.ndarray, k: int, seed: int, consistent: bool = False) -> Tensor:
        return self.trained.prediction(images).expand(k, -1, -1)

    def arrays(self) -> dict[str, np.ndarray]:
        return self.trained.arrays()

    def features(self, images: np.ndarray) -> np.ndarray:
        return self.trained.features(images)

    def hidden(self, images: np.ndarray) -> Tensor:
        return self.trained.hidden(images)


register(ENTRY, Deterministic)
