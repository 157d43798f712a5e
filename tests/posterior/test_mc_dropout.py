"""Stochastic passes: the trunk runs once, and each chunk has its own masks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dal_core.data.base import ImageDataset
from dal_core.models.dropout_masks import KeepBits
from dal_core.models.networks import BayesianCNN, build_model, normalise
from dal_core.posterior.base import CHUNK, ImageKind, chunk_seed
from dal_core.posterior.mc_dropout import McDropout, McDropoutModel, stochastic_passes
from dal_core.training.loop import Training
from tests import fast

T = 5
UNTRAINED = Training((), (), None, 0.0)


@pytest.fixture(scope="module")
def model() -> BayesianCNN:
    return build_model("lenet5", (0.5, 0.25), seed=3)


def multipliers(
    model: BayesianCNN, n_images: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """The masks of pass after pass as numbers to multiply with, 0 or 1 / (1 - p)."""
    cpu = torch.device("cpu")
    sizes = [layer.in_features for layer in model.dense_layers()[:2]]
    bits = [
        KeepBits((n_images, size), p, generator, cpu)
        for size, p in zip(sizes, model.dropout, strict=True)
    ]
    while True:
        first, second = (
            -one.next_pass() / (1 - p) for one, p in zip(bits, model.dropout, strict=True)
        )
        yield first, second


MODELS = [
    ("lenet5", (0.5, 0.25)),
    ("lenet5", (0.25, 0.5)),
    ("lenet5", (0.3, 0)),
    ("gal_cnn", (0.25, 0.5)),
]


@pytest.mark.parametrize(("name", "dropout"), MODELS)
def test_running_the_trunk_once_equals_t_full_passes_with_the_same_masks(
    name: str, dropout: tuple[float, float], mnist5k: ImageDataset
) -> None:
    """Against the whole model, its masks multiplied; rounding differs, nothing else does."""
    model, n_passes = build_model(name, dropout, seed=3), 34  # more than one word of bits
    images = normalise(mnist5k.images[:6])
    masks = multipliers(model, 6, torch.Generator().manual_seed(9))
    with torch.no_grad():
        full = [torch.softmax(model(images, next(masks)), -1) for _ in range(n_passes)]
    passes = stochastic_passes(model, images, n_passes, torch.Generator().manual_seed(9))
    torch.testing.assert_close(passes, torch.stack(full), rtol=1e-4, atol=1e-6)


def test_the_mean_of_the_passes_equals_that_of_pytorchs_dropout(mnist5k: ImageDataset) -> None:
    """An image's mean and spread over many passes, against `F.dropout` in a plain network."""
    model, image = build_model("lenet5", (0.5, 0.25), seed=3), normalise(mnist5k.images[:1])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        features = model.trunk(image).expand(4000, -1)
        first, second, third = model.dense_layers()
        hidden = F.relu(first(F.dropout(features, 0.5)))
        stock = torch.softmax(third(F.relu(second(F.dropout(hidden, 0.25)))), -1)
    ours = stochastic_passes(model, image, 4000, torch.Generator().manual_seed(2))[:, 0]
    error = stock.std(0) / 4000**0.5
    assert ((ours.mean(0) - stock.mean(0)).abs() < 5 * 2**0.5 * error).all()
    torch.testing.assert_close(ours.std(0), stock.std(0), rtol=0.08, atol=0)


