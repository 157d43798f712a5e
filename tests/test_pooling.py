"""The max-pool of comparisons against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dal_core.pooling import max_pool_2x2

SHAPES = [(3, 6, 28, 28), (2, 16, 10, 10), (2, 3, 25, 25), (1, 1, 2, 3), (0, 6, 28, 28)]


def drawn(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def gradients(pool: object, x: Tensor, grad: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    out: Tensor = pool(x)  # type: ignore[operator]
    out.backward(grad)
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_those_of_stock_pooling(
    shape: tuple[int, int, int, int], layout: torch.memory_format
) -> None:
    x = drawn(shape, torch.float64).contiguous(memory_format=layout)
    expected = F.max_pool2d(x, 2)
    assert torch.equal(max_pool_2x2(x), expected)
    grad = drawn(tuple(expected.shape), torch.float64)
    stock = gradients(lambda x: F.max_pool2d(x, 2), x, grad)
    assert torch.equal(gradients(max_pool_2x2, x, grad), stock)


def test_the_gradient_is_that_of_finite_differences() -> None:
    x = drawn((2, 2, 4, 6), torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(max_pool_2x2, (x,))


def test_among_equal_elements_the_first_in_reading_order_gets_the_gradient() -> None:
    """Every window of values out of {0, 1}: all ties there are."""
    windows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).view(-1, 1, 2, 2)
    grad = torch.ones(len(windows), 1, 1, 1)
    ours = gradients(max_pool_2x2, windows, grad)
    assert torch.equal(ours, gradients(lambda x: F.max_pool2d(x, 2), windows, grad))
    assert ours[0].flatten().tolist() == [1, 0, 0, 0]  # all equal
    assert ours[6].flatten().tolist() == [0, 1, 0, 0]  # 0 1 / 1 0


def test_nan_stays_visible() -> None:
    x = torch.tensor([[[[1.0, float("nan")], [2.0, 3.0]]]])
    assert max_pool_2x2(x).isnan().all()
