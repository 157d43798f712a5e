"""How cost grows with labels, passes, pool size and workers, and how much memory a worker takes.

A worker here has the imports, data set and learner of a real one; its step trains fewer epochs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median

from benchmarks.children import Child
from benchmarks.data import dataset
from benchmarks.measure import WHOLE_POOL, Say

WORKERS = (1, 2, 4)
STEP_EPOCHS = 60
POOLS = (1000, 5000, 20_000, WHOLE_POOL)
PASSES = (8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Scaling:
    """Seconds are CPU seconds; `clock` is the time until the last of the workers is done."""

    dataset: str
    pools: dict[int, float]
    passes: dict[int, float]
    workers: dict[int, dict[str, float]]
    worker_megabytes: float
    whole_pool_megabytes: float

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def run(say: Say) -> Scaling:
    """Measure; takes a minute."""
    children = [Child("worker") for _ in range(max(WORKERS))]
    try:
        workers = {n: _together(children[:n], say) for n in WORKERS}
        worker = children[0]
        megabytes = worker.peak_megabytes
        pools, passes = {}, {}
        for n in PASSES:
            say(f"{n} passes over 1,000 images")
            passes[n] = median(worker.measure("passes_of_1000", n) for _ in range(3))
        for n in POOLS:
            say(f"a pool of {n:,}")
            pools[n] = worker.measure("whole_pool", n)
        return Scaling(dataset().name, pools, passes, workers, megabytes, worker.peak_megabytes)
    finally:
        for child in children:
            child.close()


def _together(children: list[Child], say: Say) -> dict[str, float]:
    """A warm-up step and then a measured step on all children at once."""
    say(f"{len(children)} workers at once")
    for n_epochs in (2, STEP_EPOCHS):
        for child in children:
            child.ask("step", n_epochs)
        answers = [child.answer() for child in children]
    clock = max(answer["clock"] for answer in answers)
    cpu = sum(answer["cpu"] for answer in answers) / len(answers)
    return {"clock": clock, "cpu": cpu, "steps_per_minute": 60 * len(answers) / clock}