def test_the_trunk_runs_once(model: BayesianCNN, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, trunk = list[int](), model.trunk

    def counted(images: Tensor) -> Tensor:
        calls.append(len(images))
        return trunk(images)

    monkeypatch.setattr(model, "trunk", counted)
    stochastic_passes(model, torch.zeros(3, 1, 28, 28), T, torch.Generator())
    assert calls == [3]


def test_passes_are_probabilities_that_differ_from_pass_to_pass(
    model: BayesianCNN, mnist5k: ImageDataset
) -> None:
    passes = stochastic_passes(model, normalise(mnist5k.images[:8]), T, torch.Generator())
    assert passes.shape == (T, 8, 10)
    assert passes.dtype == torch.float32
    assert torch.allclose(passes.sum(-1), torch.ones(T, 8), atol=1e-6)
    assert len({tuple(p.flatten().tolist()) for p in passes}) == T


def test_without_dropout_all_passes_are_the_plain_prediction(mnist5k: ImageDataset) -> None:
    plain = build_model("lenet5", (0, 0), seed=3)
    images = normalise(mnist5k.images[:8])
    passes = stochastic_passes(plain, images, 3, torch.Generator())
    expected = torch.softmax(plain(images).detach(), -1)
    for one in passes:
        torch.testing.assert_close(one, expected, rtol=1e-5, atol=1e-7)


def test_each_chunk_has_masks_seeded_by_its_number_alone(
    model: BayesianCNN, mnist5k: ImageDataset
) -> None:
    images = mnist5k.images[: 2 * CHUNK + 25]  # two whole chunks and a part
    chunks = list(McDropoutModel(model, UNTRAINED).sample_in_chunks(images, T, seed=11))
    assert [chunk.shape[1] for chunk in chunks] == [CHUNK, CHUNK, 25]
    for number, chunk in enumerate(chunks):
        words = np.random.SeedSequence(11, spawn_key=(number,)).generate_state(1, np.uint64)
        assert chunk_seed(11, number) == int(words[0]) >> 1
        generator = torch.Generator().manual_seed(int(words[0]) >> 1)
        start = number * CHUNK
        alone = stochastic_passes(model, normalise(images[start : start + CHUNK]), T, generator)
        assert torch.equal(chunk, alone)


def test_the_seed_decides_the_masks(model: BayesianCNN, mnist5k: ImageDataset) -> None:
    one, again, other = (
        next(iter(McDropoutModel(model, UNTRAINED).sample_in_chunks(mnist5k.images[:20], T, seed)))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_progress_counts_the_images_done(model: BayesianCNN, mnist5k: ImageDataset) -> None:
    seen: list[tuple[int, int]] = []
    images = mnist5k.images[: CHUNK + 30]
    for _ in McDropoutModel(model, UNTRAINED).sample_in_chunks(
        images, 1, 0, progress=lambda done, total: seen.append((done, total))
    ):
        pass
    assert seen == [(CHUNK, CHUNK + 30), (CHUNK + 30, CHUNK + 30)]


@pytest.mark.parametrize("n_images", [30, CHUNK + 30, 2 * CHUNK])
def test_a_helping_thread_changes_no_bit_and_no_order(
    model: BayesianCNN, mnist5k: ImageDataset, n_images: int
) -> None:
    images = mnist5k.images[:n_images]
    alone = list(McDropoutModel(model, UNTRAINED).sample_in_chunks(images, T, seed=11))
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as helper:
        helped = list(
            McDropoutModel(model, UNTRAINED).sample_in_chunks(images, T, seed=11, helper=helper)
        )
    assert all(map(torch.equal, alone, helped))
    assert [chunk.shape[1] for chunk in alone] == [chunk.shape[1] for chunk in helped]


def test_samples_of_one_image_equal_those_in_its_chunk(
    model: BayesianCNN, mnist5k: ImageDataset
) -> None:
    fitted, ids = McDropoutModel(model, UNTRAINED), np.arange(CHUNK + 30)[::-1].copy()
    everything = torch.cat(list(fitted.sample_in_chunks(mnist5k.images[ids], T, seed=11)), dim=1)
    for position in (0, CHUNK - 1, CHUNK, CHUNK + 29):
        one = fitted.samples_of_one(mnist5k.images, ids, position, T, seed=11)
        assert torch.equal(one, everything[:, position])


# -- consistent samples ------------------------------------------------------------------------


def test_consistent_samples_give_the_same_image_the_same_rows(
    model: BayesianCNN, mnist5k: ImageDataset
) -> None:
    """In one chunk, and in several: the mask is the pass's, whatever it is computed with."""
    fitted = McDropoutModel(model, UNTRAINED)
    images = np.concatenate([mnist5k.images[:CHUNK], mnist5k.images[:CHUNK]])[: CHUNK + 10]
    images[7] = images[3]
    probs = torch.cat(list(fitted.sample_in_chunks(images, T, 5, consistent=True)), dim=1)
    assert torch.equal(probs[:, 7], probs[:, 3])
    torch.testing.assert_close(probs[:, CHUNK], probs[:, 0], rtol=1e-4, atol=1e-6)
    assert len({tuple(row) for row in probs[:, 3].tolist()}) == T
    apart = fitted.sample(images[:8], T, 5)
    assert not torch.allclose(apart[:, 7], apart[:, 3])


def test_consistent_samples_use_one_network_per_pass(
    model: BayesianCNN, mnist5k: ImageDataset
) -> None:
    images = normalise(mnist5k.images[:6])
    masks = multipliers(model, 1, torch.Generator().manual_seed(9))
    with torch.no_grad():
        full = [torch.softmax(model(images, next(masks)), -1) for _ in range(T)]
    probs = McDropoutModel(model, UNTRAINED).sample(mnist5k.images[:6], T, 9, consistent=True)
    torch.testing.assert_close(probs, torch.stack(full), rtol=1e-4, atol=1e-6)


def test_consistent_and_other_samples_have_the_same_marginals(
    model: BayesianCNN, mnist5k: ImageDataset
) -> None:
    fitted, k = McDropoutModel(model, UNTRAINED), 3000
    apart = fitted.sample(mnist5k.images[:4], k, 1)
    joint = fitted.sample(mnist5k.images[:4], k, 2, consistent=True)
    error = apart.std(0) * (2 / k) ** 0.5
    assert ((joint.mean(0) - apart.mean(0)).abs() < 5 * error).all()
    torch.testing.assert_close(joint.std(0), apart.std(0), rtol=0.1, atol=0)


def test_more_samples_leave_the_first_ones_as_they_are(
    model: BayesianCNN, mnist5k: ImageDataset
) -> None:
    fitted, images = McDropoutModel(model, UNTRAINED), mnist5k.images[:5]
    for consistent in (False, True):
        few, many = (fitted.sample(images, k, 3, consistent) for k in (8, 64))
        assert torch.equal(few, many[:8])


# -- weights and dropout rates -----------------------------------------------------------------


def test_weights_of_another_network_do_not_load(mnist5k: ImageDataset) -> None:
    posterior = McDropout(fast.protocol(), ImageKind((28, 28), 10, (0.1307,), (0.3081,)))
    arrays = McDropoutModel(build_model("gal_cnn", (0.25, 0.5), seed=1), UNTRAINED).arrays()
    with pytest.raises(ValueError, match="loading state_dict"):
        posterior.load(arrays, UNTRAINED)


def test_other_dropout_rates_leave_the_model_as_it_is(model: BayesianCNN) -> None:
    fitted = McDropoutModel(model, UNTRAINED)
    other = fitted.with_dropout((0.1, 0.9))
    assert (model.dropout, other.network.dropout) == ((0.5, 0.25), (0.1, 0.9))
    assert next(other.network.parameters()) is next(model.parameters())


def test_features_are_those_of_the_trunk(model: BayesianCNN, mnist5k: ImageDataset) -> None:
    features = McDropoutModel(model, UNTRAINED).features(mnist5k.images[: CHUNK + 1])
    last = model.trunk(normalise(mnist5k.images[CHUNK : CHUNK + 1])).detach().numpy()
    assert features.shape == (CHUNK + 1, 400)
    assert features[CHUNK] == pytest.approx(last[0], abs=1e-5)
