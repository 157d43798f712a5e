"""A database of an earlier version becomes one of this version when it is opened, with all it
holds."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dal_core.protocol.presets import PRESETS
from dal_core.run.environment import Environment
from dal_core.run.next_task import next_task
from dal_core.run.rows import StoreError
from dal_core.run.state import RunState
from dal_core.run.summary import RunSummary
from dal_core.store.opening import open_store
from dal_core.store.sqlite import digests, schema
from tests.store_kit import ask, give, new_result, new_run, spec

# As version 1 made it.
VERSION_1 = """
CREATE TABLE schema_version (version INTEGER NOT NULL);
CREATE TABLE runs (
    number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, run_id VARCHAR NOT NULL UNIQUE,
    title VARCHAR NOT NULL, kind VARCHAR NOT NULL, baseline BOOLEAN NOT NULL,
    fingerprint VARCHAR NOT NULL, protocol JSON NOT NULL, acquisition VARCHAR NOT NULL,
    seed INTEGER NOT NULL, n_initial INTEGER NOT NULL, split_sizes JSON NOT NULL,
    versions JSON NOT NULL, created_at VARCHAR NOT NULL, oracle_until INTEGER,
    paused BOOLEAN NOT NULL, until_labels INTEGER, until_accuracy FLOAT);
CREATE TABLE queries (
    number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, query_id VARCHAR NOT NULL UNIQUE,
    run_id VARCHAR NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    n_labelled INTEGER NOT NULL, asked_by INTEGER NOT NULL, ranking JSON NOT NULL,
    scores JSON NOT NULL, batch_size INTEGER NOT NULL, "after" INTEGER NOT NULL,
    at VARCHAR NOT NULL);
CREATE INDEX ix_queries_run_id ON queries (run_id);
CREATE TABLE query_probs (
    query_id VARCHAR NOT NULL PRIMARY KEY REFERENCES queries (query_id) ON DELETE CASCADE,
    npy BLOB NOT NULL);
CREATE TABLE submissions (
    number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    query_id VARCHAR NOT NULL REFERENCES queries (query_id) ON DELETE CASCADE,
    run_id VARCHAR NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    annotator VARCHAR NOT NULL, source VARCHAR NOT NULL, nonce VARCHAR NOT NULL,
    at VARCHAR NOT NULL, UNIQUE (query_id, annotator));
CREATE INDEX ix_submissions_run_id ON submissions (run_id);
CREATE TABLE answers (
    submission_id INTEGER NOT NULL REFERENCES submissions (number) ON DELETE CASCADE,
    position INTEGER NOT NULL, image_id INTEGER NOT NULL, label INTEGER, seconds FLOAT,
    PRIMARY KEY (submission_id, position), UNIQUE (submission_id, image_id));
CREATE TABLE retractions (
    number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    submission_id INTEGER NOT NULL UNIQUE REFERENCES submissions (number) ON DELETE CASCADE,
    run_id VARCHAR NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE, at VARCHAR NOT NULL);
CREATE INDEX ix_retractions_run_id ON retractions (run_id);
CREATE TABLE steps (
    number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id VARCHAR NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE, step INTEGER NOT NULL,
    n_labelled INTEGER NOT NULL, accuracy FLOAT, mutual_information FLOAT, train_loss FLOAT,
    val_loss FLOAT, best_epoch INTEGER, seconds JSON NOT NULL, "after" INTEGER NOT NULL,
    at VARCHAR NOT NULL);
CREATE INDEX ix_steps_run_id ON steps (run_id);
CREATE TABLE progress (
    run_id VARCHAR NOT NULL PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE,
    part VARCHAR NOT NULL, n_labelled INTEGER, epoch INTEGER, n_epochs INTEGER,
    train_loss FLOAT, seconds_left FLOAT, message VARCHAR NOT NULL, at VARCHAR NOT NULL);
CREATE TABLE experiments (
    number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, experiment_id VARCHAR NOT NULL UNIQUE,
    title VARCHAR NOT NULL, protocol JSON NOT NULL, acquisitions JSON NOT NULL,
    seeds JSON NOT NULL, full_data BOOLEAN NOT NULL, created_at VARCHAR NOT NULL);
