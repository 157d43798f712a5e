"""What a step costs under each posterior: fit, ask and measure under `quick` at 100 labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.children import Child
from dal_core.data import catalogue
from dal_core.protocol import posteriors
from dal_core.protocol.posteriors import DEFAULT_POSTERIOR
from dal_core.protocol.presets import PRESETS, with_posterior
from dal_core.protocol.run_spec import RunSpec

N_LABELS, REPEATS = 100, 2
NAMES = posteriors.names()

Announce = Callable[[str], None]  # called with the name of the next measurement
Measure = Callable[[str, int], dict[str, float]]  # (method, argument) -> seconds by part


@dataclass(frozen=True)
class PosteriorCost:
    """CPU seconds of one thread; `ratio` is the step's to that of MC dropout in the same run."""

    name: str
    samples: int
    fit: float
    query: float
    evaluate: float
    ratio: float


class Posteriors:
    """The side of the comparison that makes steps, one posterior at a time."""

    def __init__(self) -> None:
        from dal_core.training.memory import bound_memory

        bound_memory()
        self.dataset = catalogue.load("mnist5k")

    def step(self, number: int) -> dict[str, float]:
        """Seconds of `fit`, `query` and `evaluate` with the posterior of this number."""
        from benchmarks.sides import cpu_seconds
        from dal_core.learner.bayesian_cnn import BayesianCNNLearner
        from dal_core.run.labelled import Labelled

        protocol = with_posterior(PRESETS["quick"], NAMES[number])
        function = "margin" if posteriors.get(NAMES[number]).one_sample else "bald"
        spec = RunSpec(self.dataset.fingerprint, protocol, function, 1)
        learner = BayesianCNNLearner(spec, self.dataset)
        shuffled = np.random.default_rng(1).permutation(learner.split.pool)
        more = shuffled[: N_LABELS - len(learner.split.initial)]
        ids = np.concatenate([learner.split.initial, more])
        labelled = Labelled(ids, self.dataset.labels[ids], frozenset(), 0, 0, 0)
        fitted = []
        return {
            "fit": cpu_seconds(lambda: fitted.append(learner.fit(labelled))),
            "query": cpu_seconds(lambda: learner.query(fitted[0], labelled)),
            "evaluate": cpu_seconds(lambda: learner.evaluate(fitted[0])),
        }


def run(announce: Announce) -> list[PosteriorCost]:
    """Measure every posterior in a process of its own; takes about a minute."""
    child = Child("posteriors")
    try:
        child.measure("step", NAMES.index("deterministic"))  # the first step pays for imports
        return costs(child.measure, announce)
    finally:
        child.close()


def costs(measure: Measure, announce: Announce) -> list[PosteriorCost]:
    """The cost of every registered posterior, the fastest of a few steps."""
    found = {}
    for number, name in enumerate(NAMES):
        announce(f"a step with {name}")
        steps = [measure("step", number) for _ in range(REPEATS)]
        found[name] = min(steps, key=lambda step: sum(step.values()))
    usual = sum(found[DEFAULT_POSTERIOR].values())
    return [
        PosteriorCost(
            name,
            with_posterior(PRESETS["quick"], name).num_mc_samples,
            **parts,
            ratio=sum(parts.values()) / usual,
        )
        for name, parts in found.items()
    ]
