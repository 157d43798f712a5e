"""Runs that are over in a moment: the embedded images, few epochs, few passes."""

from __future__ import annotations

from typing import Any

import numpy as np

from dal_core.data.base import ImageDataset, build
from dal_core.learner.bayesian_cnn import Learner
from dal_core.protocol.parameters import Protocol, override
from dal_core.protocol.presets import PRESETS
from dal_core.protocol.run_spec import RunSpec
from dal_core.run import oracle
from dal_core.run.events import Query, StepResult


def protocol(**changes: Any) -> Protocol:
    """`quick`, made faster still."""
    sizes = {"val_size": 100, "test_size": 200, "pool_subset_size": 300, "test_subset_size": 100}
    work = {"n_epochs": 6, "num_mc_samples": 4, "n_acquisition_steps": 5}
    return override(PRESETS["quick"], {**sizes, **work, **changes})


def learner(
    dataset: ImageDataset, acquisition: str = "bald", seed: int = 1, **changes: Any
) -> Learner:
    """A learner at its start, under the fast protocol with some changes."""
    return Learner(RunSpec(dataset.fingerprint, protocol(**changes), acquisition, seed), dataset)


def steps(learner: Learner, n: int) -> list[tuple[StepResult, Query]]:
    """Fit, evaluate, ask and let the oracle answer, n times."""
    done = []
    for _ in range(n):
        learner.fit()
        result = learner.evaluate()
        query, _ = learner.query()
        learner.answer(oracle.answer(query, learner.dataset))
        done.append((result, query))
    return done


def measured(result: StepResult) -> tuple[float | None, ...]:
    """What of a result must repeat bit for bit; not how long it took."""
    return (
        result.step,
        result.n_labelled,
        result.accuracy,
        result.mutual_information,
        result.train_loss,
        result.val_loss,
        result.best_epoch,
    )


def weights(learner: Learner) -> list[np.ndarray]:
    """The model's weights, for comparing bit for bit."""
    assert learner.fitted is not None
    return [tensor.numpy() for tensor in learner.fitted.model.state_dict().values()]


def same(ones: list[np.ndarray], others: list[np.ndarray]) -> bool:
    """Whether two lists of arrays are equal to the last bit."""
    pairs = zip(ones, others, strict=True)
    return all(one.tobytes() == other.tobytes() for one, other in pairs)


def few_images(dataset: ImageDataset, per_class: int) -> ImageDataset:
    """The first images of each class, as a data set of its own."""
    chosen = [np.flatnonzero(dataset.labels == c)[:per_class] for c in range(dataset.n_classes)]
    ids = np.concatenate(chosen)
    return build(dataset.name, "a few", dataset.images[ids], dataset.labels[ids])
