"""A convolution whose weight gradient is computed with the channels last.

Forward and the gradient of the input are fastest with the channels first, the gradient of the
weights with the channels last: for LeNet-5's second convolution on 520 images 2.2 instead of
5.6 ms on one core, reordering not counted; a whole training step 25.6 instead of 27.2 ms. Each is
PyTorch's own kernel; only the layout it is given differs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """`layer(x)` for a layer without padding, stride or dilation.

    [N, C, H, W] -> [N, C', H', W'].
    """
    return _Convolution.apply(x, layer.weight, layer.bias)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        last = torch.channels_last
        grad_x, _, _ = _gradients(grad, x, weight, [True, False, False])
        _, grad_weight, grad_bias = _gradients(
            grad.contiguous(memory_format=last),
            x.contiguous(memory_format=last),
            weight,
            [False, True, True],
        )
        return grad_x, grad_weight, grad_bias


def _gradients(
    grad: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """The wanted ones of the gradients of input, weight and bias."""
    return torch.ops.aten.convolution_backward(
        grad,
        x,
        weight,
        [weight.shape[0]],  # the bias's size
        [1, 1],  # stride
        [0, 0],  # padding
        [1, 1],  # dilation
        False,  # transposed
        [0, 0],  # output padding
        1,  # groups
        wanted,
    )
