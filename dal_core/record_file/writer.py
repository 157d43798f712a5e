"""Writes records while runs advance: when a run ends, otherwise at most every few seconds."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Collection
from pathlib import Path

from dal_core.record_file.sync import write_experiment_record, write_run_record
from dal_core.record_file.validate import RecordError
from dal_core.run.next_task import next_task
from dal_core.run.rows import RunNotFound
from dal_core.store.base import Store
from dal_core.store.experiments import ExperimentNotFound

WRITE_SECONDS = 5.0  # shortest time between two writes while runs advance


class Throttle:
    """Collects names of changed things and releases them together, at most every `seconds`.

    It reads no clock. The caller passes the time, in seconds from any origin.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed: set[str] = set()
        self._released: float | None = None

    def add(self, name: str) -> None:
        """Add the name of a thing that changed."""
        self._changed.add(name)

    def wait(self, now: float) -> float | None:
        """Seconds until the next release is due, 0 if it is due now; None if nothing changed."""
        if not self._changed:
            return None
        if self._released is None:
            return 0.0
        return max(0.0, self._released + self._seconds - now)

    def due(self, now: float) -> set[str]:
        """The changed names if a release is due, else none."""
        return self.release(now) if self.wait(now) == 0 else set()

    def release(self, now: float) -> set[str]:
        """The changed names, even if no release is due."""
        changed, self._changed = self._changed, set()
        if changed:
            self._released = now
        return changed


class RecordWriter:
    """Writes the records of the runs that a process works on.

    A record is written when its run has no work left, otherwise at most every `WRITE_SECONDS`. A
    record that cannot be written only causes a warning, because the results are in the store.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._outdated = Throttle(WRITE_SECONDS)

    def step_stored(self, run_id: str) -> None:
        """Note that a step of the run was stored, so that its record is out of date."""
        self._outdated.add(run_id)

    def wait(self) -> float | None:
        """Seconds until `write_due` has something to write; None if every record is up to date."""
        return self._outdated.wait(self._clock())

    def write_due(self) -> None:
        """Write the outdated records if the last write is `WRITE_SECONDS` ago."""
        self._write(self._outdated.due(self._clock()))

    def write_all(self) -> None:
        """Write all outdated records now."""
        self._write(self._outdated.release(self._clock()))

    def leave(self, run_id: str) -> None:
        """Write all outdated records if the run has no work left, else those that are due.

        Called when the process stops working on the run.
        """
        if self._outdated.wait(self._clock()) is not None and not self._has_work(run_id):
            self.write_all()
        else:
            self.write_due()

    def _has_work(self, run_id: str) -> bool:
        try:
            return next_task(self._store.log(run_id)).has_work
        except RunNotFound:
            return False

    def _write(self, run_ids: Collection[str]) -> None:
        experiments = self._store.experiments
        for run_id in sorted(run_ids):
            self._attempt(write_run_record, run_id)
        for experiment_id in sorted({e for run_id in run_ids for e in experiments.of_run(run_id)}):
            self._attempt(write_experiment_record, experiment_id)

    def _attempt(self, write: Callable[[Store, str], Path], name: str) -> None:
        try:
            write(self._store, name)
        except (RunNotFound, ExperimentNotFound):
            pass  # deleted meanwhile
        except (RecordError, OSError) as error:
            warnings.warn(f"the record of {name} was not written: {error}", stacklevel=2)
