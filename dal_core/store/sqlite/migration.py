"""Creates the database, or migrates one of an earlier version.

A migration happens in place, in one transaction. It adds tables and columns and does not change the
log. The default of a new column describes how earlier versions behaved.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, select, text, update
from sqlalchemy import insert as insert_into
from sqlalchemy.exc import DatabaseError
from sqlalchemy.schema import CreateColumn

from dal_core.run.rows import StoreError, StoreFailed
from dal_core.store.sqlite import connections, digests, schema, writing

NEW_COLUMNS: dict[int, dict[str, tuple[str, ...]]] = {  # by the version that introduced them
    2: {
        "runs": ("mode", "noise", "forked_from", "forked_after", "forked_labels"),
        "queries": ("corrected",),
        "steps": ("corrected", "confusion"),
        "experiments": ("noise",),
    },
    4: {"steps": ("environment",)},
    5: {
        **{table.name: ("digest",) for table in digests.TABLES},
        "steps": ("nll", "brier", "ece", "digest"),
    },
}


def is_current(engine: Engine, path: Path) -> bool:
    """Whether the database has this version, without writing to it.

    Raises:
        StoreError: the file is no database or cannot be read.
    """
    try:
        with engine.connect() as connection:
            return _version(connection) == schema.SCHEMA_VERSION
    except (StoreFailed, StoreError, DatabaseError, sqlite3.Error) as error:
        raise _unusable(path, error) from None


def prepare(engine: Engine, path: Path, create: bool) -> None:
    """Create the database if `create` and it is empty; migrate one of an earlier version.

    Raises:
        StoreError: the file is of a newer version, is no database, or cannot be opened or written.
    """
    writing_engine = engine.execution_options(begin="BEGIN IMMEDIATE")
    try:
        if create:
            connections.enter_wal(engine)
            with writing_engine.begin() as connection:
                if not inspect(connection).get_table_names():
                    _make(connection)
        with engine.connect() as connection:
            version = _version(connection)
        if version is not None and version < schema.SCHEMA_VERSION:
            with writing_engine.begin() as connection:
                version = _migrate(connection)
    except (StoreFailed, StoreError, DatabaseError, sqlite3.Error) as error:
        raise _unusable(path, error) from None
    if version != schema.SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by another version of dal (schema {version}, this one reads "
            f"{schema.SCHEMA_VERSION}); update dal or choose another home"
        )


def _unusable(path: Path, error: Exception) -> StoreError:
    reason = error.orig if isinstance(error, DatabaseError) else error
    if isinstance(error, StoreFailed) and isinstance(error.__cause__, sqlite3.Error):
        reason = error.__cause__
    return StoreError(f"{path} cannot be used as a store of runs: {reason}")


def _make(connection: Connection) -> None:
    schema.metadata.create_all(connection)
    connection.execute(insert_into(schema.schema_version).values(version=schema.SCHEMA_VERSION))


def _version(connection: Connection) -> int | None:
    versions = connection.scalars(select(schema.schema_version.c.version)).all()
    if len(versions) > 1:
        listed = ", ".join(map(str, versions))
        raise StoreError(f"schema_version holds several rows ({listed}); allowed: one")
    return versions[0] if versions else None


def _migrate(connection: Connection) -> int | None:
    """Add what is new, unless another process has done so meanwhile; returns the version."""
    version = _version(connection)
    if version is None or not 1 <= version < schema.SCHEMA_VERSION:
        return version
    existing = inspect(connection).get_table_names()
    for new in range(version + 1, schema.SCHEMA_VERSION + 1):
        for table, names in NEW_COLUMNS.get(new, {}).items():
            for name in names if table in existing else ():
                column = CreateColumn(schema.metadata.tables[table].c[name])
                definition = column.compile(dialect=connection.dialect)
                connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {definition}"))
    schema.metadata.create_all(connection)  # only the tables that are missing
    if version < 5:
        digests.seal_all(connection)
    if version < 3:
        _failures_from_progress(connection)
    connection.execute(update(schema.schema_version).values(version=schema.SCHEMA_VERSION))
    return schema.SCHEMA_VERSION


def _failures_from_progress(connection: Connection) -> None:
    """Turn failed progress into failures: before version 3, only progress recorded a failure."""
    failed = schema.progress.c.part == "failed"
    for row in connection.execute(select(schema.progress).where(failed)).all():
        writing.insert_failure(connection, row.run_id, row.message, row.at)
    connection.execute(update(schema.progress).where(failed).values(part="idle", message=""))
