"""`dal demo`: compute the runs that the guided tour and the Explain page show."""

from __future__ import annotations

from pathlib import Path

from dal_core.cli import values
from dal_core.cli.reproduce import conduct, n_processes, with_workers
from dal_core.data import catalogue
from dal_core.experiments import demo


def create(*, workers: str | None, device: str | None, home: Path | None, as_json: bool) -> int:
    """Create the demo, or continue it; returns the exit code. Raises WrongUse."""
    where = values.device(device)
    work = with_workers(n_processes(workers), where)
    data = catalogue.load(demo.protocol().dataset)
    store = values.open_store(home, create=True)
    return conduct(store, demo.create(store, data, where), work, home, as_json)
