"""QUAM (Schweighofer et al. 2023): for uncertain images, a row is a network searched for a class.

MC dropout is the reference. Of the pool images that are scored, the `quam_shortlist` with the
highest BALD under the reference get rows of their own: for every class, a network that predicts it
and explains the labels about as well (`posterior.adversarial`). All other images, and the images
that are measured, have the reference's passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
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
        self._last: tuple[bytes, dict[int, Tensor]] | None = None

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
        total = 2 * len(images) + min(self.protocol.quam_shortlist, len(images))

        def part(begin: int) -> ImageProgress | None:
            return progress and (lambda done, _: progress(begin + done, total))

        rows = self._searched(images, seed, part, helper)
        chunks = self.sample_in_chunks(
            images, k, seed, progress=part(total - len(images)), helper=helper
        )
        for number, probs in enumerate(chunks):
            here = [n for n in rows if n // CHUNK == number]
            replaced = probs.clone() if here else probs
            for position in here:
                replaced[:, position % CHUNK] = in_turn(rows[position], k)
            yield replaced

    def samples_of_one(
        self, images: np.ndarray, ids: np.ndarray, position: int, k: int, seed: int
    ) -> Tensor:
        pool = images[ids]
        if self._last is not None and self._last[0] == _key(pool, seed):
            searched = self._last[1].get(position)
        else:
            is_listed = position in self.shortlist(pool, seed)
            searched = self.found(pool[position]) if is_listed else None
        if searched is not None:
            return in_turn(searched, k)
        return super().samples_of_one(images, ids, position, k, seed)

    def _searched(
        self,
        images: np.ndarray,
        seed: int,
        part: Callable[[int], ImageProgress | None],
        helper: Executor | None,
    ) -> dict[int, Tensor]:
        """What was found for the shortlist, by position; the last result is kept.

        Args:
            part: (images done before) -> the progress of a part of the work.
        """
        key = _key(images, seed)
        if self._last is None or self._last[0] != key:
            shortlist = self.shortlist(images, seed, part(0), helper)
            found, progress = dict[int, Tensor](), part(len(images))
            results = in_order(lambda n: self.found(images[shortlist[n]]), len(shortlist), helper)
            for position, one in zip(shortlist.tolist(), results, strict=True):
                found[position] = one
                if progress is not None:
                    progress(len(found), len(shortlist))
            self._last = key, found
        return self._last[1]

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


def _key(images: np.ndarray, seed: int) -> bytes:
    """Identifies the images of a pool and the seed of their samples."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes() + str(seed).encode()).digest()


register(ENTRY, Quam)
