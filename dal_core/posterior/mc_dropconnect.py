"""MC DropConnect (Mobiny et al. 2019): one network, with other weights dropped for every sample.

DropConnect (Wan et al. 2013) drops single weights where dropout drops units. It is on in training
and in prediction, in the two dense layers that have dropout in `mc_dropout`, which is off here.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dal_core.models.dropout_masks import KeepBits, keep
from dal_core.models.networks import BayesianCNN
from dal_core.posterior.base import register
from dal_core.posterior.mc_dropout import Dense
from dal_core.posterior.network import NetworkModel, NetworkPosterior, torch_generator
from dal_core.protocol.posteriors import PosteriorEntry
from dal_core.training.loop import Training

ENTRY = PosteriorEntry(
    name="mc_dropconnect",
    title="MC DropConnect",
    hint="one network, predicting many times with random connections switched off",
    sample="the network with new masks on the weights of two dense layers",
    source="Mobiny et al. 2019",
    row="pass",
    rows="passes",
    origin=(
        "DropConnect switches off random connections (single weights) of the network. Left on "
        "while predicting, it gives another prediction for the same image each time. Each row "
        "below is one prediction (a *stochastic forward pass*)"
    ),
    parameters=("drop_connect",),
)


class McDropConnect(NetworkPosterior):
    """Trains one network, with a new mask on the weights of two layers at every step."""

    def untrained(self, seed: int) -> BayesianCNN:
        network = super().untrained(seed)
        network.dropout, network.drops_weights = self.protocol.drop_connect, True
        return network

    def model(self, network: BayesianCNN, training: Training) -> McDropConnectModel:
        return McDropConnectModel(network, training)


class McDropConnectModel(NetworkModel):
    """A trained network that drops weights when it predicts."""

    def sample(self, images: np.ndarray, k: int, seed: int, consistent: bool = False) -> Tensor:
        """As `PosteriorModel.sample`; a draw is one mask of each layer for all images."""
        return connected_passes(self.network, self.pixels(images), k, torch_generator(seed))


def connected_passes(
    network: BayesianCNN, images: Tensor, n_passes: int, generator: torch.Generator
) -> Tensor:
    """p[t, n, c] = softmax(f(x_n; w * m_t)), with m = 0 or 1 / (1 - p) for every weight.

    Biases are never dropped. The trunk runs once, the head `n_passes` times.

    Args:
        images: [N, channels, H, W] normalised, on the network's device.
        n_passes: T.
        generator: source of all masks.

    Returns:
        [T, N, C] float32 probabilities.
    """
    layers, device = network.dense_layers(), images.device
    with torch.inference_mode():
        features = network.trunk(images)  # [N, F]
        weights = [
            layer.weight / (1 - p) for layer, p in zip(layers, network.dropout, strict=False)
        ]
        bits = [
            KeepBits((layer.out_features, layer.in_features), p, generator, device)
            for layer, p in zip(layers, network.dropout, strict=False)
        ]
        passes = []
        for _ in range(n_passes):
            x = features
            for number, layer in enumerate(layers):
                x = x.relu_() if number > 0 else x
                weight = layer.weight
                if number < len(bits):
                    weight = keep(weights[number], bits[number].next_pass())
                x = Dense(weight, layer.bias)(x)
            passes.append(torch.softmax(x, -1))
        return torch.stack(passes)


register(ENTRY, McDropConnect)
