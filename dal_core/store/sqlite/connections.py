"""Connections to `dal.db`."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event

from dal_core.store.sqlite import digests, failing

BUSY_SECONDS = 10.0


def make_engine(
    path: Path, synchronous: Literal["FULL", "NORMAL"], options: Mapping[str, str] | None = None
) -> Engine:
    """An engine for the database file that begins transactions itself, instead of the driver.

    Args:
        options: of SQLite's URI for the file, such as `mode=ro`.

    A transaction begins with `BEGIN`, which gives a reader its snapshot. Engines derived with
    `execution_options(begin="BEGIN IMMEDIATE")` take the write lock before they read, so that
    their checks still hold when they write.
    """
    url = URL.create("sqlite", database=str(path))  # escapes characters that a URL must not contain
    if options is not None:
        query = {**options, "uri": "true"}
        url = URL.create("sqlite", database=f"file:{quote(str(path))}", query=query)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # otherwise sqlite3 begins transactions itself
        try:
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute(f"PRAGMA synchronous={synchronous}")
            digests.install(connection)
        except sqlite3.Error as error:
            raise failing.failure(error, path) or error from error

    failing.convert_errors(engine, path)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def enter_wal(engine: Engine) -> None:
    """Switch the file to WAL mode. SQLite does not wait for a lock here, so this function does."""
    deadline = time.monotonic() + BUSY_SECONDS
    connection = engine.raw_connection()
    try:
        while True:
            try:
                connection.cursor().execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
    finally:
        connection.close()
