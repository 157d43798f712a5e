"""When records are written while runs advance: as a run ends, else every few seconds at most."""

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

WRITE_SECONDS = 5.0  # least time between two writes while runs advance


class Throttle:
    """Names of things that changed, released together and at most once every `seconds`.

    Pure: the caller says what time it is, in seconds from any origin.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed: set[str] = set()
        self._released: float | None = None

    def add(self, name: str) -> None:
        """Note that a thing changed."""
        self._changed.add(name)

    def wait(self, now: float) -> float | None:
        """Seconds until something is due, 0 if it is now; None if nothing has changed."""
        if not self._changed:
            return None
        if self._released is None:
            return 0.0
        return max(0.0, self._released + self._seconds - now)

    def due(self, now: float) -> set[str]:
        """Release what changed if enough time has passed since the last release, else nothing."""
        return self.release(now) if self.wait(now) == 0 else set()

    def release(self, now: float) -> set[str]:
        """Release what changed, whatever the time."""
        changed, self._changed = self._changed, set()
        if changed:
            self._released = now
        return changed


class RecordWriter:
    """Writes the records of the runs that a process works on.

    A record is written when its run is left without work, otherwise at most every `WRITE_SECONDS`.
    One that cannot be written is a warning: the results are in the store, and the work goes on.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._behind = Throttle(WRITE_SECONDS)

    def step_stored(self, run_id: str) -> None:
        """A step of the run was stored, so its record is behind."""
        self._behind.add(run_id)

    def wait(self) -> float | None:
        """Seconds until `write_due` has something to write; None if no record is behind."""
        return self._behind.wait(self._clock())

    def write_due(self) -> None:
        """Write the records that are behind, if the last write is long enough ago."""
        self._write(self._behind.due(self._clock()))

    def write_all(self) -> None:
        """Write the records that are behind."""
        self._write(self._behind.release(self._clock()))

    def leave(self, run_id: str) -> None:
        """The process stops working on the run for now: write everything if that is its end."""
        if self._behind.wait(self._clock()) is not None and not self._has_work(run_id):
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
            pass  # deleted a moment ago
        except (RecordError, OSError) as error:
            warnings.warn(f"the record of {name} was not written: {error}", stacklevel=2)
