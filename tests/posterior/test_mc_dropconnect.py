"""MC DropConnect against straightforward implementations in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dal_core.data.base import ImageDataset
from dal_core.models.dropout_masks import KeepBits
from dal_core.models.networks import BayesianCNN, build_model, normalise
from dal_core.posterior.mc_dropconnect import McDropConnectModel, connected_passes
from dal_core.protocol.parameters import ProtocolError
from dal_core.protocol.presets import preset, with_posterior
from dal_core.training.loop import Training
from tests import fast

RATES = [("lenet5", (0.5, 0.5)), ("lenet5", (0.3, 0.0)), ("gal_cnn", (0.5, 0.5))]


def network(name: str, rates: tuple[float, float]) -> BayesianCNN:
    model = build_model(name, rates, seed=3)
    model.drops_weights = True
    return model


def slow_head(model: BayesianCNN, features: np.ndarray, masks: list[np.ndarray]) -> np.ndarray:
    """[N, F] float64 -> [N, C] probabilities, weight by weight; `masks` are 0 or 1 / (1 - p)."""
    x = features
    for number, layer in enumerate(model.dense_layers()):
        weight = layer.weight.detach().double().numpy()
        x = np.maximum(x, 0) if number > 0 else x
        weight = weight * masks[number] if number < len(masks) else weight
        x = np.einsum("ni,oi->no", x, weight) + layer.bias.detach().double().numpy()
    raised = np.exp(x - x.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def slow_features(model: BayesianCNN, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model.trunk(normalise(images)).double().numpy()


@pytest.mark.parametrize(("name", "rates"), RATES)
def test_passes_equal_the_network_with_the_same_weights_struck_out(
    name: str, rates: tuple[float, float], mnist5k: ImageDataset
) -> None:
    model, n_passes = network(name, rates), 34  # more than one word of bits
    generator = torch.Generator().manual_seed(9)
    bits = [
        KeepBits((layer.out_features, layer.in_features), p, generator, torch.device("cpu"))
        for layer, p in zip(model.dense_layers(), rates, strict=False)
    ]
    features = slow_features(model, mnist5k.images[:6])
    expected = []
    for _ in range(n_passes):
        kept = [-one.next_pass().double().numpy() for one in bits]
        masks = [one / (1 - p) for one, p in zip(kept, rates, strict=True)]
        expected.append(slow_head(model, features, masks))
    images = normalise(mnist5k.images[:6])
    found = connected_passes(model, images, n_passes, torch.Generator().manual_seed(9))
    np.testing.assert_allclose(found.numpy(), np.stack(expected), rtol=1e-4, atol=1e-6)


def test_mean_and_spread_over_many_masks_are_those_of_masks_drawn_one_by_one(
    mnist5k: ImageDataset,
) -> None:
    model, rates, n = network("lenet5", (0.5, 0.3)), (0.5, 0.3), 3000
    features = slow_features(model, mnist5k.images[:1])
    draw = np.random.default_rng(4)
    shapes = [tuple(layer.weight.shape) for layer in model.dense_layers()[:2]]
    slow = np.stack(
        [
            slow_head(
                model,
                features,
                [(draw.random(s) >= p) / (1 - p) for s, p in zip(shapes, rates, strict=True)],
            )[0]
            for _ in range(n)
        ]
    )
    images, generator = normalise(mnist5k.images[:1]), torch.Generator().manual_seed(2)
    ours = connected_passes(model, images, n, generator)[:, 0].double().numpy()
    error = slow.std(0) / n**0.5
    assert (np.abs(ours.mean(0) - slow.mean(0)) < 5 * 2**0.5 * error).all()
    np.testing.assert_allclose(ours.std(0), slow.std(0), rtol=0.1)


@pytest.mark.parametrize("name", ["lenet5", "gal_cnn"])
def test_the_gradient_goes_through_the_kept_weights_alone(name: str, mnist5k: ImageDataset) -> None:
    """Against central differences of the loss, computed without autograd in float64."""
    model, ids = network(name, (0.5, 0.5)), np.arange(0, 5000, 700)
    masks = model.draw_masks(len(ids), torch.Generator().manual_seed(5))
    labels = torch.from_numpy(mnist5k.labels[ids])
    loss = F.cross_entropy(model(normalise(mnist5k.images[ids]), masks), labels)
    loss.backward()
    features = slow_features(model, mnist5k.images[ids])
    slow_masks = [mask.double().numpy() for mask in masks]
    for number, layer in enumerate(model.dense_layers()[:2]):
        weight, mask, gradient = layer.weight, masks[number], layer.weight.grad
        assert gradient is not None
        assert not gradient[mask == 0].any() and gradient[mask > 0].any()
        for place in _strongest(gradient, 3):
            slope = _difference(model, weight, place, features, slow_masks, mnist5k.labels[ids])
            assert abs(float(gradient[place]) - slope) < 1e-4 * max(1, abs(slope))


def _strongest(gradient: Tensor, n: int) -> list[tuple[int, ...]]:
    flat = gradient.abs().flatten().topk(n).indices
    return [tuple(int(i) for i in np.unravel_index(int(f), gradient.shape)) for f in flat]


def _difference(
    model: BayesianCNN,
    weight: Tensor,
    place: tuple[int, ...],
    features: np.ndarray,
    masks: list[np.ndarray],
    labels: np.ndarray,
) -> float:
    step, losses = 2**-8, []
    for sign in (1, -1):
        with torch.no_grad():
            weight[place] += sign * step
            probs = slow_head(model, features, masks)
            weight[place] -= sign * step
        losses.append(-np.log(probs[np.arange(len(labels)), labels]).mean())
    return float(losses[0] - losses[1]) / (2 * step)


def test_a_pass_is_one_network_for_all_images(mnist5k: ImageDataset) -> None:
    """The same image twice in a pass gets the same row, as a joint score needs."""
    model = McDropConnectModel(network("lenet5", (0.5, 0.5)), Training((), (), None, 0.0))
    probs = model.sample(mnist5k.images[[3, 8, 3]], 6, seed=1)
    assert torch.equal(probs[:, 0], probs[:, 2])
    assert len({row.numpy().tobytes() for row in probs[:, 0]}) == 6


def test_training_draws_a_mask_for_every_weight(mnist5k: ImageDataset) -> None:
    run = fast.run(mnist5k, posterior="mc_dropconnect", drop_connect=(0.25, 0.5))
    fast.steps(run, 1)
    model = run.fitted.model
    assert isinstance(model, McDropConnectModel)
    assert model.network.dropout == (0.25, 0.5)
    first, second = model.network.draw_masks(7, torch.Generator())
    assert first.shape == (120, 400) and second.shape == (84, 120)
    other = fast.run(mnist5k, posterior="mc_dropconnect", drop_connect=(0.0, 0.0))
    fast.steps(other, 1)
    assert not fast.same(fast.weights(run.fitted), fast.weights(other.fitted))


def test_its_rates_are_refused_where_nothing_reads_them() -> None:
    with pytest.raises(ProtocolError) as error:
        fast.protocol(drop_connect=(0.25, 0.5))
    assert str(error.value) == (
        "drop_connect is [0.25, 0.5]; allowed: [0.5, 0.5], since posterior mc_dropout does not "
        "read it"
    )
    chosen = with_posterior(preset("quick"), "mc_dropconnect").model_copy(
        update={"drop_connect": (0.1, 0.2)}
    )
    assert with_posterior(chosen, "mc_dropout") == preset("quick")
