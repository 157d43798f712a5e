"""Stacked training on the CPU against single runs: the same masks, losses and kept weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dal_core.data.base import ImageDataset
from dal_core.models.networks import BayesianCNN, build_model, normalise
from dal_core.protocol.parameters import Protocol
from dal_core.training.loop import BatchOrder, Training, train
from dal_core.training.stacked.capacity import memory_of_a_run, runs_that_fit
from dal_core.training.stacked.model import patches_of, stack
from dal_core.training.stacked.train import StackedSet, train_together
from tests import fast

N, V = 30, 40  # training and validation images of a run


@pytest.fixture(scope="module")
def images(mnist5k: ImageDataset) -> Tensor:
    return normalise(mnist5k.images[:2000])


def models_of(name: str, protocol: Protocol, n_runs: int) -> list[BayesianCNN]:
    return [build_model(name, protocol.dropout, seed=10 + run % 4) for run in range(n_runs)]


def labelled(dataset: ImageDataset, n_runs: int, n_images: int, offset: int = 0) -> StackedSet:
    """Other images for every run, some of them twice."""
    generator = np.random.default_rng(offset)
    ids = generator.integers(0, 2000, (n_runs, n_images))
    return StackedSet(torch.from_numpy(ids), torch.from_numpy(dataset.labels[ids]))


def seeds_of(n_runs: int) -> list[int]:
    """Some runs share a seed, as the functions of an experiment do."""
    return [100 + run % 3 for run in range(n_runs)]


def together(
    models: list[BayesianCNN],
    images: Tensor,
    dataset: ImageDataset,
    protocol: Protocol,
    **more: Any,
) -> list[Training]:
    n_runs = len(models)
    training, validation = labelled(dataset, n_runs, N), labelled(dataset, n_runs, V, offset=1)
    return train_together(models, images, training, protocol, seeds_of(n_runs), validation, **more)


def one_by_one(
    models: list[BayesianCNN],
    images: Tensor,
    dataset: ImageDataset,
    protocol: Protocol,
    order_seeds: list[int] | None = None,
) -> list[Training]:
    n_runs = len(models)
    training, validation = labelled(dataset, n_runs, N), labelled(dataset, n_runs, V, offset=1)
    results = []
    for run, model in enumerate(models):
        generator = torch.Generator().manual_seed(seeds_of(n_runs)[run])
        batches = None
        if order_seeds:
            order = torch.Generator().manual_seed(order_seeds[run])
            batches = BatchOrder(protocol.full_data_batch_size, order)
        data = images[training.ids[run]], training.labels[run]
        held_out = images[validation.ids[run]], validation.labels[run]
        results.append(
            train(
                *(model, *data, protocol, generator, held_out),
                batches=batches,
                full_curve=True,
            )
        )
    return results


def assert_equal(
    ones: list[BayesianCNN], others: list[BayesianCNN], rtol: float, atol: float
) -> None:
    for one, other in zip(ones, others, strict=True):
        for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=rtol, atol=atol)


def assert_same_training(ones: list[Training], others: list[Training], rel: float) -> None:
    for one, other in zip(ones, others, strict=True):
        assert one.best_epoch == other.best_epoch
        assert one.train_losses == pytest.approx(other.train_losses, rel=rel)
        assert one.val_losses == pytest.approx(other.val_losses, rel=rel)


RASH = {"learning_rate": 0.01, "weight_decay": 0.1, "betas": [0.8, 0.99]}


@pytest.mark.parametrize("weights", ["best", "last"])
@pytest.mark.parametrize("n_runs", [1, 3, 15])
def test_stacked_runs_equal_single_runs_in_float64(
    mnist5k: ImageDataset, images: Tensor, n_runs: int, weights: str
) -> None:
    """Rounding then leaves no room for a difference in the procedure."""
    protocol = fast.protocol(weights=weights, n_epochs=12, dropout=[0.5, 0.25], **RASH)
    ones, others = ([m.double() for m in models_of("lenet5", protocol, n_runs)] for _ in "ab")
    # Blocks of 5 epochs: neither all of them nor a divisor.
    mine = together(ones, images.double(), mnist5k, protocol, epochs_ahead=5)
    theirs = one_by_one(others, images.double(), mnist5k, protocol)
    assert_same_training(mine, theirs, rel=1e-9)
    assert_equal(ones, others, rtol=1e-7, atol=1e-9)
    if weights == "best" and n_runs == 15:
        epochs = {training.best_epoch for training in mine}
        assert len(epochs) > 1 and epochs != {12}, "the test needs worse ends"


@pytest.mark.parametrize("weights", ["best", "last"])
def test_stacked_runs_of_the_larger_network_equal_single_runs(
    mnist5k: ImageDataset, images: Tensor, weights: str
) -> None:
    protocol = fast.protocol(weights=weights, n_epochs=2, dropout=[0.25, 0.5])
    ones, others = ([m.double() for m in models_of("gal_cnn", protocol, 2)] for _ in "ab")
    mine = together(ones, images.double(), mnist5k, protocol)
    theirs = one_by_one(others, images.double(), mnist5k, protocol)
    assert_same_training(mine, theirs, rel=1e-9)
    assert_equal(ones, others, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["lenet5", "gal_cnn"])
def test_images_may_have_colour_and_any_shape(name: str) -> None:
    """Three classes of 20 x 12 pixels."""
    protocol = fast.protocol(weights="best", n_epochs=3, dropout=[0.25, 0.5])
    draws = np.random.default_rng(1)
    images = torch.from_numpy(draws.normal(size=(90, 3, 20, 12)))
    ids = [torch.from_numpy(draws.integers(0, 90, (2, n))) for n in (N, V)]
    training, validation = (StackedSet(one, one % 3) for one in ids)
    ones, others = (
        [build_model(name, (0.25, 0.5), seed, (20, 12, 3), 3).double() for seed in (1, 2)]
        for _ in "ab"
    )
    mine = train_together(ones, images, training, protocol, [7, 8], validation)
    theirs = [
        train(
            *(model, images[training.ids[run]], training.labels[run], protocol),
            torch.Generator().manual_seed(7 + run),
            (images[validation.ids[run]], validation.labels[run]),
            full_curve=True,
        )
        for run, model in enumerate(others)
    ]
    assert_same_training(mine, theirs, rel=1e-9)
    assert_equal(ones, others, rtol=1e-7, atol=1e-9)


def test_an_epoch_in_float32_agrees_within_rounding(mnist5k: ImageDataset, images: Tensor) -> None:
    protocol = fast.protocol(weights="best", n_epochs=1)
    ones, others = models_of("lenet5", protocol, 15), models_of("lenet5", protocol, 15)
    mine = together(ones, images, mnist5k, protocol)
    theirs = one_by_one(others, images, mnist5k, protocol)
    assert_same_training(mine, theirs, rel=1e-5)
    # A first step of Adam is +-lr whatever the gradient's size: a tiny one may round either way.
    for one, other in zip(ones, others, strict=True):
        given, wanted = one(images[:200]), other(images[:200])
        torch.testing.assert_close(given, wanted, rtol=1e-3, atol=1e-3)
        assert float((given.argmax(1) == wanted.argmax(1)).float().mean()) > 0.98


def test_mini_batches_follow_each_runs_own_order(mnist5k: ImageDataset, images: Tensor) -> None:
    protocol = fast.protocol(weights="best", n_epochs=4, full_data_batch_size=8, **RASH)
    ones, others = ([m.double() for m in models_of("lenet5", protocol, 3)] for _ in "ab")
    order_seeds = [5, 6, 5]
    mine = together(
        ones, images.double(), mnist5k, protocol, order_seeds=order_seeds, epochs_ahead=3
    )
    theirs = one_by_one(others, images.double(), mnist5k, protocol, order_seeds)
    assert_same_training(mine, theirs, rel=1e-9)
    assert_equal(ones, others, rtol=1e-7, atol=1e-9)


def test_patches_and_their_gradient_are_those_of_unfold() -> None:
    x = torch.randn(2, 3, 4, 9, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)
    mine = patches_of(x, 3)
    assert mine.shape == (2, 3, 36, 7, 6)
    mine = mine.flatten(3)
    theirs = F.unfold(x.flatten(0, 1), 3).unflatten(0, (2, 3))
    assert torch.equal(mine, theirs)
    weights = torch.randn(mine.shape, generator=torch.Generator().manual_seed(2))
    (one,) = torch.autograd.grad((mine * weights).sum(), x)
    (other,) = torch.autograd.grad((theirs * weights).sum(), x)
    torch.testing.assert_close(one, other)


def test_as_many_runs_go_together_as_memory_and_libraries_allow() -> None:
    model = build_model("lenet5", (0.5, 0.25), seed=1)
    each = memory_of_a_run(model, 1000, 1000)
    assert [runs_that_fit(model, 1000, 1000, n) for n in (0, each, 15 * each)] == [1, 1, 15]
    assert runs_that_fit(model, 1000, 1000, 1000 * each) == 65


@pytest.mark.parametrize(
    ("name", "shape", "n_runs"),
    [
        ("lenet5", (28, 28), 65),
        ("lenet5", (20, 12, 3), 65),
        ("lenet5", (100, 96), 7),
        ("gal_cnn", (28, 28), 6),
        ("gal_cnn", (20, 12, 40), 13),
    ],
)
def test_no_tensor_of_a_group_has_more_elements_than_32_bits_can_index(
    name: str, shape: tuple[int, ...], n_runs: int
) -> None:
    model = build_model(name, (0.5, 0.25), seed=1, image_shape=shape)
    assert runs_that_fit(model, 1000, 1000, 10**18) == n_runs
    sizes = list[int]()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(
            self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            made = operation(*args, **(kwargs or {}))
            sizes.extend(one.numel() for one in tree_leaves(made) if isinstance(one, Tensor))
            return made

    stacked = stack([model])
    with Watch():
        stacked.trunk(stacked.unfold(torch.zeros(1, 4, *model.image_size)))
    assert max(sizes) == 4 * stacked.largest_tensor(*model.image_size)


def test_stacking_copies_the_weights(mnist5k: ImageDataset) -> None:
    models = models_of("lenet5", fast.protocol(), 2)
    before = [p.clone() for p in models[1].parameters()]
    for weight in stack(models).parameters.values():
        weight.zero_()
    assert all(map(torch.equal, models[1].parameters(), before))