CREATE TABLE experiment_runs (
    number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    experiment_id VARCHAR NOT NULL REFERENCES experiments (experiment_id) ON DELETE CASCADE,
    run_id VARCHAR NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    UNIQUE (experiment_id, run_id));
CREATE INDEX ix_experiment_runs_experiment_id ON experiment_runs (experiment_id);
CREATE INDEX ix_experiment_runs_run_id ON experiment_runs (run_id);
INSERT INTO schema_version VALUES (1);
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A home as version 1 left it: one run, two queries, the first answered and measured."""
    connection = sqlite3.connect(tmp_path / schema.DATABASE_FILE)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(VERSION_1)
    protocol = PRESETS["quick"].model_dump_json()
    connection.execute(
        "INSERT INTO runs VALUES (1, 'bald-s1-old', 'Ann', 'person', 0, 'fingerprint', ?, 'bald', "
        "1, 20, '{\"pool\": 3000}', '{}', '2026-01-01T00:00:00.000+00:00', NULL, 0, 90, NULL)",
        [protocol],
    )
    for number, query_id, n, after in ((1, "first", 20, 0), (2, "second", 30, 1)):
        ranking = json.dumps(list(range(20 * number, 20 * number + 20)))
        connection.execute(
            "INSERT INTO queries VALUES (?, ?, 'bald-s1-old', ?, ?, ?, ?, 10, ?, 'then')",
            [number, query_id, n, n, ranking, json.dumps([0.5] * 20), after],
        )
    connection.execute(
        "INSERT INTO submissions VALUES (1, 'first', 'bald-s1-old', 'Ann', 'person', 'n', 'then')"
    )
    connection.executemany(
        "INSERT INTO answers VALUES (1, ?, ?, ?, 1.5)", [(k, 20 + k, k) for k in range(10)]
    )
    for number, n, after, accuracy in ((1, 20, 0, 0.5), (2, 30, 1, 0.75)):
        connection.execute(
            "INSERT INTO steps VALUES (?, 'bald-s1-old', ?, ?, ?, 0.1, 0.2, NULL, NULL, "
            "'{\"train\": 2.0}', ?, 'then')",
            [number, after, n, accuracy, after],
        )
    connection.commit()
    connection.close()
    return tmp_path


def columns(home: Path) -> dict[str, set[tuple[str, str, int, object]]]:
    """By table: name, type, whether it must not be NULL, and default of each column."""
    connection = sqlite3.connect(home / schema.DATABASE_FILE)
    try:
        return {
            table.name: {
                (row[1], row[2], row[3], row[4])
                for row in connection.execute(f"PRAGMA table_info({table.name})")
            }
            for table in schema.metadata.sorted_tables
        }
    finally:
        connection.close()


@pytest.mark.parametrize("create", [True, False])
def test_a_run_of_version_1_is_read_unchanged(old: Path, create: bool) -> None:
    store = open_store(old, create)
    run = store.run("bald-s1-old")
    assert run.spec == spec() and run.spec.noise == 0
    assert (run.mode, run.forked_from, run.forked_after, run.forked_labels) == (
        "strict",
        None,
        None,
        None,
    )
    log = store.log(run.run_id)
    assert log.labels() == [(20 + k, k) for k in range(10)]
    assert [(s.n_labelled, s.accuracy, s.corrected) for s in log.steps] == [
        (20, 0.5, 0),
        (30, 0.75, 0),
    ]
    assert log.open_query is not None
    assert (log.open_query.query_id, log.open_query.corrected) == ("second", 0)
    assert log.corrections == ()
    store.close()


def test_a_run_of_version_1_continues(old: Path) -> None:
    store = open_store(old)
    open_query = store.log("bald-s1-old").open_query
    assert open_query is not None
    assert give(store, open_query).status == "saved"
    store.correct("bald-s1-old", 20, 9, annotator="Ann")
    ask(store, "bald-s1-old", range(100, 120))
    assert store.log("bald-s1-old").labels()[0] == (20, 9)
    store.close()


@pytest.mark.parametrize("version", [1, 2])
def test_failures_recorded_by_earlier_versions_are_kept(
    old: Path, tmp_path: Path, version: int
) -> None:
    if version == 2:
        open_store(old).close()
        back_to_version_2(old)
    connection = sqlite3.connect(old / schema.DATABASE_FILE)
    connection.execute(
        "INSERT INTO progress VALUES ('bald-s1-old', 'failed', NULL, NULL, NULL, NULL, NULL, "
        "'OSError: the disk is full', '2026-01-02T00:00:00.000+00:00')"
    )
    connection.commit()
    connection.close()
    store = open_store(old)
    failure = store.log("bald-s1-old").failure
    assert failure is not None
    assert (failure.reason, failure.at) == (
        "OSError: the disk is full",
        "2026-01-02T00:00:00.000+00:00",
    )
    assert not next_task(store.log("bald-s1-old")).has_work
    progress = store.progress("bald-s1-old")
    assert progress is not None and progress.part == "idle"
    open_query = store.log("bald-s1-old").open_query
    assert open_query is not None
    give(store, open_query)
    assert store.log("bald-s1-old").failure is None
    store.close()


def back_to_version_4(home: Path) -> None:
    """Make a home of today what version 4 left."""
    connection = sqlite3.connect(home / schema.DATABASE_FILE)
    connection.executescript(
        "".join(f"ALTER TABLE {table.name} DROP COLUMN digest; " for table in digests.TABLES)
        + "".join(f"ALTER TABLE steps DROP COLUMN {name}; " for name in ("nll", "brier", "ece"))
        + "UPDATE schema_version SET version = 4;"
    )
    connection.close()


def back_to_version_3(home: Path) -> None:
    """Make a home of today what version 3 left."""
    back_to_version_4(home)
    connection = sqlite3.connect(home / schema.DATABASE_FILE)
    connection.executescript(
        "DROP TABLE environments; ALTER TABLE steps DROP COLUMN environment; "
        "UPDATE schema_version SET version = 3;"
    )
    connection.close()


def back_to_version_2(home: Path) -> None:
    """Make a home of today what version 2 left."""
    back_to_version_3(home)
    connection = sqlite3.connect(home / schema.DATABASE_FILE)
    connection.executescript("DROP TABLE failures; UPDATE schema_version SET version = 2;")
    connection.close()


@pytest.mark.parametrize("back", [back_to_version_3, back_to_version_2])
def test_steps_of_earlier_versions_do_not_know_where_they_were_computed(
    tmp_path: Path, back: Callable[[Path], None]
) -> None:
    store = open_store(tmp_path)
    run_id = new_run(store).run_id
    store.add_step(run_id, new_result())
    give(store, ask(store, run_id, range(20, 40)))
    store.close()
    back(tmp_path)
    store = open_store(tmp_path, create=False)
    where = Environment(torch="2.13.0", device="cpu", cpu_capability="AVX2")
    after = store.log(run_id).after
    store.add_step(run_id, replace(new_result(30, after), environment=where))
    views: list[RunState | RunSummary] = [store.log(run_id), *store.summaries([run_id])]
    for log in views:
        assert [step.environment for step in log.steps] == [None, where]
    store.close()


def test_a_migrated_database_has_the_columns_of_a_new_one(old: Path, tmp_path: Path) -> None:
    open_store(old).close()
    open_store(tmp_path / "new").close()
    assert columns(old) == columns(tmp_path / "new")


def test_a_database_is_migrated_once_when_many_open_it(old: Path) -> None:
    failed: list[BaseException] = []

    def open_it() -> None:
        try:
            open_store(old, create=False).close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    store = open_store(old)
    assert new_run(store).mode == "strict"
    store.close()


def test_a_migration_that_fails_leaves_the_database_as_it_was(old: Path) -> None:
    connection = sqlite3.connect(old / schema.DATABASE_FILE)
    connection.execute("CREATE INDEX ix_rankings_run_id ON runs (run_id)")  # in the way
    connection.commit()
    before = columns(old)
    with pytest.raises(StoreError, match=r"^[^\n]*cannot be used as a store of runs[^\n]*$"):
        open_store(old)
    assert columns(old) == before
    assert connection.execute("SELECT version FROM schema_version").fetchall() == [(1,)]
    connection.close()
