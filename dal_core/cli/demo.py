"""`dal demo`: the stored runs that the guided tour and the Explain page show."""

from __future__ import annotations

from pathlib import Path

from dal_core import datasets, demo
from dal_core.cli import values
from dal_core.cli.reproduce import conduct, n_processes


def create(*, workers: str | None, device: str | None, home: Path | None, as_json: bool) -> int:
    """Make the demo, or go on with one begun before; returns the exit code."""
    n_workers, where = n_processes(workers), values.device(device)
    data = datasets.load(demo.protocol().dataset)
    store = values.open_store(home, create=True)
    return conduct(store, demo.create(store, data, where), n_workers, where, home, as_json)
