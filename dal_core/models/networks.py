"""The networks, each with a deterministic trunk and a stochastic head.

Both dropout layers come after the convolutions, so with fixed weights an image has the same
features in every stochastic pass. The trunk runs once and only the dense head runs T times
(docs/method.md, section 2). Masks are arguments, so the caller controls all random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dal_core.models.conv_kernels import convolve, convolve_and_pool
from dal_core.models.dropout_masks import multipliers
from dal_core.models.image_sizes import image_size

PIXEL_MEAN, PIXEL_STD = (0.1307,), (0.3081,)  # of MNIST's training pixels scaled to [0, 1]

Masks = tuple[Tensor, Tensor]  # multipliers of the inputs, or weights, of two dense layers


class BayesianCNN(nn.Module):
    """A convolutional network whose dense head has dropout before two of its layers.

    Subclasses define `trunk`, `dense_layers`, `image_size` and the fastest memory layout.

    Args:
        dropout: probability before the first and the second dropped-out dense layer.
        feature_size: F, inputs of the first dropped-out dense layer.
        hidden_size: inputs of the second.

    Attributes:
        drops_weights: masks are for the weights of the two layers in place of their inputs
            (DropConnect). The caller sets it.
    """

    image_size: tuple[int, int, int]  # channels, H, W
    memory_format: torch.memory_format = torch.contiguous_format

    def __init__(self, dropout: tuple[float, float], feature_size: int, hidden_size: int) -> None:
        super().__init__()
        self.dropout = dropout
        self.drops_weights = False
        self.feature_size, self.hidden_size = feature_size, hidden_size
        self.pixel_mean: tuple[float, ...] = PIXEL_MEAN
        self.pixel_std: tuple[float, ...] = PIXEL_STD

    def normalise(self, images: np.ndarray) -> Tensor:
        """`normalise` with the model's own `pixel_mean` and `pixel_std`: the input of `trunk`."""
        return normalise(images, self.pixel_mean, self.pixel_std)

    def trunk(self, images: Tensor) -> Tensor:
        """Normalised images [N, channels, H, W] -> features [N, F], without dropout."""
        raise NotImplementedError

    def dense_layers(self) -> Sequence[nn.Linear]:
        """The layers of the head: relu between them, dropout before the first two."""
        raise NotImplementedError

    def head(self, features: Tensor, masks: Masks | None = None) -> Tensor:
        """Features [N, F] -> logits [N, C]; without masks, dropout is off."""
        x = features
        for number, layer in enumerate(self.dense_layers()):
            x = F.relu(x) if number > 0 else x
            if masks is None or number >= len(masks):
                x = layer(x)
            elif self.drops_weights:
                x = F.linear(x, layer.weight * masks[number], layer.bias)
            else:
                x = layer(x * masks[number])
        return x

    def hidden(self, features: Tensor, n_last: int = 1) -> Tensor:
        """Features [N, F] -> inputs of the `n_last` last dense layers [N, units], no dropout."""
        x = features
        for layer in self.dense_layers()[:-n_last]:
            x = F.relu(layer(x))
        return x

    def forward(self, images: Tensor, masks: Masks | None = None) -> Tensor:
        """Normalised images [N, channels, H, W] -> logits [N, C]."""
        return self.head(self.trunk(images), masks)

    def draw_masks(self, n_images: int, generator: torch.Generator) -> Masks:
        """Inverted dropout: multipliers 0 or 1/(1-p), independent of each other.

        Returns:
            For the two dropped-out layers [N, units]. If weights are dropped, [outputs, inputs]:
            one mask for all images.
        """
        shapes = [(n_images, size) for size in (self.feature_size, self.hidden_size)]
        if self.drops_weights:
            shapes = [(one.out_features, one.in_features) for one in self.dense_layers()[:2]]
        first, second = (
            multipliers(shape, p, generator) for shape, p in zip(shapes, self.dropout, strict=True)
        )
        return first, second


