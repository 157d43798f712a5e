"""The convolution with two layouts against the layer itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dal_core.convolution import convolve


def layer(dtype: torch.dtype = torch.float64) -> nn.Conv2d:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return nn.Conv2d(6, 16, 5).to(dtype)


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=dtype)


def test_the_forward_pass_is_the_layers_own() -> None:
    one, x = layer(torch.float32), drawn(9, 6, 14, 14, dtype=torch.float32)
    assert torch.equal(convolve(one, x), one(x))


def test_gradients_equal_the_layers_own_in_float64() -> None:
    stock, ours = layer(), layer()
    x_stock, x_ours = (drawn(9, 6, 14, 14).requires_grad_() for _ in range(2))
    grad = drawn(9, 16, 10, 10)
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
