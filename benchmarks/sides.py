"""The sides of the comparison; each measures its own parts on one thread.

Times are CPU times of the process, since other work on the machine affects them less than clock
time.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from functools import partial
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks import reference
from benchmarks.data import Labelled, dataset, images_of
from benchmarks.posteriors import Posteriors
from benchmarks.selections import WHOLE, Selections
from dal_core.acquisition.scores import bald
from dal_core.learner.bayesian_cnn import BayesianCNNLearner
from dal_core.models.networks import BayesianCNN, build_model, normalise
from dal_core.posterior.mc_dropout import McDropoutModel
from dal_core.protocol.parameters import Protocol, override
from dal_core.protocol.presets import PRESETS, with_dataset
from dal_core.protocol.run_spec import RunSpec
from dal_core.run import labelled as run_labelled
from dal_core.training.loop import Training, train
from dal_core.training.memory import bound_memory
from dal_core.training.weight_selection import image_losses

REPORT = PRESETS["report"]
T = REPORT.num_mc_samples
EPOCH_IMAGES, FEW_PASSES = 6000, 8  # the reference's steps are extrapolated from these


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of this process for one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


class Reference:
    """The straightforward implementation, with the allocator's defaults."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.model = reference.lenet5(REPORT.dropout)

    def train_epoch(self, n: int) -> float:
        """Seconds of one epoch on n images."""
        pixels, labels = images_of(n)
        images, targets = normalise(pixels), torch.from_numpy(labels)
        optimiser = torch.optim.AdamW(self.model.parameters(), lr=REPORT.learning_rate)

        def epochs() -> None:
            for _ in range(_few_epochs(n)):
                reference.train_epoch(self.model, optimiser, images, targets)

        return cpu_seconds(epochs) / _few_epochs(n)

    def validation(self, n: int) -> float:
        """Seconds of one epoch's validation on n images."""
        batches = reference.loader(*images_of(n))
        return cpu_seconds(lambda: reference.validation_loss(self.model, batches))

    def passes(self, n: int) -> float:
        """Seconds of T passes over n images and their scores, extrapolated from FEW_PASSES."""
        batches = list(reference.loader(*images_of(n)))
        few = cpu_seconds(lambda: reference.stochastic_passes(self.model, batches, FEW_PASSES))
        loading = cpu_seconds(lambda: list(reference.loader(*images_of(n))))
        probs = torch.full((T, n, 10), 0.1)
        return few / FEW_PASSES * T + loading + cpu_seconds(lambda: bald(probs))


class Ours:
    """The product's core, as a worker runs it."""

    def __init__(self) -> None:
        bound_memory()

    def train_epoch(self, n: int) -> float:
        """Seconds of one epoch on n images."""
        protocol = override(REPORT, {"weights": "last", "n_epochs": _few_epochs(n)})
        return cpu_seconds(lambda: _train(n, protocol)) / protocol.n_epochs

    def whole_training(self, n: int) -> dict[str, float]:
        """`seconds` of a training and of its `validation`; `share` of validation images used."""
        seconds, seen = [0.0], [0]

        def watched(model: BayesianCNN, images: Tensor, labels: Tensor) -> Tensor:
            losses = list[Tensor]()
            seconds[0] += cpu_seconds(lambda: losses.append(image_losses(model, images, labels)))
            seen[0] += len(labels)
            return losses[0]

        with patch("dal_core.training.weight_selection.image_losses", watched):
            whole = cpu_seconds(lambda: _train(n, REPORT))
        share = seen[0] / (REPORT.n_epochs * REPORT.val_size)
        return {"seconds": whole, "validation": seconds[0], "share": share}

    def passes(self, n: int) -> float:
        """Seconds of T passes over n images and their scores."""
        return _score_seconds(n, T)


class Worker:
    """A worker's memory and work: its imports, its data set and one run under `report`."""

    def __init__(self) -> None:
        from dal_core.execution import worker_process  # noqa: F401  its imports take memory

        bound_memory()
        self.spec = RunSpec(dataset().fingerprint, _report_on(dataset().name), "bald", 1)

    def step(self, n_epochs: int) -> dict[str, float]:
        """Seconds (`clock`, `cpu`) to train on 220 labels, score 5,000 images, measure 3,000."""
        started, data = time.perf_counter(), dataset()
        protocol = override(self.spec.protocol, {"n_epochs": n_epochs})
        learner = BayesianCNNLearner(dataclasses.replace(self.spec, protocol=protocol), data)
        ids = learner.split.pool[:220]
        labelled = run_labelled.Labelled(ids, data.labels[ids], frozenset(), 0, 0, 0)

        def step() -> None:
            fitted = learner.fit(labelled)
            learner.evaluate(fitted)
            learner.query(fitted, labelled)

        cpu = cpu_seconds(step)
        return {"clock": time.perf_counter() - started, "cpu": cpu}

    def whole_pool(self, n: int) -> float:
        """CPU seconds of T passes over n images, chunk by chunk as in a query."""
        return _score_seconds(n, T)

    def passes_of_1000(self, n_passes: int) -> float:
        """CPU seconds of that many passes over 1,000 images."""
        return _score_seconds(1000, n_passes)


def _report_on(name: str) -> Protocol:
    return with_dataset(REPORT, name)


def _few_epochs(n: int) -> int:
    """Number of epochs that makes the set-up before the first one negligible."""
    return EPOCH_IMAGES // n


def _new_model() -> BayesianCNN:
    return build_model(REPORT.which_model, REPORT.dropout, seed=1)


def _score_seconds(n: int, n_passes: int) -> float:
    pixels, _ = images_of(n)
    model = McDropoutModel(_new_model(), Training((), (), None, 0.0))

    def score() -> None:
        for probs in model.sample_in_chunks(pixels, n_passes, seed=1):
            bald(probs)

    return cpu_seconds(score)


def _train(n: int, protocol: Protocol) -> None:
    pixels, labels = images_of(n)
    validation = _tensors(images_of(REPORT.val_size, skip=n))
    generator = torch.Generator().manual_seed(1)
    train(_new_model(), *_tensors((pixels, labels)), protocol, generator, validation)


def _tensors(data: Labelled) -> tuple[Tensor, Tensor]:
    return normalise(data[0]), torch.from_numpy(data[1])


SIDES: Mapping[str, Callable[[], Reference | Ours | Worker | Posteriors | Selections]] = {
    "selections": Selections,
    "selections_of_mnist": partial(Selections, WHOLE),
    "reference": Reference,
    "ours": Ours,
    "worker": Worker,
    "posteriors": Posteriors,
}
