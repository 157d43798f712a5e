"""`python -m benchmarks.selections`: time and memory of each function's choice on full MNIST.

The pool has 58,980 images and is scored whole, with 64 passes of one network that are drawn once.
Each function chooses in a process of its own, whose peak memory counts; the passes are part of it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.children import Child
from dal_core.acquisition import registry
from dal_core.acquisition.batch import Candidates, select
from dal_core.data import catalogue
from dal_core.learner.bayesian_cnn import BayesianCNNLearner
from dal_core.protocol.parameters import Protocol, override
from dal_core.protocol.presets import PRESETS
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import RANKING_KEPT
from dal_core.run.labelled import Labelled
from dal_core.training.memory import bound_memory

N_LABELLED, N_EPOCHS = 100, 20
BASE = "bald"  # whose time the others are compared with
WHOLE = override(PRESETS["report"], {"pool_subset_size": "all", "weights": "last"})


@dataclass(frozen=True)
class Cost:
    """The cost of one query.

    Attributes:
        cpu: CPU seconds of the process, one thread.
        clock: seconds on the clock.
        megabytes: peak memory of the process; 0 if it was not measured.
    """

    name: str
    cpu: float
    clock: float
    megabytes: float = 0.0


class Selections:
    """Queries with a network that was trained on 100 labels for 20 epochs."""

    def __init__(self, protocol: Protocol = PRESETS["quick"]) -> None:
        bound_memory()
        self.protocol = override(protocol, {"n_epochs": N_EPOCHS})
        self.data = catalogue.load(protocol.dataset)
        self.chunks: list[Tensor] = []

    def query(self, number: int) -> dict[str, float]:
        """Seconds (`cpu`, `clock`) of a query by the function of that number in the registry."""
        learner = self._learner(registry.names()[number])
        fitted = learner.fit(self._labelled(learner))
        return _timed(lambda: learner.query(fitted, fitted.labelled))

    def passes(self, _: int) -> dict[str, float]:
        """Draw the passes that `choose` uses, and return the seconds that it took."""
        self.learner = self._learner(BASE)
        self.fitted = self.learner.fit(self._labelled(self.learner))
        candidates = self._candidates(BASE)
        return _timed(lambda: self.chunks.extend(candidates.passes()))

    def choose(self, number: int) -> dict[str, float]:
        """Seconds and `megabytes` of a choice from the passes, in a process of its own."""
        name = registry.names()[number]
        read, write = os.pipe()
        child = os.fork()  # shares the passes, and has one thread
        if not child:
            try:
                candidates = replace(self._candidates(name), passes=lambda: self.chunks)
                found = _timed(
                    lambda: select(registry.get(name), candidates, RANKING_KEPT, n_passes_kept=20)
                )
                found["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                os.write(write, json.dumps(found).encode())
            finally:
                os._exit(0)
        os.close(write)
        os.waitpid(child, 0)
        with os.fdopen(read) as answer:
            result: dict[str, float] = json.load(answer)
        return result

    def _learner(self, name: str) -> BayesianCNNLearner:
        return BayesianCNNLearner(RunSpec(self.data.fingerprint, self.protocol, name, 1), self.data)

    def _labelled(self, learner: BayesianCNNLearner) -> Labelled:
        ids = learner.split.pool[:N_LABELLED]
        return Labelled(ids, self.data.labels[ids], frozenset(), 0, 0, 0)

    def _candidates(self, name: str) -> Candidates:
        ids = self.learner.pool_subset(self.fitted.labelled)
        return self.learner.candidates(self.fitted, ids, name)


def _timed(work: Callable[[], object]) -> dict[str, float]:
    cpu, clock = time.process_time(), time.perf_counter()
    work()
    return {"cpu": time.process_time() - cpu, "clock": time.perf_counter() - clock}


def queries(names: Sequence[str]) -> list[Cost]:
    """A query of `quick` by each function, passes included."""
    child = Child("selections")
    costs = [Cost(n, **child.measure("query", registry.names().index(n))) for n in names]
    child.close()
    return costs


def table(costs: Sequence[Cost], title: str) -> Table:
    """A row per function; the ratio is to BALD in the same run."""
    base = next((cost.cpu for cost in costs if cost.name == BASE), None)
    shown = Table(title=title)
    with_memory = any(cost.megabytes for cost in costs)
    columns = ["function", "CPU s", f"ratio to {BASE}", "clock s"]
    for column in [*columns, "peak MB"] if with_memory else columns:
        shown.add_column(column, justify="left" if column == "function" else "right")
    for cost in costs:
        ratio = f"{cost.cpu / base:.2f}" if base else ""
        cells = [cost.name, f"{cost.cpu:.2f}", ratio, f"{cost.clock:.2f}"]
        shown.add_row(*cells, *[f"{cost.megabytes:.0f}"] if with_memory else [])
    return shown


def main() -> None:
    """Measure on full MNIST and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=registry.names(), metavar="FUNCTION")
    child = Child("selections_of_mnist")
    passes = child.measure("passes")
    print(f"64 passes over the pool: {passes['cpu']:.1f} CPU s", flush=True)
    costs = []
    for name in parser.parse_args().names:
        costs.append(Cost(name, **child.measure("choose", registry.names().index(name))))
        print(costs[-1], file=sys.stderr, flush=True)
    child.close()
    title = "One choice from a pool of 58,980 images, without the passes"
    Console(width=100).print(table(costs, title))


if __name__ == "__main__":
    main()
