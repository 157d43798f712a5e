"""What holds for every registered posterior, on both networks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from dal_core.data.base import ImageDataset
from dal_core.learner.bayesian_cnn import BayesianCNNLearner, FittedCNN
from dal_core.posterior.base import CHUNK
from dal_core.protocol import posteriors
from dal_core.protocol.parameters import Protocol, override
from dal_core.protocol.presets import with_posterior
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.labelled import Labelled
from tests import fast

NAMES = posteriors.names()
NETWORKS = ("lenet5", "gal_cnn")
CASES = [(name, network) for name in NAMES for network in NETWORKS]

_fits: dict[tuple[str, str], tuple[BayesianCNNLearner, FittedCNN]] = {}


def protocol(name: str, network: str = "lenet5", **changes: object) -> Protocol:
    own = with_posterior(fast.protocol(n_epochs=3), name)
    return override(own, {"which_model": network, **changes})


def fitted(
    dataset: ImageDataset, name: str, network: str, helper: ThreadPoolExecutor | None = None
) -> tuple[BayesianCNNLearner, FittedCNN]:
    spec = RunSpec(dataset.fingerprint, protocol(name, network), "margin", 1)
    learner = BayesianCNNLearner(spec, dataset, helper=helper)
    ids = learner.split.initial
    labelled = Labelled(ids, dataset.labels[ids], frozenset(), 0, 0, 0)
    return learner, learner.fit(labelled)


@pytest.fixture
def fit(
    mnist5k: ImageDataset, request: pytest.FixtureRequest
) -> tuple[BayesianCNNLearner, FittedCNN]:
    """One fit of each case for all tests of this file."""
    if request.param not in _fits:
        _fits[request.param] = fitted(mnist5k, *request.param)
    return _fits[request.param]


every = pytest.mark.parametrize("fit", CASES, ids="-".join, indirect=True)
Fit = tuple[BayesianCNNLearner, FittedCNN]


@every
def test_samples_are_probabilities_and_depend_on_the_seed_alone(
    fit: Fit, mnist5k: ImageDataset
) -> None:
    learner, own = fit
    n, images = learner.protocol.num_mc_samples, mnist5k.images[:7]
    probs = own.model.sample(images, n, seed=3)
    assert probs.shape == (n, 7, 10) and probs.dtype == torch.float32
    assert torch.allclose(probs.sum(-1), torch.ones(n, 7), atol=1e-5)
    assert torch.equal(own.model.sample(images, n, seed=3), probs)
    more = own.model.sample(images, n + 1, seed=3)
    assert torch.equal(more[:n], probs)
    differ = len({row.numpy().tobytes() for row in probs}) > 1
    assert differ != posteriors.get(learner.protocol.posterior).one_sample


@every
def test_a_consistent_sample_is_one_model_for_all_images(fit: Fit, mnist5k: ImageDataset) -> None:
    _, own = fit
    probs = own.model.sample(mnist5k.images[[3, 8, 3]], 5, seed=1, consistent=True)
    torch.testing.assert_close(probs[:, 0], probs[:, 2], rtol=0, atol=1e-6)
    alone = own.model.sample(mnist5k.images[[8]], 5, seed=1, consistent=True)
    torch.testing.assert_close(alone[:, 0], probs[:, 1], rtol=0, atol=1e-6)


@every
def test_a_model_comes_back_from_its_arrays_bit_for_bit(fit: Fit, mnist5k: ImageDataset) -> None:
    learner, own = fit
    arrays, facts = own.dump()
    restored = learner.load({name: a.copy() for name, a in arrays.items()}, facts, own.labelled)
    assert restored is not None
    images = mnist5k.images[:5]
    assert torch.equal(restored.model.sample(images, 6, 2), own.model.sample(images, 6, 2))
    assert np.array_equal(restored.model.features(images), own.model.features(images))
    assert own.model.hidden(images).shape[0] == 5
    lacking = dict(list(arrays.items())[1:])
    assert learner.load(lacking, facts, own.labelled) is None


@pytest.mark.parametrize("name", NAMES)
def test_another_fit_and_a_second_core_give_the_same_bits(name: str, mnist5k: ImageDataset) -> None:
    _, alone = fitted(mnist5k, name, "lenet5")
    with ThreadPoolExecutor(1) as helper:
        _, shared = fitted(mnist5k, name, "lenet5", helper)
        assert fast.same(fast.weights(alone), fast.weights(shared))
        images = mnist5k.images[: CHUNK + 20]
        together = list(shared.model.sample_in_chunks(images, 3, 1, helper=helper))
    singly = list(alone.model.sample_in_chunks(images, 3, 1))
    assert all(torch.equal(*pair) for pair in zip(together, singly, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_protocol_says_no_more_than_it_must(name: str) -> None:
    stored = protocol(name).model_dump()
    assert stored.get("posterior", "mc_dropout") == name
    assert not set(posteriors.get(name).parameters) & set(stored)
