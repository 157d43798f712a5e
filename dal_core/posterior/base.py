"""The interface of a posterior: fit it to labelled images, then sample its predictions.

The axis order of samples is [k, N, C]: sample, image, class.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import torch
from torch import Tensor

from dal_core.protocol import posteriors
from dal_core.protocol.parameters import Protocol
from dal_core.protocol.posteriors import PosteriorEntry
from dal_core.protocol.randomness import Purpose
from dal_core.training.loop import Training, Watch

CPU = torch.device("cpu")
CHUNK = 500  # images; the fastest of 125, 250, 500 and 1,000 on one core

Seeds = Callable[[Purpose], int]  # gives the seed for each purpose
ImageProgress = Callable[[int, int], None]  # (images done, images in all)
LabelledImages = tuple[np.ndarray, np.ndarray]  # uint8 [n, H, W] or [n, H, W, 3]; int64 [n]


@dataclass(frozen=True)
class ImageKind:
    """What a network must know about the images and classes of a data set.

    Attributes:
        image_shape: (H, W) for grey images, (H, W, 3) for colour.
        n_classes: C.
        pixel_mean, pixel_std: for normalising pixels scaled to [0, 1], one value per channel.
    """

    image_shape: tuple[int, ...]
    n_classes: int
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]


class PosteriorModel(ABC):
    """A fitted posterior.

    Attributes:
        training: the losses and the duration of the fit.
        n_networks: number of networks if each sample is one of them, and further samples repeat
            them; None if there is no end of different samples.
    """

    training: Training
    n_networks: int | None = None

    @abstractmethod
    def sample(self, images: np.ndarray, k: int, seed: int, consistent: bool = False) -> Tensor:
        """Class probabilities of images under k draws from the posterior.

        The first draws of a seed are the same for every k.

        Args:
            images: uint8 [N, H, W] or [N, H, W, 3].
            k: number of samples.
            seed: seed of the draws.
            consistent: True: sample t uses one draw for all images, so that joint probabilities
                p(y1, y2) can be estimated; the draws depend on the seed alone. False: the model
                may use a different draw for each image, which suffices for scores of single
                images.

        Returns:
            [k, N, C] float32; each row over C sums to 1.
        """

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """The weights by name, for `Posterior.load`.

        Names of what only this posterior reads begin with its name and a dot; exported models
        leave it out.
        """

    def features(self, images: np.ndarray) -> np.ndarray:
        """Features of the images for a map of the pool: float32 [N, F].

        These are the pixels, unless a posterior overrides this with an inner representation.
        """
        return images.reshape(len(images), math.prod(images.shape[1:])).astype(np.float32) / 255

    def hidden(self, images: np.ndarray) -> Tensor:
        """The last hidden layer, without random draws: float32 [N, F] on the CPU.

        Selections measure distances in it. Unless a posterior overrides it, `features`.
        """
        return torch.from_numpy(self.features(images))

    def sample_in_chunks(
        self,
        images: np.ndarray,
        k: int,
        seed: int,
        *,
        consistent: bool = False,
        progress: ImageProgress | None = None,
        helper: Executor | None = None,
    ) -> Iterator[Tensor]:
        """`sample` for many images, CHUNK at a time, so that [k, N, C] never is in memory at once.

        Each chunk has its own seed (see `chunk_seed`), so the result does not depend on the
        thread that computes it. Consistent samples use the same seed in every chunk.

        Args:
            progress: called with (images done, N) after each chunk.
            helper: an executor with one thread, which computes every second chunk; the result is
                the same.

        Yields:
            [k, n, C] for each chunk of n images, in order.
        """

        def chunk_samples(number: int) -> Tensor:
            chunk = images[number * CHUNK : (number + 1) * CHUNK]
            return self.sample(
                chunk, k, seed if consistent else chunk_seed(seed, number), consistent
            )

        n_chunks = -(-len(images) // CHUNK)
        for number, probs in enumerate(in_order(chunk_samples, n_chunks, helper)):
            yield probs
            if progress is not None:
                progress(min((number + 1) * CHUNK, len(images)), len(images))

    def pool_in_chunks(
        self,
        images: np.ndarray,
        k: int,
        seed: int,
        *,
        progress: ImageProgress | None = None,
        helper: Executor | None = None,
    ) -> Iterator[Tensor]:
        """The samples with which a query scores the pool: `sample_in_chunks`.

        A posterior may override this to look closer at some of the images.
        """
        return self.sample_in_chunks(images, k, seed, progress=progress, helper=helper)

    def samples_of_one(
        self, images: np.ndarray, ids: np.ndarray, position: int, k: int, seed: int
    ) -> Tensor:
        """What `pool_in_chunks` over `images[ids]` yields for one image: [k, C].

        Only that image's chunk is computed.

        Args:
            ids: int64 [N] into `images`, in the order they were scored.
            position: position of the image in `ids`.
        """
        number, place = divmod(position, CHUNK)
        chunk = images[ids[number * CHUNK : (number + 1) * CHUNK]]
        return self.sample(chunk, k, chunk_seed(seed, number))[:, place]


class Posterior(ABC):
    """Fits models to labelled images.

    Args:
        protocol: the parameters of the network and its training.
        kind: the images and classes of the data set.
        device: where tensors are computed; random numbers are drawn on the CPU.
        helper: an executor with one thread, to use a second core; results do not change.
        alive: called between the batches of a training.
    """

    def __init__(
        self,
        protocol: Protocol,
        kind: ImageKind,
        device: torch.device = CPU,
        helper: Executor | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.protocol, self.kind = protocol, kind
        self.device, self.helper, self.alive = device, helper, alive

    @abstractmethod
    def fit(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        seeds: Seeds,
        *,
        validation: LabelledImages | None = None,
        batch_size: int | None = None,
        watch: Watch | None = None,
    ) -> PosteriorModel:
        """Train from scratch.

        Args:
            images: uint8 [n, H, W] or [n, H, W, 3].
            labels: int64 [n].
            seeds: gives the seed for each purpose.
            validation: images and labels for choosing which weights to keep; None if the
                protocol keeps the last.
            batch_size: images in a mini-batch; None trains on all images as one batch.
            watch: called after every epoch; may raise to stop the fit.
        """

    @abstractmethod
    def load(self, arrays: Mapping[str, np.ndarray], training: Training) -> PosteriorModel:
        """The model with the given weights. Raises ValueError if they do not fit the network."""


PosteriorClass = Callable[..., Posterior]  # called like the constructor of `Posterior`
_classes: dict[str, PosteriorClass] = {}


def register(entry: PosteriorEntry, posterior: PosteriorClass) -> None:
    """Make a posterior available as a value of the protocol's parameter `posterior`."""
    posteriors.register(entry)
    _classes[entry.name] = posterior


def unregister(name: str) -> None:
    """Take a posterior away. Raises KeyError if there is none of that name."""
    posteriors.unregister(name)
    del _classes[name]


def make_posterior(
    protocol: Protocol,
    kind: ImageKind,
    device: torch.device = CPU,
    helper: Executor | None = None,
    alive: Callable[[], None] = lambda: None,
) -> Posterior:
    """The posterior that the protocol names, from the module of the same name in this folder."""
    name = protocol.posterior
    if name not in _classes:
        import_module(f"{__package__}.{name}")  # registers itself
    return _classes[name](protocol, kind, device, helper, alive)


def chunk_seed(seed: int, number: int) -> int:
    """The seed for the draws of chunk `number` (docs/method.md, section 13)."""
    words = np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def in_order(
    compute: Callable[[int], Tensor], n_chunks: int, helper: Executor | None
) -> Iterator[Tensor]:
    """The results of `compute` in order; `helper` computes every second one at the same time."""
    step = 2 if helper else 1
    for number in range(0, n_chunks, step):
        next_one = helper.submit(compute, number + 1) if helper and number + 1 < n_chunks else None
        yield compute(number)
        if next_one:
            yield next_one.result()
