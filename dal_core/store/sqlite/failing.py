"""Errors of SQLite as one line each: what happened to the file, and what a person can do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from dal_core.run.rows import StoreDamaged, StoreFailed

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# What SQLite says of a text that Python could not decode to compute the digest of its row.
_UNDECODABLE = "user-defined function raised exception"
_WORDS = {
    sqlite3.SQLITE_FULL: "the disk that holds {path} is full; nothing was saved. "
    "Free some space and try again",
    sqlite3.SQLITE_READONLY: "{path} is read-only; nothing was changed",
    sqlite3.SQLITE_IOERR: "{path} cannot be read or written ({reason}); "
    "nothing was saved. The disk may be full or failing",
    sqlite3.SQLITE_CANTOPEN: "{path} cannot be opened ({reason}); nothing was changed",
    sqlite3.SQLITE_BUSY: "{path} is in use by another process ({reason}); nothing was changed. "
    "Try again",
}


def convert_errors(engine: Engine, path: Path) -> None:
    """Make the engine raise StoreFailed where the file is the reason.

    Errors that are not about the file, such as a violated constraint, stay as they are.
    """

    @event.listens_for(engine, "handle_error")
    def convert(context: ExceptionContext) -> Exception | None:
        return failure(context.original_exception, path)


def failure(error: BaseException, path: Path) -> StoreFailed | None:
    """What an error of SQLite means for the file; None if it is not about the file."""
    if not isinstance(error, sqlite3.Error) or isinstance(error, sqlite3.IntegrityError):
        return None
    code = getattr(error, "sqlite_errorcode", None)  # absent if Python could not decode a text
    primary = None if code is None else code & 0xFF
    reason = " ".join(str(error).split())
    undecodable = (primary is None and "decode" in reason) or _UNDECODABLE in reason
    if primary in _DAMAGED or undecodable:
        return StoreDamaged(f"{path} is damaged ({reason}); `dal doctor` says what can be saved")
    if primary not in _WORDS:
        return None
    return StoreFailed(_WORDS[primary].format(path=path, reason=reason))
