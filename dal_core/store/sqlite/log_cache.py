"""A cache of logs: of a log read before, only what was added since is read again.

A log grows by a few rows a step and is read several times a step. Parsing all of it each time
took a third of the host's time in an experiment of stacked runs (`benchmarks/gpu.md`). Rows of the
log never change and their numbers are never used twice, so what was read stays true. What can
change (directives, retractions, failures) is read each time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from sqlalchemy import Connection

from dal_core.run.state import RunState
from dal_core.store.sqlite.reading import LogRows, read_rows

KEPT = 64  # runs; a log of 100 steps takes about 1 MB


class LogCache:
    """The rows of the logs read last. Safe to share between threads."""

    def __init__(self, at_most: int = KEPT) -> None:
        self._at_most = at_most
        self._rows = OrderedDict[str, LogRows]()
        self._lock = threading.Lock()

    def read(self, connection: Connection, run_id: str) -> RunState:
        """`reading.read_log`. Raises RunNotFound.

        Args:
            connection: its transaction must not have written anything, which might be rolled
                back. It must not have read anything either, unless it has the write lock: its
                snapshot could be older than what another thread has read since.
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
        """Drop what is kept of a run that was deleted."""
        with self._lock:
            self._rows.pop(run_id, None)
