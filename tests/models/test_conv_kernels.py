"""The convolution kernels against PyTorch's own layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dal_core.models.conv_kernels import convolve, convolve_and_pool, neighbours_as_channels


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


# -- with the max-pool ----------------------------------------------------------------------

Layer = Callable[[nn.Conv2d, Tensor], Tensor]
POOL_SHAPES = [(3, 1, 28, 28), (2, 2, 9, 14), (2, 1, 14, 9), (1, 1, 6, 7), (0, 1, 28, 28)]


def stock(layer: nn.Conv2d, x: Tensor) -> Tensor:
    return F.max_pool2d(layer(x), 2)


def pool_layer(channels: int, padding: int, dtype: torch.dtype = torch.float64) -> nn.Conv2d:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return nn.Conv2d(channels, 6, 5, padding=padding).to(dtype)


def gradients(way: Layer, one: nn.Conv2d, x: Tensor) -> list[Tensor]:
    """Of the input, the weights and the bias."""
    x = x.clone().requires_grad_()
    out = way(one, x)
    return list(torch.autograd.grad(out, [x, *one.parameters()], drawn(*out.shape)))


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("shape", POOL_SHAPES)
def test_values_and_gradients_are_those_of_the_stock_layers(
    shape: tuple[int, int, int, int], padding: int
) -> None:
    one, x = pool_layer(shape[1], padding), drawn(*shape)
    torch.testing.assert_close(convolve_and_pool(one, x), stock(one, x), rtol=1e-11, atol=1e-11)
    pairs = zip(gradients(convolve_and_pool, one, x), gradients(stock, one, x), strict=True)
    for mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


def test_the_gradients_through_the_pool_are_those_of_finite_differences() -> None:
    small = nn.Conv2d(1, 2, 2).double()
    arguments = (drawn(2, 1, 5, 5).requires_grad_(), *small.parameters())

    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return convolve_and_pool(small, x)

    assert torch.autograd.gradcheck(function, arguments)


def test_among_equal_elements_the_first_in_reading_order_gets_the_gradient() -> None:
    """Every window of values out of {0, 1}, through a convolution that changes nothing."""
    windows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).view(-1, 1, 2, 2)
    same = nn.Conv2d(1, 1, 1)
    nn.init.ones_(same.weight)
    for parameter in list(same.parameters())[1:]:
        nn.init.zeros_(parameter)
    grads = list[Tensor]()
    for way in (convolve_and_pool, stock):
        x = windows.clone().requires_grad_()
        grads += torch.autograd.grad(way(same, x).sum(), x)
    assert torch.equal(grads[0], grads[1])
    assert grads[0][0].flatten().tolist() == [1, 0, 0, 0]  # all equal
    assert grads[0][6].flatten().tolist() == [0, 1, 0, 0]  # 0 1 / 1 0


def test_nan_stays_visible() -> None:
    x = torch.zeros(1, 1, 28, 28)
    x[0, 0, 3, 3] = float("nan")
    assert convolve_and_pool(pool_layer(1, 2, torch.float32), x).isnan().any()
