"""What the tests of workers and experiments share: runs of a second, and waiting for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.protocol.parameters import Protocol, override
from dal_core.protocol.presets import PRESETS
from dal_core.protocol.run_spec import RunSpec
from dal_core.record_file.io import read_record
from dal_core.run.rows import RunRow
from dal_core.store.base import Store

FAST = {
    "n_epochs": 2,
    "num_mc_samples": 2,
    "n_acquisition_steps": 2,
    "val_size": 50,
    "test_size": 100,
    "pool_subset_size": 100,
}
FOR_EVER = 100_000  # epochs


def protocol(**changes: Any) -> Protocol:
    return override(PRESETS["quick"], {**FAST, **changes})


def new_run(
    store: Store,
    dataset: ImageDataset,
    acquisition: str = "bald",
    *,
    seed: int = 1,
    person: bool = False,
    **changes: Any,
) -> RunRow:
    """A run; the oracle's has been told to go to its end."""
    spec = RunSpec(dataset.fingerprint, protocol(**changes), acquisition, seed)
    run = control.create_run(store, dataset, spec, person=person)
    if not person:
        store.set_directives(run.run_id, oracle_until=spec.max_labels)
    return run


def measures(store: Store, run_id: str) -> list[tuple[Any, ...]]:
    """What of a run must repeat bit for bit, times left out."""
    steps = store.log(run_id).steps
    return [(s.n_labelled, s.accuracy, s.mutual_information, s.train_loss) for s in steps]


def numbers(record: Path) -> dict[str, Any]:
    """The results of a record without its times."""
    results = read_record(record).results
    entries = {**results["acq"], "bounds": results["bounds"]}
    return {name: (entry.get("test_acc"), entry.get("test_inf")) for name, entry in entries.items()}


def until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Wait for something to become true; a test fails that waits in vain."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


class OneByOne:
    """Workers without processes: jobs are done here, the smallest first, one step at a time."""

    def __init__(self, store: Store) -> None:
        self.home, self.bench = store.home, Workbench(store)
        self.jobs: dict[str, tuple[int, int]] = {}
        self.asked: list[str] = []
        self.done: list[tuple[str, int, int]] = []  # acquisition, seed, labels

    def is_active(self, run_id: str) -> bool:
        return run_id in self.jobs

    def ask(self, run_id: str, *, person_waits: bool, rank: int = 0, n_labelled: int = 0) -> None:
        assert not person_waits
        self.asked.append(run_id)
        self.jobs[run_id] = (rank, n_labelled)

    def work(self) -> None:
        """One step of the run that is first in the queue."""
        if not self.jobs:
            return
        run_id = min(self.jobs, key=self.jobs.__getitem__)
        del self.jobs[run_id]
        spec = self.bench.store.run(run_id).spec
        for step in advance(self.bench, run_id, max_steps=1):
            self.done.append((spec.acquisition, spec.seed, step.n_labelled))
