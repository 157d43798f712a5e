"""Posteriors of whole networks: one (deterministic) and several (ensemble)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from dal_core.data.base import ImageDataset
from dal_core.learner.bayesian_cnn import BayesianCNNLearner, FittedCNN
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.labelled import Labelled
from dal_core.training.loop import Epoch
from tests import fast


def fitted(
    mnist5k: ImageDataset, posterior: str, n_samples: int, helper: ThreadPoolExecutor | None = None
) -> tuple[BayesianCNNLearner, FittedCNN]:
    protocol = fast.protocol(n_epochs=3, posterior=posterior, num_mc_samples=n_samples)
    spec = RunSpec(mnist5k.fingerprint, protocol, "random", 1)
    learner = BayesianCNNLearner(spec, mnist5k, helper=helper)
    ids = learner.split.initial
    return learner, learner.fit(Labelled(ids, mnist5k.labels[ids], frozenset(), 0, 0, 0))


def test_the_samples_of_an_ensemble_are_its_networks(mnist5k: ImageDataset) -> None:
    _, model = fitted(mnist5k, "ensemble", 3)
    images = mnist5k.images[:7]
    probs = model.model.sample(images, 3, seed=0)
    assert probs.shape == (3, 7, 10)
    assert len({probs[t].numpy().tobytes() for t in range(3)}) == 3
    assert torch.equal(model.model.sample(images, 3, seed=1, consistent=True), probs)
    assert torch.equal(model.model.sample(images, 5, seed=1)[3:], probs[:2])
    hidden = model.model.hidden(images)
    assert hidden.shape == (7, 3 * 84)


def test_the_first_network_of_an_ensemble_is_that_of_mc_dropout(mnist5k: ImageDataset) -> None:
    _, ensemble = fitted(mnist5k, "ensemble", 2)
    _, single = fitted(mnist5k, "mc_dropout", 2)
    _, deterministic = fitted(mnist5k, "deterministic", 1)
    for name, array in single.model.arrays().items():
        assert np.array_equal(ensemble.model.arrays()[f"0.{name}"], array)
        assert np.array_equal(deterministic.model.arrays()[name], array)
    images = mnist5k.images[:5]
    expected = ensemble.model.sample(images, 1, seed=0)
    assert torch.equal(deterministic.model.sample(images, 1, seed=3), expected)


def test_a_second_core_changes_no_bit_of_an_ensemble(mnist5k: ImageDataset) -> None:
    _, alone = fitted(mnist5k, "ensemble", 3)
    with ThreadPoolExecutor(1) as helper:
        _, shared = fitted(mnist5k, "ensemble", 3, helper)
    for name, array in alone.model.arrays().items():
        assert np.array_equal(shared.model.arrays()[name], array)
    assert alone.model.training.train_losses == shared.model.training.train_losses


@pytest.mark.parametrize("posterior, n_samples", [("ensemble", 2), ("deterministic", 1)])
def test_a_model_is_restored_from_its_weights(
    mnist5k: ImageDataset, posterior: str, n_samples: int
) -> None:
    learner, model = fitted(mnist5k, posterior, n_samples)
    arrays, facts = model.dump()
    restored = learner.load(arrays, facts, model.labelled)
    assert restored is not None
    images = mnist5k.images[:5]
    assert np.array_equal(learner.inspect(restored, range(5)), learner.inspect(model, range(5)))
    assert torch.equal(
        restored.model.sample(images, n_samples, 0), model.model.sample(images, n_samples, 0)
    )


def test_weights_of_another_number_of_networks_are_not_restored(mnist5k: ImageDataset) -> None:
    learner, model = fitted(mnist5k, "ensemble", 2)
    arrays, facts = model.dump()
    fewer = {name: a for name, a in arrays.items() if name.startswith("0.")}
    more = arrays | {f"2.{name[2:]}": a for name, a in fewer.items()}
    assert learner.load(fewer, facts, model.labelled) is None
    assert learner.load(more, facts, model.labelled) is None


@pytest.mark.parametrize("with_helper", [False, True])
def test_progress_counts_the_epochs_of_all_networks_and_can_stop_them(
    mnist5k: ImageDataset, with_helper: bool
) -> None:
    learner, _ = fitted(mnist5k, "ensemble", 4)
    ids = learner.split.initial
    labelled = Labelled(ids, mnist5k.labels[ids], frozenset(), 0, 0, 0)
    seen: list[Epoch] = []

    def watch(epoch: Epoch) -> None:
        seen.append(epoch)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as helper:
        learner.posterior.helper = helper if with_helper else None
        with pytest.raises(KeyboardInterrupt):
            learner.fit(labelled, watch)
    assert len(seen) == 4
    assert [epoch.n_epochs for epoch in seen] == [12] * 4
    assert [epoch.number for epoch in seen] == sorted(epoch.number for epoch in seen)
    assert seen[-1].number <= 12
