"""`python -m benchmarks.stacked_host`: the host's part of an experiment with stacked runs.

It conducts an experiment with training and passes replaced by constants. The remaining work is the
log, the records and the files, which a GPU does not speed up. 15 runs x 101 steps of `report` take
about a minute. `--profile` also prints where the time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import torch
from torch import Tensor

from benchmarks.sides import REPORT
from dal_core.data import catalogue
from dal_core.data.base import ImageDataset
from dal_core.experiments import stacked_runs
from dal_core.experiments.control import create_experiment
from dal_core.models.networks import BayesianCNN
from dal_core.posterior.base import CHUNK
from dal_core.protocol.parameters import Protocol, override
from dal_core.store.opening import open_store
from dal_core.training.loop import Training
from dal_core.training.memory import bound_memory

FUNCTIONS = ("max_entropy", "bald", "variation_ratios", "mean_std", "random")
FIRST_LOSS = 3.0  # nats; the value does not matter


@dataclass(frozen=True)
class Host:
    """CPU and clock seconds of a whole experiment."""

    n_steps: int  # of all runs
    cpu: float
    clock: float


def main() -> None:
    """Measure and print."""
    options = _options()
    bound_memory()
    torch.set_num_threads(1)
    dataset = catalogue.load(REPORT.dataset)
    profile = cProfile.Profile() if options.profile else None
    with tempfile.TemporaryDirectory() as home:
        protocol = override(REPORT, {"n_acquisition_steps": options.steps})
        host = measure(Path(home), dataset, protocol, profile=profile)
    print(
        f"{host.n_steps} steps: {host.cpu:.0f} s of CPU time, {host.clock:.0f} s on the clock, "
        f"{host.cpu / host.n_steps * 1e3:.0f} ms of CPU time each"
    )
    if profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


def measure(
    home: Path,
    dataset: ImageDataset,
    protocol: Protocol,
    functions: Sequence[str] = FUNCTIONS,
    seeds: Sequence[int] = (1, 2, 3),
    profile: cProfile.Profile | None = None,
) -> Host:
    """Conduct a new experiment in `home` without training; returns its cost."""
    store = open_store(home)
    # One pass, because making passes is the device's work; scoring them is the host's.
    protocol = override(protocol, {"num_mc_samples": 1})
    made = create_experiment(store, dataset, protocol, functions, seeds, full_data=False)
    with (
        patch.object(stacked_runs, "train_together", _train),
        patch.object(stacked_runs, "passes_together", partial(_passes, dataset.n_classes)),
    ):
        cpu, clock = time.process_time(), time.perf_counter()
        if profile:
            profile.enable()
        stacked_runs.conduct(store, made.experiment_id, torch.device("cpu"), lambda _: None)
        if profile:
            profile.disable()
        spent = time.process_time() - cpu, time.perf_counter() - clock
    runs = store.experiments.runs(made.experiment_id)
    return Host(sum(len(store.log(run.run_id).steps) for run in runs), *spent)


def _train(
    models: Sequence[BayesianCNN], images: Tensor, training: Any, protocol: Protocol, *_: Any
) -> list[Training]:
    """Stand-in for training: returns one loss per epoch."""
    losses = tuple(FIRST_LOSS / epoch for epoch in range(1, protocol.n_epochs + 1))
    return [Training(losses, losses, protocol.n_epochs, 0.0) for _ in models]


def _passes(
    n_classes: int,
    models: Sequence[BayesianCNN],
    images: Tensor,
    ids: Tensor,
    n_passes: int,
    *_: Any,
) -> Iterator[Tensor]:
    """Stand-in for passes: yields the same probabilities for every chunk of images."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, n_passes, CHUNK, n_classes, generator=generator)
    probs = torch.softmax(logits, -1)
    for chunk in ids.split(CHUNK, dim=1):
        yield probs[:, :, : chunk.shape[1]].expand(len(models), -1, -1, -1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.stacked_host", description=__doc__)
    parser.add_argument("--steps", type=int, default=100, help="acquisition steps of a run")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
