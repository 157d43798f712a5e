"""The networks: sizes, layers, other image shapes, where weights and masks come from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dal_core.models.image_sizes import ImageTooSmall
from dal_core.models.networks import (
    PIXEL_MEAN,
    PIXEL_STD,
    BayesianCNN,
    build_model,
    normalise,
)

DROPOUT = (0.5, 0.25)


def images(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 1, 28, 28, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def lenet() -> BayesianCNN:
    return build_model("lenet5", DROPOUT, seed=7)


def test_lenet5_has_61706_parameters_in_the_layers_of_table_1(lenet: BayesianCNN) -> None:
    shapes = {name: tuple(p.shape) for name, p in lenet.named_parameters() if "weight" in name}
    assert shapes == {
        "conv1.weight": (6, 1, 5, 5),
        "conv2.weight": (16, 6, 5, 5),
        "dense1.weight": (120, 400),
        "dense2.weight": (84, 120),
        "dense3.weight": (10, 84),
    }
    assert sum(p.numel() for p in lenet.parameters()) == 61_706


def test_the_trunk_gives_400_features_and_the_head_ten_logits(lenet: BayesianCNN) -> None:
    features = lenet.trunk(images(3))
    assert features.shape == (3, 400)
    logits = lenet.head(features)
    assert logits.shape == (3, 10)
    assert torch.equal(lenet(images(3)), logits)


def test_logits_may_be_negative(lenet: BayesianCNN) -> None:
    assert (lenet(images(50)) < 0).any()


def stock_lenet(lenet: BayesianCNN, x: Tensor, masks: tuple[Tensor, Tensor]) -> Tensor:
    """Table 1 in its own order: convolution, relu, pool; dropout before the dense layers."""
    weights = list(lenet.parameters())
    x = F.max_pool2d(F.relu(F.conv2d(x, weights[0], weights[1], padding=2)), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, weights[2], weights[3])), 2)
    x = F.relu(F.linear(x.flatten(1) * masks[0], weights[4], weights[5]))
    return F.linear(F.relu(F.linear(x * masks[1], weights[6], weights[7])), weights[8], weights[9])


def test_pooling_before_relu_changes_no_bit(lenet: BayesianCNN) -> None:
    masks = lenet.draw_masks(20, torch.Generator().manual_seed(1))
    assert torch.equal(lenet(images(20), masks), stock_lenet(lenet, images(20), masks))


def test_weights_are_pytorchs_default_draw_for_the_same_seed(lenet: BayesianCNN) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        stock = [
            nn.Conv2d(1, 6, 5),
            nn.Conv2d(6, 16, 5),
            nn.Linear(400, 120),
            nn.Linear(120, 84),
            nn.Linear(84, 10),
        ]
    for one, other in zip(lenet.parameters(), nn.ModuleList(stock).parameters(), strict=True):
        assert torch.equal(one, other)


def test_weights_are_uniform_within_one_over_root_of_fan_in(lenet: BayesianCNN) -> None:
    fan_in = {"conv2": 150, "dense1": 400, "dense2": 120, "dense3": 84}
    parameters = lenet.state_dict()
    for layer, n in fan_in.items():
        weight, bound = parameters[f"{layer}.weight"], 1 / math.sqrt(n)
        assert weight.abs().max() <= bound
        assert parameters[f"{layer}.bias"].abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_another_seed_gives_other_weights_and_the_same_seed_the_same() -> None:
    one, again, other = (build_model("lenet5", DROPOUT, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_gal_cnn_has_608202_parameters_and_4608_features() -> None:
    gal = build_model("gal_cnn", (0.25, 0.5), seed=7)
    assert sum(p.numel() for p in gal.parameters()) == 608_202
    assert gal.trunk(images(2)).shape == (2, 4608)
    first, second = gal.draw_masks(2, torch.Generator())
    assert (first.shape, second.shape) == ((2, 4608), (2, 128))


def test_gal_cnn_keeps_28_rows_and_drops_before_both_dense_layers() -> None:
    gal = build_model("gal_cnn", (0.25, 0.5), seed=7)
    first, second = gal.draw_masks(5, torch.Generator().manual_seed(1))
    weights = list(gal.parameters())
    padded = F.pad(images(5), (1, 2, 1, 2))  # as Keras does: the odd row and column come last
    x = F.relu(F.conv2d(padded, weights[0], weights[1]))
    x = F.max_pool2d(F.relu(F.conv2d(x, weights[2], weights[3])), 2)
    x = F.relu(F.linear(x.flatten(1) * first, weights[4], weights[5]))
    expected = F.linear(x * second, weights[6], weights[7])
    torch.testing.assert_close(gal(images(5), (first, second)), expected, rtol=1e-5, atol=1e-6)


def head(p: float) -> BayesianCNN:
    """Only its sizes matter; neither is a multiple of eight."""
    return BayesianCNN((p, p), feature_size=401, hidden_size=123)


@pytest.mark.parametrize("p", [0.25, 0.5, 0.3, 0.9])  # by random byte, by random byte, uniform
def test_masks_drop_units_at_their_rate_and_scale_up_the_rest(p: float) -> None:
    n = 1001
    for mask in head(p).draw_masks(n, torch.Generator().manual_seed(4)):
        kept = mask != 0
        assert torch.allclose(mask[kept], torch.tensor(1 / (1 - p)))
        spread = math.sqrt(p * (1 - p) / mask.numel())
        assert kept.double().mean().item() == pytest.approx(1 - p, abs=5 * spread)
        # By unit and by image too: no column and no row is dropped more than chance allows.
        for axis, size in ((0, n), (1, mask.shape[1])):
            rates = kept.double().mean(axis)
            spread = math.sqrt(p * (1 - p) / size)
            assert (rates - (1 - p)).abs().max() < 5 * spread


@pytest.mark.parametrize("p", [0.5, 0.3])
def test_masks_of_neighbouring_units_and_images_are_independent(p: float) -> None:
    mask, _ = head(p).draw_masks(1001, torch.Generator().manual_seed(4))
    dropped = (mask == 0).double() - p
    for lag in (1, 2, 4, 8):
        along_units = (dropped[:, lag:] * dropped[:, :-lag]).mean() / (p * (1 - p))
        along_images = (dropped[lag:] * dropped[:-lag]).mean() / (p * (1 - p))
        assert abs(along_units) < 5 / math.sqrt(mask.numel())
        assert abs(along_images) < 5 / math.sqrt(mask.numel())


def test_each_layer_has_its_own_dropout_probability(lenet: BayesianCNN) -> None:
    first, second = lenet.draw_masks(500, torch.Generator().manual_seed(0))
    assert first.shape == (500, 400)
    assert second.shape == (500, 120)
    assert (first == 0).double().mean().item() == pytest.approx(0.5, abs=0.01)
    assert (second == 0).double().mean().item() == pytest.approx(0.25, abs=0.01)


def test_dropout_zero_drops_nothing() -> None:
    for mask in head(0).draw_masks(9, torch.Generator().manual_seed(0)):
        assert torch.equal(mask, torch.ones_like(mask))


def test_pixels_are_scaled_to_0_1_and_normalised() -> None:
    pixels = np.array([[[0, 255], [128, 1]]], dtype=np.uint8)
    expected = (pixels / 255 - PIXEL_MEAN[0]) / PIXEL_STD[0]
    assert normalise(pixels).shape == (1, 1, 2, 2)
    np.testing.assert_allclose(normalise(pixels)[:, 0].numpy(), expected, atol=1e-6)
    assert pixels.tolist() == [[[0, 255], [128, 1]]]


def test_each_channel_is_normalised_by_its_own_mean_and_deviation() -> None:
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    expected = (pixels / 255 - mean) / std
    found = normalise(pixels, mean, std)
    assert found.shape == (2, 3, 4, 5) and found.is_contiguous()
    np.testing.assert_allclose(found.permute(0, 2, 3, 1).numpy(), expected, atol=1e-6)


SHAPES = [(20, 12, 3), (12, 12), (13, 31, 3), (28, 28, 3), (64, 33)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["lenet5", "gal_cnn"])
def test_networks_take_images_of_any_shape_and_any_number_of_classes(
    name: str, shape: tuple[int, ...]
) -> None:
    model = build_model(name, DROPOUT, 7, shape, n_classes=3)
    height, width, channels = (*shape, 1)[:3]
    x = torch.randn(4, channels, height, width, generator=torch.Generator().manual_seed(0))
    assert model.trunk(x).shape == (4, model.feature_size)
    masks = model.draw_masks(4, torch.Generator().manual_seed(1))
    assert model(x, masks).shape == (4, 3)
    model(x, masks).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("shape", SHAPES)
def test_lenet5_computes_table_1_for_any_shape(shape: tuple[int, ...]) -> None:
    model = build_model("lenet5", DROPOUT, 7, shape, n_classes=3)
    height, width, channels = (*shape, 1)[:3]
    x = torch.randn(4, channels, height, width, generator=torch.Generator().manual_seed(0))
    masks = model.draw_masks(4, torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(x, masks), stock_lenet(model, x, masks), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "smallest"), [("lenet5", 12), ("gal_cnn", 5)])
def test_images_too_small_for_a_network_are_refused_in_one_line(name: str, smallest: int) -> None:
    assert build_model(name, DROPOUT, 7, (smallest, smallest)).feature_size > 0
    for shape in ((smallest - 1, 40), (40, smallest - 1, 3)):
        with pytest.raises(ImageTooSmall) as error:
            build_model(name, DROPOUT, 7, shape)
        height, width = shape[:2]
        assert str(error.value) == (
            f"images of {height} x {width} pixels are too small for {name}; "
            f"allowed: at least {smallest} x {smallest}"
        )
