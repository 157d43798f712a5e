"""What posteriors of one trained network share: how it is trained, stored and read out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from dal_core.models.networks import BayesianCNN, build_model
from dal_core.posterior.base import (
    CHUNK,
    LabelledImages,
    Posterior,
    PosteriorModel,
    Seeds,
)
from dal_core.protocol.randomness import Purpose
from dal_core.training.loop import BatchOrder, Training, Watch, train


class NetworkPosterior(Posterior):
    """Trains the network that the protocol names."""

    def untrained(self, seed: int) -> BayesianCNN:
        """The network with its initial weights."""
        protocol, kind = self.protocol, self.kind
        return build_model(
            protocol.which_model,
            protocol.dropout,
            seed,
            kind.image_shape,
            kind.n_classes,
            kind.pixel_mean,
            kind.pixel_std,
        ).to(self.device)

    def fit(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        seeds: Seeds,
        *,
        validation: LabelledImages | None = None,
        batch_size: int | None = None,
        watch: Watch | None = None,
    ) -> NetworkModel:
        network = self.untrained(seeds(Purpose.INITIAL_WEIGHTS))
        training = train(
            network,
            *self.tensors(network, images, labels),
            self.protocol,
            torch_generator(seeds(Purpose.TRAINING_DROPOUT)),
            self.tensors(network, *validation) if validation else None,
            watch,
            _batches(batch_size, seeds) if batch_size else None,
            helper=self.helper,
            alive=self.alive,
        )
        return self.model(network, training)

    def load(self, arrays: Mapping[str, np.ndarray], training: Training) -> NetworkModel:
        network = self.untrained(seed=0)
        try:
            network.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})
        except RuntimeError as error:  # names or shapes of a different network
            raise ValueError(str(error)) from None
        return self.model(network, training)

    @abstractmethod
    def model(self, network: BayesianCNN, training: Training) -> NetworkModel:
        """The posterior's model with this trained network."""

    def tensors(
        self, network: BayesianCNN, images: np.ndarray, labels: np.ndarray
    ) -> tuple[Tensor, Tensor]:
        """Images [n, channels, H, W], normalised, and labels [n] on the device."""
        pixels = network.normalise(images).to(self.device)
        return pixels, torch.from_numpy(labels).to(self.device)


class NetworkModel(PosteriorModel):
    """A trained network; subclasses say what a sample of its predictions is."""

    def __init__(self, network: BayesianCNN, training: Training) -> None:
        self.network, self.training = network, training

    def prediction(self, images: np.ndarray) -> Tensor:
        """Class probabilities of the network itself, nothing dropped: [N, C] float32."""
        with torch.inference_mode():
            return torch.softmax(self.network(self.pixels(images)), -1)

    def arrays(self) -> dict[str, np.ndarray]:
        weights = self.network.state_dict()
        return {name: weight.cpu().contiguous().numpy() for name, weight in weights.items()}

    def features(self, images: np.ndarray) -> np.ndarray:
        """The output of the trunk, where nothing is dropped: float32 [N, F]."""
        return self._in_chunks(images, self.network.trunk).numpy()

    def hidden(self, images: np.ndarray) -> Tensor:
        """The inputs of the last dense layer, nothing dropped: float32 [N, F]."""
        return self._in_chunks(images, lambda x: self.network.hidden(self.network.trunk(x)))

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def pixels(self, images: np.ndarray) -> Tensor:
        """The images as the network takes them: [N, channels, H, W] on its device."""
        return self.network.normalise(images).to(self.device)

    def _in_chunks(self, images: np.ndarray, layer: Callable[[Tensor], Tensor]) -> Tensor:
        starts = range(0, max(1, len(images)), CHUNK)
        with torch.inference_mode():
            chunks = [layer(self.pixels(images[start : start + CHUNK])) for start in starts]
            return torch.cat(chunks).cpu()


def torch_generator(seed: int) -> torch.Generator:
    """A generator of PyTorch on the CPU."""
    return torch.Generator().manual_seed(seed)


def _batches(size: int, seeds: Seeds) -> BatchOrder:
    return BatchOrder(size, torch_generator(seeds(Purpose.BATCH_ORDER)))
