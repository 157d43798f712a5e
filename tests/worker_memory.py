"""Measures a worker of the pool while it takes a run through its steps: memory, handles, threads.

    python -m tests.worker_memory [STEPS] [PROTOCOL] [KEY=VALUE ...]

prints a line for every 20 steps and the slope. The default is 300 steps of the tests' protocol.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dal_core.data import catalogue
from dal_core.execution.pool import Workers
from dal_core.experiments import control
from dal_core.protocol.parameters import Protocol, override
from dal_core.protocol.presets import PRESETS
from dal_core.protocol.run_spec import RunSpec
from dal_core.store.opening import open_store
from tests import experiment_kit


@dataclass(frozen=True)
class Sample:
    """A worker after one step: resident megabytes, open files, threads."""

    n_steps: int
    megabytes: float
    handles: int
    threads: int


def sample(pid: int, n_steps: int) -> Sample:
    """Read a process of this machine now."""
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    megabytes = int(status["VmRSS"].split()[0]) * 1024 / 1e6
    handles = len(list((process / "fd").iterdir()))
    return Sample(n_steps, megabytes, handles, int(status["Threads"]))


def slope(samples: list[Sample]) -> float:
    """Megabytes per step: least squares over the second half, after what is loaded once."""
    late = samples[len(samples) // 2 :]
    steps, megabytes = [one.n_steps for one in late], [one.megabytes for one in late]
    return float(np.polyfit(steps, megabytes, 1)[0])


def watch(home: Path, protocol: Protocol) -> list[Sample]:
    """One sample for each step of a BALD run that the oracle answers, in a worker of its own."""
    store, data = open_store(home), catalogue.load(protocol.dataset)
    run = control.create_run(store, data, RunSpec(data.fingerprint, protocol, "bald", 1))
    store.set_directives(run.run_id, oracle_until=run.spec.max_labels)
    pool = Workers(home, 1)
    samples: list[Sample] = []
    try:
        while True:
            pool.ask(run.run_id, person_waits=False)
            n_steps = len(store.log(run.run_id).steps)
            process = pool._background[0].process
            if process is not None and n_steps > len(samples):
                samples.append(sample(process.pid, n_steps))
            if n_steps > protocol.n_acquisition_steps or store.log(run.run_id).failure:
                return samples
            time.sleep(0.05)
    finally:
        pool.close()
        store.close()


def main(n_steps: str = "300", preset: str = "", *settings: str) -> None:
    """Measure and print."""
    changes: dict[str, Any] = dict(one.split("=", 1) for one in settings)
    changes = {key: int(value) for key, value in changes.items()}
    changes = {"n_samples_to_acquire": 1, **changes, "n_acquisition_steps": int(n_steps)}
    made = override(PRESETS[preset], changes) if preset else experiment_kit.protocol(**changes)
    with tempfile.TemporaryDirectory() as home:
        samples = watch(Path(home), made)
    for one in [*samples[::20], samples[-1]]:
        print(one, flush=True)
    print(f"{slope(samples):.3f} MB a step, at most {max(s.megabytes for s in samples):.0f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
