"""QUAM (Schweighofer et al. 2023): for uncertain images, a row is a network searched for a class.

MC dropout is the reference. Of the pool images that are scored, the `quam_shortlist` with the
highest BALD under the reference get rows of their own: for every class, a network that predicts it
and explains the labels about as well (`posterior.adversarial`). All other images, and the images
that are measured, have the reference's passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from dal_core.acquisition.scores import bald
from dal_core.posterior.adversarial import Search, SearchSettings
from dal_core.posterior.base import (
    CHUNK,
    ImageProgress,
    LabelledImages,
    Posterior,
    Seeds,
    in_order,
    register,
)
from dal_core.posterior.mc_dropout import McDropout, stochastic_passes
from dal_core.posterior.network import NetworkModel, torch_generator
from dal_core.protocol.parameters import Protocol
from dal_core.protocol.posteriors import PosteriorEntry
from dal_core.training.loop import Training, Watch

ENTRY = PosteriorEntry(
    name="quam",
    title="QUAM",
    hint="for each class, a network that predicts it and still explains the labels; slow",
    sample="a network searched for class t modulo C, for images of the shortlist",
    source="Schweighofer et al. 2023",
    row="prediction",
    rows="predictions",
    origin=(
        "For the images it is least sure of, this posterior searches networks that predict one "
        "class each and still explain the labels (*adversarial models*), for each class in turn. "
        "Other images have predictions with dropout. Each row below is one prediction"
    ),
    samples=30,
    multiple_of="n_classes",
    parameters=(
        "quam_gamma",
        "quam_penalty",
        "quam_steps",
        "quam_layers",
        "quam_rho",
        "quam_shortlist",
    ),
    per_image=True,
)

LEARNING_RATE = 0.01  # of 0.003, 0.01 and 0.03 the one that reaches the most classes
_IMAGES, _LABELS = "quam.images", "quam.labels"


class Quam(Posterior):
    """Trains the network of MC dropout and keeps its training set for the search."""

    def fit(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        seeds: Seeds,
        *,
        validation: LabelledImages | None = None,
        batch_size: int | None = None,
        watch: Watch | None = None,
    ) -> QuamModel:
        trained = self._trainer().fit(
            images, labels, seeds, validation=validation, batch_size=batch_size, watch=watch
        )
        return QuamModel(trained, images, labels, self.protocol)

    def load(self, arrays: Mapping[str, np.ndarray], training: Training) -> QuamModel:
        if not {_IMAGES, _LABELS} <= set(arrays):
            raise ValueError("the weights lack the training set")
        weights = {key: a for key, a in arrays.items() if key not in (_IMAGES, _LABELS)}
        trained = self._trainer().load(weights, training)
        return QuamModel(trained, arrays[_IMAGES], arrays[_LABELS], self.protocol)

    def _trainer(self) -> McDropout:
        return McDropout(self.protocol, self.kind, self.device, self.helper, self.alive)


class QuamModel(NetworkModel):
    """A trained network, and networks searched from it for the images of a shortlist.

    Args:
        images, labels: the training set, uint8 [n, H, W] or [n, H, W, 3] and int64 [n].
    """

    def __init__(
        self, trained: NetworkModel, images: np.ndarray, labels: np.ndarray, protocol: Protocol
    ) -> None:
        super().__init__(trained.network, trained.training)
        self.images, self.labels, self.protocol = images, labels, protocol

    def sample(self, images: np.ndarray, k: int, seed: int, consistent: bool = False) -> Tensor:
        """The reference's samples, those of MC dropout; as `PosteriorModel.sample`."""
        generator = torch_generator(seed)
        return stochastic_passes(self.network, self.pixels(images), k, generator, consistent)

    def pool_in_chunks(
        self,
        images: np.ndarray,
        k: int,
        seed: int,
        *,
        progress: ImageProgress | None = None,
        helper: Executor | None = None,
    ) -> Iterator[Tensor]:
        """As `PosteriorModel.pool_in_chunks`; images of the shortlist have rows of the search."""
        shortlist, n = self.shortlist(images, seed, progress, helper), len(images)
        rows = {}
        found = in_order(lambda n: self.found(images[shortlist[n]]), len(shortlist), helper)
        for position, one in zip(shortlist.tolist(), found, strict=True):
            rows[position] = in_turn(one, k)
            if progress is not None:
                progress(min(len(rows), n), n)
        chunks = self.sample_in_chunks(images, k, seed, progress=progress, helper=helper)
        for number, probs in enumerate(chunks):
            rows_here = set(rows) & set(range(number * CHUNK, (number + 1) * CHUNK))
            replaced = probs.clone() if rows_here else probs
            for position in rows_here:
                replaced[:, position - number * CHUNK] = rows[position]
            yield replaced

    def samples_of_one(
        self, images: np.ndarray, ids: np.ndarray, position: int, k: int, seed: int
    ) -> Tensor:
        if position in self.shortlist(images[ids], seed):
            return in_turn(self.found(images[ids[position]]), k)
        return super().samples_of_one(images, ids, position, k, seed)

    def shortlist(
        self,
        images: np.ndarray,
        seed: int,
        progress: ImageProgress | None = None,
        helper: Executor | None = None,
    ) -> np.ndarray:
        """Positions of the images with the highest BALD under the reference, best first."""
        n_samples = self.protocol.num_mc_samples
        chunks = self.sample_in_chunks(images, n_samples, seed, progress=progress, helper=helper)
        scores = np.concatenate([bald(probs).cpu().numpy() for probs in chunks])
        return np.argsort(-scores, kind="stable")[: self.protocol.quam_shortlist]

    @cached_property
    def search(self) -> Search:
        """The search of the last dense layers."""
        p = self.protocol
        return Search(
            self.network.dense_layers()[-p.quam_layers :],
            self._inputs(self.images),
            torch.from_numpy(self.labels).to(self.device),
            SearchSettings(p.quam_gamma, p.quam_penalty, p.quam_steps, LEARNING_RATE, p.quam_rho),
        )

    def found(self, image: np.ndarray) -> Tensor:
        """[C, C]; row c is the prediction for the image by the network searched for class c.

        Images are computed one by one, so that the result does not depend on the others.
        """
        return self.search.for_image(self._inputs(image[None])[0]).probs

    def arrays(self) -> dict[str, np.ndarray]:
        return super().arrays() | {_IMAGES: self.images, _LABELS: self.labels}

    def _inputs(self, images: np.ndarray) -> Tensor:
        """[n, F] inputs of the first searched layer, nothing dropped."""
        parts = [images[start : start + CHUNK] for start in range(0, max(1, len(images)), CHUNK)]
        with torch.no_grad():
            trunks = (self.network.trunk(self.pixels(part)) for part in parts)
            last = self.protocol.quam_layers
            return torch.cat([self.network.hidden(features, last) for features in trunks])


def in_turn(probs: Tensor, k: int) -> Tensor:
    """[C, C] rows for the classes -> [k, C]; row t is that of class t modulo C."""
    return probs[torch.arange(k, device=probs.device) % len(probs)]


register(ENTRY, Quam)