class LeNet5(BayesianCNN):
    """LeNet-5 of the report (Table 1; logits without relu): 61,706 parameters on MNIST."""

    def __init__(
        self,
        dropout: tuple[float, float] = (0.5, 0.25),
        image_shape: tuple[int, ...] = (28, 28),
        n_classes: int = 10,
    ) -> None:
        channels, height, width = image_size("lenet5", image_shape)
        features = 16 * ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)
        super().__init__(dropout, features, 120)
        self.image_size = channels, height, width
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.dense1 = nn.Linear(features, 120)
        self.dense2 = nn.Linear(120, 84)
        self.dense3 = nn.Linear(84, n_classes)

    def trunk(self, images: Tensor) -> Tensor:
        # Pooling before relu gives the same values, with relu on a quarter of the elements.
        x = F.relu(convolve_and_pool(self.conv1, images))  # [N, 6, H / 2, W / 2]
        x = convolve(self.conv2, x)  # [N, 16, H / 2 - 4, W / 2 - 4]
        # PyTorch's own pooling is vectorised with the channels last: 0.3 instead of 1.8 ms.
        x = F.max_pool2d(x.contiguous(memory_format=torch.channels_last), 2)
        return F.relu(x).flatten(1)

    def dense_layers(self) -> Sequence[nn.Linear]:
        return self.dense1, self.dense2, self.dense3


class GalCNN(BayesianCNN):
    """The Keras MNIST example that Gal et al. (2017) used: 608,202 parameters on MNIST."""

    memory_format = torch.channels_last  # a training step on 120 images: 59 instead of 66 ms

    def __init__(
        self,
        dropout: tuple[float, float] = (0.25, 0.5),
        image_shape: tuple[int, ...] = (28, 28),
        n_classes: int = 10,
    ) -> None:
        channels, height, width = image_size("gal_cnn", image_shape)
        features = 32 * ((height - 3) // 2) * ((width - 3) // 2)
        super().__init__(dropout, features, 128)
        self.image_size = channels, height, width
        self.conv1 = nn.Conv2d(channels, 32, 4)
        self.conv2 = nn.Conv2d(32, 32, 4)
        self.dense1 = nn.Linear(features, 128)
        self.dense2 = nn.Linear(128, n_classes)

    def trunk(self, images: Tensor) -> Tensor:
        # "same" with an even kernel pads one more row below and one more column to the right.
        x = F.relu(self.conv1(F.pad(images, (1, 2, 1, 2))))  # [N, 32, H, W]
        # Pooling drops an odd last row and column: 25 x 25 become 12 x 12.
        x = F.relu(F.max_pool2d(self.conv2(x), 2))  # [N, 32, (H - 3) / 2, (W - 3) / 2]
        return x.flatten(1)

    def dense_layers(self) -> Sequence[nn.Linear]:
        return self.dense1, self.dense2


MODELS: Mapping[str, type[LeNet5] | type[GalCNN]] = {"lenet5": LeNet5, "gal_cnn": GalCNN}


def build_model(
    name: str,
    dropout: tuple[float, float],
    seed: int,
    image_shape: tuple[int, ...] = (28, 28),
    n_classes: int = 10,
    pixel_mean: tuple[float, ...] = PIXEL_MEAN,
    pixel_std: tuple[float, ...] = PIXEL_STD,
) -> BayesianCNN:
    """A freshly initialised model, with weights drawn from a generator seeded with `seed`.

    Args:
        name: a key of MODELS.
        dropout: probability before the first and the second dropped-out dense layer.
        seed: seed of the initial weights (`randomness.torch_seed`).
        image_shape: (H, W), or (H, W, channels).
        n_classes: C.
        pixel_mean, pixel_std: one value per channel, for `BayesianCNN.normalise`.

    Raises:
        ImageTooSmall: after convolution and pooling, nothing would be left of such an image.
    """
    with torch.random.fork_rng(devices=[]):  # keeps the global generator as it was
        model = MODELS[name](dropout, image_shape, n_classes)
    model.pixel_mean, model.pixel_std = pixel_mean, pixel_std
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            _initialise(layer, generator)
    return model.to(memory_format=model.memory_format)  # type: ignore[call-overload]


def normalise(
    images: np.ndarray, mean: Sequence[float] = PIXEL_MEAN, std: Sequence[float] = PIXEL_STD
) -> Tensor:
    """Pixels scaled to [0, 1], minus the mean, divided by the standard deviation.

    Args:
        images: uint8 [N, H, W], or [N, H, W, channels].
        mean, std: one value per channel.

    Returns:
        float32 [N, channels, H, W].
    """
    pixels = torch.from_numpy(images.astype(np.float32))
    pixels = pixels.unsqueeze(1) if images.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    pixels.div_(255)
    for channel, (centre, spread) in enumerate(zip(mean, std, strict=True)):
        pixels[:, channel].sub_(centre).div_(spread)
    return pixels


def _initialise(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
    """PyTorch's default initialisation of both layer types, drawn from `generator`."""
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    if layer.bias is not None:
        bound = 1 / math.sqrt(layer.weight[0].numel())
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
