"""`python -m benchmarks.choose_quick [--workers N]`: compares settings for the preset `quick`.

Runs BALD and Random with seeds 1 to 3 on the embedded digits up to 320 labels for each candidate,
and prints CPU seconds per step and accuracies. It takes about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import numpy as np

from dal_core.data import catalogue
from dal_core.learner.bayesian_cnn import BayesianCNNLearner
from dal_core.protocol.parameters import override
from dal_core.protocol.presets import preset
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.labelled import Labelled

CANDIDATES = {
    "100 epochs at 0.003, last": {"n_epochs": 100, "learning_rate": 0.003, "weights": "last"},
    "200 epochs at 0.001, last": {"n_epochs": 200, "learning_rate": 0.001, "weights": "last"},
    "100 epochs at 0.003, best": {"n_epochs": 100, "learning_rate": 0.003, "weights": "best"},
}
SEEDS = (1, 2, 3)
LABELS = (100, 200, 320)


def run(candidate: str, acquisition: str, seed: int) -> dict[int, tuple[float, float]]:
    """One run answered by the oracle: number of labels -> (accuracy, CPU seconds of the step)."""
    import torch

    torch.set_num_threads(1)
    data = catalogue.load("mnist5k")
    protocol = override(preset("quick"), CANDIDATES[candidate])
    learner = BayesianCNNLearner(RunSpec(data.fingerprint, protocol, acquisition, seed), data)
    measured: dict[int, tuple[float, float]] = {}
    ids = learner.split.initial
    while len(ids) <= max(LABELS):
        labelled = Labelled(ids, data.labels[ids], frozenset(), len(measured), 0, len(measured))
        started = time.process_time()  # CPU time, since other work may share the machine
        fitted = learner.fit(labelled)
        result = learner.evaluate(fitted)
        assert result.accuracy is not None  # mnist5k has a test set
        query, _ = learner.query(fitted, labelled)
        measured[result.n_labelled] = result.accuracy, time.process_time() - started
        ids = np.concatenate([ids, query.shown()])
    return measured


def main() -> None:
    """Run all candidates and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    n_workers = parser.parse_args().workers
    jobs = list(product(CANDIDATES, ("bald", "random"), SEEDS))
    with ProcessPoolExecutor(n_workers) as pool:
        results = dict(zip(jobs, pool.map(run, *zip(*jobs, strict=True)), strict=True))
    labels = " / ".join(map(str, LABELS))
    print(f"| candidate | CPU s a step at 100 (BALD) | BALD at {labels} | Random at {labels} |")
    print("|---|---|---|---|")
    for candidate in CANDIDATES:
        seconds = statistics.median(results[candidate, "bald", s][100][1] for s in SEEDS)
        columns = [
            " / ".join(
                f"{statistics.mean(results[candidate, name, s][n][0] for s in SEEDS):.3f}"
                for n in LABELS
            )
            for name in ("bald", "random")
        ]
        print(f"| {candidate} | {seconds:.2f} | {columns[0]} | {columns[1]} |")


if __name__ == "__main__":
    main()
