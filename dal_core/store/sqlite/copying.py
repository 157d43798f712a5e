"""Copies of a database that may be in use (SQLite's online backup), and checks of its file."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection

from dal_core.run.rows import StoreError
from dal_core.store.sqlite import digests, read_only
from dal_core.store.sqlite.connections import BUSY_SECONDS, make_engine
from dal_core.store.sqlite.schema import DATABASE_FILE

MAX_PROBLEMS = 20  # lines of SQLite's check that are kept


def copy_database(home: Path, target: Path) -> None:
    """Copy the database of a home to a new file, which then holds everything by itself.

    Others may read and write meanwhile; the copy is one of their states.

    Raises:
        StoreError: there is no database, it cannot be read, or the copy cannot be written.
    """
    try:
        with opened(home) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # no further file belongs to it
    except sqlite3.Error as error:
        raise StoreError(f"{home / DATABASE_FILE} cannot be copied: {error}") from None


def problems(home: Path) -> list[str]:
    """What is wrong with the database file, as SQLite says; empty if nothing is.

    Raises:
        StoreError: there is no database.
    """
    try:
        with opened(home) as connection:
            found = connection.execute(f"PRAGMA integrity_check({MAX_PROBLEMS})").fetchall()
            lines = [str(line).splitlines()[-1] for (line,) in found if line != "ok"]
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.Error as error:
        return [str(error)]
    counts: dict[tuple[str, str], int] = {}
    for table, _, parent, _ in broken:
        counts[table, parent] = counts.get((table, parent), 0) + 1
    return lines + [
        f"{n} rows of {table} belong to rows of {parent} that are missing"
        for (table, parent), n in sorted(counts.items())
    ]


def unsealed(home: Path) -> int:
    """The number of rows without a digest.

    Raises:
        StoreFailed: the database cannot be read.
    """
    with _writable(home) as connection:
        return digests.count_unsealed(connection)


def seal_rest(home: Path) -> None:
    """Give the rows without a digest one.

    Raises:
        StoreFailed: the database cannot be read or written; nothing was changed.
    """
    with _writable(home) as connection:
        digests.seal_rest(connection)


@contextmanager
def _writable(home: Path) -> Iterator[Connection]:
    engine = make_engine(home / DATABASE_FILE, "FULL")
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def opened(home: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads the database; a file that cannot be written is read too.

    Raises:
        StoreError: there is no database.
        sqlite3.Error: it cannot be read.
    """
    path = home / DATABASE_FILE
    if not path.is_file():
        raise StoreError(f"{home} holds no runs (there is no {DATABASE_FILE})")
    options, copied = {"mode": "rw"}, None
    if not read_only.is_writable(path):
        found = read_only.options(path)
        copied = read_only.copy(path) if found is None else None
        options = dict(found or {"mode": "rw"})
    query = "&".join(f"{name}={value}" for name, value in options.items())
    address = f"file:{quote(str((copied or path).absolute()))}?{query}"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA query_only=ON")
            yield connection
    finally:
        if copied is not None:
            shutil.rmtree(copied.parent, ignore_errors=True)
