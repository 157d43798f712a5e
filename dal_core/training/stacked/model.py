"""R models of one architecture as one model with stacked weights.

Activations are [R, n, ...]: run, image, then as in `models`. Convolutions are matrix products of
patches and weights. A grouped convolution with so few channels in a group is expected to be slower
on a GPU (not measured). A matrix product also stays in float32, where a convolution would default
to TF32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dal_core.models.networks import BayesianCNN, GalCNN, LeNet5


class StackedModel(ABC):
    """R models of one architecture.

    Attributes:
        parameters: [R, ...] by their names in a single model.
        dense: names of the head's layers, in order.
        kernel: kernel size k of the first convolution.
        training_floats: float32 numbers alive at the peak of a training step, for one image of one
            run, if it is grey and has 28 x 28 pixels.
        forward_floats: the same at the peak of a validation.
    """

    kernel: int
    training_floats: int
    forward_floats: int

    def __init__(self, models: Sequence[BayesianCNN]) -> None:
        states = [dict(model.named_parameters()) for model in models]
        self.parameters = {
            name: torch.stack([state[name].detach() for state in states]).contiguous()
            for name in states[0]
        }
        layers = models[0].named_children()
        self.dense = [name for name, layer in layers if isinstance(layer, nn.Linear)]

    @staticmethod
    @abstractmethod
    def largest_tensor(channels: int, height: int, width: int) -> int:
        """Elements of the largest tensor, for one image of one run."""

    @abstractmethod
    def unfold(self, images: Tensor) -> Tensor:
        """[R, n, C, H, W] images -> the patches that the first convolution multiplies."""

    @abstractmethod
    def trunk(self, patches: Tensor) -> Tensor:
        """Patches of images (see `unfold`) -> [R, n, feature_size] features."""

    def head(self, features: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """[R, n, feature_size] features -> [R, n, C] logits; without masks, dropout is off."""
        x = features
        for number, name in enumerate(self.dense):
            x = F.relu(x) if number > 0 else x
            x = x * masks[number] if number < len(masks) else x
            x = self.linear(name, x)
        return x

    def linear(self, name: str, x: Tensor) -> Tensor:
        """The dense layer of that name: [R, m, in] -> [R, m, out]."""
        weight, bias = self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"]
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))

    def convolve(self, name: str, patches: Tensor) -> Tensor:
        """[R, n, C k k, H', W'] patches -> [R, n, C', H', W'], without the bias."""
        weight = self.parameters[f"{name}.weight"].flatten(2).unsqueeze(1)  # [R, 1, C', C k k]
        x = weight @ patches.flatten(3)  # [R, n, C', H' W']
        return x.unflatten(3, patches.shape[3:])

    def add_bias(self, name: str, x: Tensor) -> Tensor:
        """[R, n, C', H', W'] plus a convolution's bias; after pooling, a quarter of the work."""
        return x + self.parameters[f"{name}.bias"][:, None, :, None, None]

    def write_back(self, models: Sequence[BayesianCNN], weights: Mapping[str, Tensor]) -> None:
        """Copy each run's weights, [R, ...] by name, into its own model."""
        with torch.no_grad():
            for number, model in enumerate(models):
                for name, parameter in model.named_parameters():
                    parameter.copy_(weights[name][number])


class _StackedLeNet5(StackedModel):
    kernel, training_floats, forward_floats = 5, 80_000, 45_000

    @staticmethod
    def largest_tensor(channels: int, height: int, width: int) -> int:
        first = 25 * channels * height * width  # patches of the first layer
        return max(first, 25 * 6 * (height // 2 - 4) * (width // 2 - 4))

    def unfold(self, images: Tensor) -> Tensor:
        return patches_of(F.pad(images, (2, 2, 2, 2)), 5)  # [R, n, 25 C, H, W]

    def trunk(self, patches: Tensor) -> Tensor:
        x = _pool(self.convolve("conv1", patches))
        x = F.relu(self.add_bias("conv1", x))  # [R, n, 6, H // 2, W // 2]
        x = _pool(self.convolve("conv2", patches_of(x, 5)))
        x = F.relu(self.add_bias("conv2", x))  # [R, n, 16, 5, 5] for 28 x 28 pixels
        return x.flatten(2)


class _StackedGalCNN(StackedModel):
    kernel, training_floats, forward_floats = 4, 850_000, 420_000

    @staticmethod
    def largest_tensor(channels: int, height: int, width: int) -> int:
        first = 16 * channels * height * width
        return max(first, 16 * 32 * (height - 3) * (width - 3))  # patches of the second layer

    def unfold(self, images: Tensor) -> Tensor:
        return patches_of(F.pad(images, (1, 2, 1, 2)), 4)  # [R, n, 16 C, H, W]

    def trunk(self, patches: Tensor) -> Tensor:
        x = F.relu(self.add_bias("conv1", self.convolve("conv1", patches)))  # [R, n, 32, H, W]
        x = _pool(self.convolve("conv2", patches_of(x, 4)))
        x = F.relu(self.add_bias("conv2", x))  # [R, n, 32, 12, 12] for 28 x 28 pixels
        return x.flatten(2)


STACKED: Mapping[type[BayesianCNN], type[StackedModel]] = {
    LeNet5: _StackedLeNet5,
    GalCNN: _StackedGalCNN,
}


def stack(models: Sequence[BayesianCNN]) -> StackedModel:
    """Copies of the models' parameters as one stacked model."""
    return STACKED[type(models[0])](models)


def patches_of(x: Tensor, kernel: int) -> Tensor:
    """[R, n, C, H, W] -> [R, n, C k k, H', W']: the inputs of a k x k kernel at each position."""
    return _Patches.apply(x, kernel)


class _Patches(torch.autograd.Function):
    """`F.unfold` for all images at once; PyTorch's launches a kernel for each image on a GPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: int) -> Tensor:
        ctx.kernel, ctx.size = kernel, x.shape[-2:]
        patches = x.unfold(3, kernel, 1).unfold(4, kernel, 1)  # [R, n, C, H', W', k, k]
        return patches.permute(0, 1, 2, 5, 6, 3, 4).flatten(2, 4)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        # One kernel, without atomic additions.
        folded = F.fold(grad.flatten(0, 1).flatten(2), ctx.size, ctx.kernel)
        return folded.unflatten(0, grad.shape[:2]), None


def _pool(x: Tensor) -> Tensor:
    """2x2 max-pool: [R, n, C, H, W] -> [R, n, C, H // 2, W // 2]."""
    return F.max_pool2d(x.flatten(0, 1), 2).unflatten(0, x.shape[:2])
