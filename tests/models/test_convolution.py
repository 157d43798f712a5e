"""The convolution with gradients of its own against the layer itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dal_core.models.convolution import convolve, neighbours_as_channels


def layer(dtype: torch.dtype = torch.float64) -> nn.Conv2d:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return nn.Conv2d(6, 16, 5).to(dtype)


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=dtype)


def test_the_forward_pass_is_the_layers_own() -> None:
    one, x = layer(torch.float32), drawn(9, 6, 14, 14, dtype=torch.float32)
    assert torch.equal(convolve(one, x), one(x))


@pytest.mark.parametrize(("height", "width"), [(14, 14), (13, 14), (5, 9)])
def test_gradients_equal_the_layers_own_in_float64(height: int, width: int) -> None:
    stock, ours = layer(), layer()
    x_stock, x_ours = (drawn(9, 6, height, width).requires_grad_() for _ in range(2))
    grad = drawn(9, 16, height - 4, width - 4)
    stock(x_stock).backward(grad)
    convolve(ours, x_ours).backward(grad)
    torch.testing.assert_close(x_ours.grad, x_stock.grad, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(ours.parameters(), stock.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-12, atol=1e-12)


def test_the_gradients_are_those_of_finite_differences() -> None:
    small = nn.Conv2d(2, 3, 2).double()
    arguments = (drawn(2, 2, 4, 4).requires_grad_(), *small.parameters())

    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return convolve(small, x)

    assert torch.autograd.gradcheck(function, arguments)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 1), (1, 3), (2, 2)])
def test_neighbouring_outputs_are_blocks_of_channels(rows: int, columns: int) -> None:
    weight, x = layer().weight.detach(), drawn(2, 6, 12 + rows, 12 + columns)
    kernels = neighbours_as_channels(weight, rows, columns)
    blocks = F.conv2d(x, kernels, stride=(rows, columns)).split(16, dim=1)
    whole = F.conv2d(x, weight)
    for i in range(rows):
        for j in range(columns):
            block = blocks[i * columns + j]
            height, width = block.shape[-2:]
            expected = whole[:, :, i::rows, j::columns][:, :, :height, :width]
            torch.testing.assert_close(block, expected, rtol=1e-12, atol=1e-12)
