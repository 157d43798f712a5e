"""The reading half of the SQLite store; each method reads from one snapshot of the database."""

from __future__ import annotations

import shutil
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine

from dal_core.protocol.run_spec import RunSpec
from dal_core.run.rows import Control, Progress, RunRow, StoreError, StoreFailed
from dal_core.run.state import RunState
from dal_core.run.summary import RunSummary
from dal_core.store.base import Store, Survey
from dal_core.store.sqlite import (
    connections,
    migration,
    polling,
    read_only,
    reading,
    schema,
    summary,
    writing,
)
from dal_core.store.sqlite.digests import Verified
from dal_core.store.sqlite.experiments import SqliteExperiments

LOGS_KEPT = 64  # runs; a log of 100 steps takes about 1 MB


class Queries(Store):
    """The connections of the store, and the methods that only read."""

    def __init__(self, home: Path, create: bool = True) -> None:
        self.home = Path(home).absolute()
        path = self.home / schema.DATABASE_FILE
        if create:
            _make_folder(self.home)
        elif not path.is_file():
            raise StoreError(f"{self.home} holds no runs (there is no {schema.DATABASE_FILE})")
        self.read_only = path.is_file() and not read_only.is_writable(path)
        self._copy: Path | None = None
        if self.read_only:
            self._reading = self._open_read_only(path)
            self._progress_engine = self._reading
        else:
            self._reading = connections.make_engine(path, "FULL")
            migration.prepare(self._reading, path, create)
            # For progress. With NORMAL in WAL mode, a commit does not wait for the disk. The file
            # stays sound, but a power cut may lose the latest progress.
            self._progress_engine = connections.make_engine(path, "NORMAL").execution_options(
                begin="BEGIN IMMEDIATE"
            )
        self._writing = self._reading.execution_options(begin="BEGIN IMMEDIATE")
        self._logs = LogCache()
        self._verified = Verified()
        self.experiments = SqliteExperiments(self._reading, self._writing, self._verified)

    def _open_read_only(self, path: Path) -> Engine:
        """An engine that cannot write. A copy is read if the file cannot be read as it is."""
        options = read_only.options(path)
        if options is not None:
            engine = connections.make_engine(path, "FULL", options)
            if migration.is_current(engine, path):
                return engine
            engine.dispose()
        self._copy = read_only.copy(path)
        migrating = connections.make_engine(self._copy, "FULL")
        migration.prepare(migrating, self._copy, create=False)
        migrating.dispose()
        return connections.make_engine(self._copy, "FULL", read_only.IMMUTABLE)

    @cached_property
    def damage(self) -> str | None:
        """As `Store.damage`: 12 ms for the 30 MB of an experiment of 15 x 101 steps."""
        try:
            with self._reading.connect() as connection:
                found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        except StoreFailed as error:
            return str(error)
        if found == "ok":
            return None
        path = self.home / schema.DATABASE_FILE
        what = " ".join(str(found).removeprefix("*** in database main ***").split())
        return f"{path} is damaged ({what}); `dal doctor` says what can be saved"

    def close(self) -> None:
        self._reading.dispose()
        self._progress_engine.dispose()
        if self._copy is not None:
            shutil.rmtree(self._copy.parent, ignore_errors=True)

    def run(self, run_id: str) -> RunRow:
        with self._reading.connect() as connection:
            return reading.read_run(connection, run_id)

    def runs(self) -> list[RunRow]:
        with self._reading.connect() as connection:
            return reading.read_runs(connection)

    def summaries(self, run_ids: Sequence[str]) -> list[RunSummary]:
        with self._reading.connect() as connection:
            return summary.read_summaries(connection, run_ids, self._verified)

    def run_ids(self) -> list[str]:
        with self._reading.connect() as connection:
            return reading.read_run_ids(connection)

    def survey(self) -> Survey:
        with self._reading.connect() as connection:
            ids = reading.read_run_ids(connection)
            found = summary.read_summaries(connection, ids, self._verified)
            intact = {one.run.run_id for one in found}
            others = [run_id for run_id in ids if run_id not in intact]
            return Survey(found, summary.read_damaged(connection, others, self._verified))

    def find_submitted(self, nonce: str) -> RunRow | None:
        with self._reading.connect() as connection:
            run_id = reading.find_submitted(connection, nonce)
            return None if run_id is None else reading.read_run(connection, run_id)

    def find_oracle_run(self, spec: RunSpec) -> RunRow | None:
        with self._reading.connect() as connection:
            candidates = reading.read_runs(
                connection,
                kind="oracle",
                fingerprint=spec.fingerprint,
                acquisition=spec.acquisition,
                seed=spec.seed,
                forked_from=None,
            )
            for run in reversed(candidates):
                unbounded = run.until_labels is None and run.until_accuracy is None
                if (
                    unbounded
                    and run.spec == spec
                    and not reading.has_person(connection, run.run_id)
                ):
                    return run
        return None

    def why_read_only(self, run_id: str) -> str | None:
        with self._reading.connect() as connection:
            return reading.why_read_only(connection, reading.read_run(connection, run_id))

    def control(self, run_id: str) -> Control:
        with self._reading.connect() as connection:
            return polling.read_control(connection, run_id)

    def log(self, run_id: str) -> RunState:
        with self._reading.connect() as connection:
            return self._logs.read(connection, run_id)

    def shown_probs(self, query_id: str) -> np.ndarray | None:
        with self._reading.connect() as connection:
            packed = reading.read_probs(connection, query_id)
        return None if packed is None else writing.unpack_probs(packed)

    def progress(self, run_id: str) -> Progress | None:
        with self._reading.connect() as connection:
            return polling.read_progress(connection, run_id)

    def pulse(self, run_id: str) -> tuple[Any, ...] | None:
        with self._reading.connect() as connection:
            return polling.read_pulse(connection, run_id)


def _make_folder(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{home} cannot be used as a home: {error.strerror}") from None


class LogCache:
    """The rows of the most recently read logs. Safe to share between threads.

    A log grows by a few rows per step and is read several times per step. Parsing all of it each
    time took a third of the host's time in an experiment of stacked runs (`benchmarks/gpu.md`).
    Rows of the log never change and their numbers are never used twice, so cached rows stay valid.
    What can change (directives, retractions, failures) is read each time.
    """

    def __init__(self, at_most: int = LOGS_KEPT) -> None:
        self._at_most = at_most
        self._rows = OrderedDict[str, reading.LogRows]()
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
        rows = reading.read_rows(connection, run_id, known)
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
