"""T stochastic passes: the trunk once, the chunks each for themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dal_core.datasets import Dataset
from dal_core.mc_dropout import CHUNK, chunked_passes, stochastic_passes
from dal_core.models import BayesianCNN, build_model, normalise

T = 5


@pytest.fixture(scope="module")
def model() -> BayesianCNN:
    return build_model("lenet5", (0.5, 0.25), seed=3)


def test_running_the_trunk_once_equals_t_full_passes_with_the_same_masks(
    model: BayesianCNN, mnist5k: Dataset
) -> None:
    images = normalise(mnist5k.images[:40])
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        full = [torch.softmax(model(images, model.draw_masks(40, generator)), -1) for _ in range(T)]
    passes = stochastic_passes(model, images, T, torch.Generator().manual_seed(9))
    assert torch.equal(passes, torch.stack(full))


def test_the_trunk_runs_once_and_the_head_t_times(
    model: BayesianCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"trunk": 0, "head": 0}
    for part in calls:
        original = getattr(model, part)

        def counted(*args: object, part: str = part, original: object = original) -> object:
            calls[part] += 1
            return original(*args)  # type: ignore[operator]

        monkeypatch.setattr(model, part, counted)
    stochastic_passes(model, torch.zeros(3, 1, 28, 28), T, torch.Generator())
    assert calls == {"trunk": 1, "head": T}


def test_passes_are_probabilities_that_differ_from_pass_to_pass(
    model: BayesianCNN, mnist5k: Dataset
) -> None:
    passes = stochastic_passes(model, normalise(mnist5k.images[:8]), T, torch.Generator())
    assert passes.shape == (T, 8, 10)
    assert passes.dtype == torch.float32
    assert torch.allclose(passes.sum(-1), torch.ones(T, 8), atol=1e-6)
    assert len({tuple(p.flatten().tolist()) for p in passes}) == T


def test_without_dropout_all_passes_are_the_plain_prediction(mnist5k: Dataset) -> None:
    plain = build_model("lenet5", (0, 0), seed=3)
    images = normalise(mnist5k.images[:8])
    passes = stochastic_passes(plain, images, 3, torch.Generator())
    expected = torch.softmax(plain(images).detach(), -1)
    assert all(torch.equal(one, expected) for one in passes)


def test_each_chunk_has_masks_seeded_by_its_number_alone(
    model: BayesianCNN, mnist5k: Dataset
) -> None:
    images = mnist5k.images[::8]  # 625: two whole chunks and a part
    chunks = list(chunked_passes(model, images, T, seed=11))
    assert [chunk.shape[1] for chunk in chunks] == [CHUNK, CHUNK, 625 - 2 * CHUNK]
    for number, chunk in enumerate(chunks):
        words = np.random.SeedSequence(11, spawn_key=(number,)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(words[0]) >> 1)
        start = number * CHUNK
        alone = stochastic_passes(model, normalise(images[start : start + CHUNK]), T, generator)
        assert torch.equal(chunk, alone)


def test_the_seed_decides_the_masks(model: BayesianCNN, mnist5k: Dataset) -> None:
    one, again, other = (
        next(iter(chunked_passes(model, mnist5k.images[:20], T, seed))) for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_progress_counts_the_images_done(model: BayesianCNN, mnist5k: Dataset) -> None:
    seen: list[tuple[int, int]] = []
    images = mnist5k.images[: CHUNK + 30]
    for _ in chunked_passes(model, images, 1, 0, lambda done, total: seen.append((done, total))):
        pass
    assert seen == [(CHUNK, CHUNK + 30), (CHUNK + 30, CHUNK + 30)]
