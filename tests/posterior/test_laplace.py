"""The Laplace approximation of the last layer, against autograd in float64 and many draws."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import hessian, jacobian
from torch.nn import functional as F

from dal_core.data.base import ImageDataset
from dal_core.posterior.laplace import LaplaceModel, Spread, curvature
from dal_core.protocol.parameters import ProtocolError
from tests import fast

N_CLASSES, N_INPUTS = 3, 2


def layer(seed: int, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs [n, 2], labels [n], weights [3, 3] of a tiny layer; the last column is the bias."""
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, N_INPUTS, generator=draw, dtype=torch.float64)
    weights = torch.randn(N_CLASSES, N_INPUTS + 1, generator=draw, dtype=torch.float64)
    return hidden, torch.randint(N_CLASSES, (n,), generator=draw), weights


def logits(flat: Tensor, hidden: Tensor) -> Tensor:
    weights = flat.view(N_CLASSES, N_INPUTS + 1)
    return hidden @ weights[:, :-1].T + weights[:, -1]


def probabilities(weights: Tensor, hidden: Tensor) -> Tensor:
    return torch.softmax(logits(weights.flatten(), hidden), -1)


def autograd_hessian(weights: Tensor, hidden: Tensor, labels: Tensor) -> Tensor:
    def loss(flat: Tensor) -> Tensor:
        return F.cross_entropy(logits(flat, hidden), labels, reduction="sum")

    return torch.as_tensor(hessian(loss, weights.flatten()))


def gauss_newton(weights: Tensor, hidden: Tensor, labels: Tensor) -> Tensor:
    """sum_n J_n' (d2 loss / d logits2) J_n, each factor by autograd."""
    total = torch.zeros(weights.numel(), weights.numel(), dtype=torch.float64)
    for h, label in zip(hidden, labels, strict=True):
        one = h[None]
        slope = torch.as_tensor(
            jacobian(lambda flat, one=one: logits(flat, one)[0], weights.flatten())
        )
        bend = torch.as_tensor(
            hessian(
                lambda z, label=label: F.cross_entropy(z[None], label[None]),
                logits(weights.flatten(), one)[0],
            )
        )
        total += slope.T @ bend @ slope
    return total


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_for_one_image_the_factors_give_the_exact_hessian(seed: int) -> None:
    hidden, labels, weights = layer(seed, 1)
    inputs, classes = curvature(hidden, probabilities(weights, hidden))
    found = torch.kron(classes, inputs)
    torch.testing.assert_close(found, autograd_hessian(weights, hidden, labels))
    torch.testing.assert_close(found, gauss_newton(weights, hidden, labels))


def test_for_several_images_each_factor_is_that_of_autograd() -> None:
    hidden, labels, weights = layer(4, 7)
    exact = autograd_hessian(weights, hidden, labels)
    torch.testing.assert_close(gauss_newton(weights, hidden, labels), exact)
    inputs, classes = curvature(hidden, probabilities(weights, hidden))
    bends = [
        torch.as_tensor(hessian(lambda z, label=label: F.cross_entropy(z[None], label[None]), one))
        for one, label in zip(logits(weights.flatten(), hidden), labels, strict=True)
    ]
    torch.testing.assert_close(classes, torch.stack(bends).mean(0))
    # With equal predictions for all images nothing is lost.
    same = probabilities(weights, hidden[:1]).expand(7, -1)
    inputs, classes = curvature(hidden, same)
    with_one = F.pad(hidden, (0, 1), value=1.0)
    expected = sum(torch.kron(bends[0], torch.outer(h, h)) for h in with_one)
    torch.testing.assert_close(torch.kron(classes, inputs), torch.as_tensor(expected))


def test_draws_have_the_covariance_of_the_inverse_precision() -> None:
    hidden, _, weights = layer(5, 6)
    inputs, classes = curvature(hidden, probabilities(weights, hidden))
    expected = torch.linalg.inv(torch.kron(classes, inputs) + 2.0 * torch.eye(9).double())
    spread, generator, n = Spread.of(inputs, classes), torch.Generator().manual_seed(1), 20_000
    draws = torch.stack([spread.draw(2.0, generator).flatten() for _ in range(n)])
    found = draws.T @ draws / n
    scale = torch.outer(expected.diag(), expected.diag()).sqrt()
    assert ((found - expected).abs() < 5 * (2 / n) ** 0.5 * scale).all()
    assert (draws.mean(0).abs() < 5 * (expected.diag() / n).sqrt()).all()


def test_a_stronger_prior_keeps_draws_nearer_to_the_trained_network(mnist5k: ImageDataset) -> None:
    spreads = []
    for precision in (1.0, 100.0, 1e6):
        run = fast.run(mnist5k, posterior="laplace", prior_precision=precision)
        run.fit()
        model = run.fitted.model
        assert isinstance(model, LaplaceModel)
        images = mnist5k.images[:50]
        probs = model.sample(images, 8, seed=1)
        spreads.append(float((probs - model.prediction(images)).abs().mean()))
    assert spreads[0] > 2 * spreads[1] > 20 * spreads[2]


def test_its_precision_is_refused_where_nothing_reads_it() -> None:
    with pytest.raises(ProtocolError) as error:
        fast.protocol(posterior="ensemble", prior_precision=1)
    assert str(error.value) == (
        "prior_precision is 1.0; allowed: 100.0, since posterior ensemble does not read it"
    )
