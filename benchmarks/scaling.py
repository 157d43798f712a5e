"""How cost grows with passes, pool size and workers, and how much memory a worker needs.

A worker here has the imports, data set and learner of a real one, but trains fewer epochs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median

from benchmarks.children import Child
from benchmarks.data import dataset
from benchmarks.measure import WHOLE_POOL, Announce

WORKERS = (1, 2, 4)
STEP_EPOCHS = 60
POOLS = (1000, 5000, 20_000, WHOLE_POOL)
PASSES = (8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Scaling:
    """The results; seconds are CPU seconds.

    Attributes:
        pools: pool size -> seconds of T passes over it.
        passes: T -> seconds of T passes over 1,000 images.
        workers: number of workers -> `cpu` seconds of a step, `clock` seconds until the last
            worker is done, and `steps_per_minute` of all workers.
        worker_megabytes: peak memory of a worker after its steps.
        whole_pool_megabytes: peak memory of a worker that has scored a whole pool.
    """

    dataset: str
    pools: dict[int, float]
    passes: dict[int, float]
    workers: dict[int, dict[str, float]]
    worker_megabytes: float
    whole_pool_megabytes: float

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def run(announce: Announce) -> Scaling:
    """Measure everything; takes a minute."""
    children = [Child("worker") for _ in range(max(WORKERS))]
    try:
        workers = {n: _step_at_once(children[:n], announce) for n in WORKERS}
        worker = children[0]
        megabytes = worker.peak_megabytes
        pools, passes = {}, {}
        for n in PASSES:
            announce(f"{n} passes over 1,000 images")
            passes[n] = median(worker.measure("passes_of_1000", n) for _ in range(3))
        for n in POOLS:
            announce(f"a pool of {n:,}")
            pools[n] = worker.measure("whole_pool", n)
        return Scaling(dataset().name, pools, passes, workers, megabytes, worker.peak_megabytes)
    finally:
        for child in children:
            child.close()


def _step_at_once(children: list[Child], announce: Announce) -> dict[str, float]:
    """Run a warm-up step and then a measured step on all children at once."""
    announce(f"{len(children)} workers at once")
    for n_epochs in (2, STEP_EPOCHS):
        for child in children:
            child.ask("step", n_epochs)
        answers = [child.answer() for child in children]
    clock = max(answer["clock"] for answer in answers)
    cpu = sum(answer["cpu"] for answer in answers) / len(answers)
    return {"clock": clock, "cpu": cpu, "steps_per_minute": 60 * len(answers) / clock}
