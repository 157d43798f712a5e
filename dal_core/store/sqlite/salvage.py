"""Rebuilding a damaged database from the rows that can still be read."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Table

from dal_core.store.sqlite import connections, digests, schema
from dal_core.store.sqlite.schema import DATABASE_FILE

MOST_ROWS = 10_000_000  # rows of a table that are tried one by one


def rebuild(home: Path) -> tuple[int, Path]:
    """Replace the database by a new one with every row that can be read.

    Rows whose run or query is lost are left out. The damaged files are kept beside the new one.
    Nobody else may use the home meanwhile.

    Returns:
        The number of rows saved, and the path of the damaged database.

    Raises:
        OSError: a file cannot be written; the home is as it was.
        sqlite3.Error, StoreFailed: the new database cannot be written; the home is as it was.
    """
    path, new = home / DATABASE_FILE, home / f".{DATABASE_FILE}.rebuilt"
    new.unlink(missing_ok=True)
    engine = connections.make_engine(new, "FULL")
    try:
        schema.metadata.create_all(engine)
    finally:
        engine.dispose()
    try:
        with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(new)) as made:
            old.text_factory = lambda raw: raw.decode(errors="replace")
            n_rows = sum(_copy(old, made, table.name) for table in schema.metadata.sorted_tables)
            unsealed = [one for one in digests.TABLES if not _has_digests(old, one.name)]
            _keep_version(made)
            made.commit()
        _seal(new, unsealed)
        kept = path.with_name(f"{DATABASE_FILE}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        for suffix in ("-wal", "-shm", ""):
            file = path.with_name(path.name + suffix)
            if file.exists():
                file.rename(kept.with_name(kept.name + suffix))
        new.rename(path)
    finally:
        new.unlink(missing_ok=True)
    return n_rows, kept


def _has_digests(old: sqlite3.Connection, table: str) -> bool:
    """Whether the table is of a version whose rows have digests, or cannot be read at all."""
    try:
        columns = [row[1] for row in old.execute(f"PRAGMA table_info({table})")]
    except sqlite3.DatabaseError:
        return True
    return "digest" in columns


def _seal(path: Path, tables: Sequence[Table]) -> None:
    """Give the rows saved from an earlier version digests, as a migration does."""
    engine = connections.make_engine(path, "FULL")
    try:
        with engine.begin() as connection:
            digests.seal_all(connection, tables)
    finally:
        engine.dispose()


def _copy(old: sqlite3.Connection, made: sqlite3.Connection, table: str) -> int:
    made.execute("PRAGMA foreign_keys=ON")
    wanted = [row[1] for row in made.execute(f"PRAGMA table_info({table})")]
    try:
        stored = {row[1] for row in old.execute(f"PRAGMA table_info({table})")}
    except sqlite3.DatabaseError:
        return 0
    columns = [name for name in wanted if name in stored]
    marks = ", ".join("?" * len(columns))
    names = ", ".join(f'"{name}"' for name in columns)
    n_rows = 0
    for row in _rows(old, table, names) if columns else ():
        try:
            made.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)
            n_rows += 1
        except sqlite3.Error:  # its run is lost, or it is there twice
            continue
    return n_rows


def _rows(old: sqlite3.Connection, table: str, names: str) -> Iterator[Sequence[Any]]:
    """Every row that can be read; one by one if reading all of them fails."""
    try:
        yield from old.execute(f"SELECT {names} FROM {table}").fetchall()
        return
    except sqlite3.DatabaseError:
        pass
    for number in range(1, _last(old, table) + 1):
        try:
            yield from old.execute(f"SELECT {names} FROM {table} WHERE rowid = ?", [number])
        except sqlite3.DatabaseError:
            continue


def _last(old: sqlite3.Connection, table: str) -> int:
    """The highest number that a row of the table may have."""
    queries = (f"SELECT max(rowid) FROM {table}", "SELECT max(seq) FROM sqlite_sequence")
    for query in queries:
        try:
            return min(int(old.execute(query).fetchone()[0] or 0), MOST_ROWS)
        except (sqlite3.DatabaseError, TypeError, ValueError):
            continue
    return 0


def _keep_version(made: sqlite3.Connection) -> None:
    made.execute("DELETE FROM schema_version")
    made.execute("INSERT INTO schema_version VALUES (?)", [schema.SCHEMA_VERSION])
