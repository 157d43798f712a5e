"""The reading half of the SQLite store; each method reads from one snapshot of the database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dal_core.protocol.run_spec import RunSpec
from dal_core.run.rows import Control, Progress, RunRow, StoreError
from dal_core.run.state import RunState, RunSummary
from dal_core.store.base import Store
from dal_core.store.sqlite import migration, reading, schema, summary, writing
from dal_core.store.sqlite.experiments import SqliteExperiments
from dal_core.store.sqlite.log_cache import LogCache


class Queries(Store):
    """The connections of the store, and the methods that only read."""

    def __init__(self, home: Path, create: bool = True) -> None:
        self.home = Path(home).absolute()
        path = self.home / schema.DATABASE_FILE
        if create:
            _make_folder(self.home)
        elif not path.is_file():
            raise StoreError(f"{self.home} holds no runs (there is no {schema.DATABASE_FILE})")
        self._reading = schema.make_engine(path, "FULL")
        migration.prepare(self._reading, path, create)
        self._writing = self._reading.execution_options(begin="BEGIN IMMEDIATE")
        self._logs = LogCache()
        self.experiments = SqliteExperiments(self._reading, self._writing)
        # For progress. With NORMAL in WAL mode, a commit does not wait for the disk. The file stays
        # sound, but a power cut may lose the latest progress.
        self._progress_engine = schema.make_engine(path, "NORMAL").execution_options(
            begin="BEGIN IMMEDIATE"
        )

    def close(self) -> None:
        self._reading.dispose()
        self._progress_engine.dispose()

    def run(self, run_id: str) -> RunRow:
        with self._reading.connect() as connection:
            return reading.read_run(connection, run_id)

    def runs(self) -> list[RunRow]:
        with self._reading.connect() as connection:
            return reading.read_runs(connection)

    def summaries(self, run_ids: Sequence[str]) -> list[RunSummary]:
        with self._reading.connect() as connection:
            return summary.read_summaries(connection, run_ids)

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
            return reading.read_control(connection, run_id)

    def log(self, run_id: str) -> RunState:
        with self._reading.connect() as connection:
            return self._logs.read(connection, run_id)

    def shown_probs(self, query_id: str) -> np.ndarray | None:
        with self._reading.connect() as connection:
            packed = reading.read_probs(connection, query_id)
        return None if packed is None else writing.unpack_probs(packed)

    def progress(self, run_id: str) -> Progress | None:
        with self._reading.connect() as connection:
            return reading.read_progress(connection, run_id)

    def pulse(self, run_id: str) -> tuple[Any, ...] | None:
        with self._reading.connect() as connection:
            return reading.read_pulse(connection, run_id)


def _make_folder(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{home} cannot be used as a home: {error.strerror}") from None
