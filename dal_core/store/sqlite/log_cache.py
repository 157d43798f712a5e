"""A cache of logs, so that only rows added since the last read are read and parsed.

A log grows by a few rows per step and is read several times per step. Parsing all of it each time
took a third of the host's time in an experiment of stacked runs (`benchmarks/gpu.md`). Rows of the
log never change and their numbers are never used twice, so cached rows stay valid. What can change
(directives, retractions, failures) is read each time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from sqlalchemy import Connection

from dal_core.run.state import RunState
from dal_core.store.sqlite.reading import LogRows, read_rows

KEPT = 64  # runs; a log of 100 steps takes about 1 MB


class LogCache:
    """The rows of the most recently read logs. Safe to share between threads."""

    def __init__(self, at_most: int = KEPT) -> None:
        self._at_most = at_most
        self._rows = OrderedDict[str, LogRows]()
        self._lock = threading.Lock()

    def read(self, connection: Connection, run_id: str) -> RunState:
        """`reading.read_log`. Raises RunNotFound.

        Args:
            connection: its transaction must not have written anything, since that might be
                rolled back. Unless it holds the write lock, it must not have read anything
                either: its snapshot could be older than the cached rows.
        """
        with self._lock:
            known = self._rows.get(run_id)
        rows = read_rows(connection, run_id, known)
        with self._lock:
            self._rows[run_id] = rows
            self._rows.move_to_end(run_id)
            while len(self._rows) > self._at_most:
                self._rows.popitem(last=False)
        return rows.state()

    def forget(self, run_id: str) -> None:
        """Drop the rows of a deleted run."""
        with self._lock:
            self._rows.pop(run_id, None)
