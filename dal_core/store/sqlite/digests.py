"""The digest of a row, with which a change on the disk is noticed (docs/method.md, section 14).

The digest of a row is the first 16 hexadecimal digits of the SHA-256 of its values: for each
column, in alphabetical order, `name=`, a letter for SQLite's type (i, f, s, b) and the value, with
NUL bytes between columns. A number is written with as many digits as give it back. NULLs are left
out, so that a new column does not change the digests of earlier rows. What may change is left out
too: directives, and the passes of rankings.

SQLite computes the digest of the values as they are stored, with a function that every connection
gets.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Label, String, Table, func, or_

FUNCTION = "dal_digest"
DIGITS = 16
CHANGING: Mapping[str, tuple[str, ...]] = {
    "runs": ("oracle_until", "paused", "until_labels", "until_accuracy"),
    "rankings": ("npy",),
}


def install(connection: sqlite3.Connection) -> None:
    """Give a new connection the function that computes digests."""
    connection.create_function(FUNCTION, -1, _of_row, deterministic=True)


def covered(table: Table) -> tuple[str, ...]:
    """The columns that the digest of a row covers, in alphabetical order."""
    left_out = {"digest", *CHANGING.get(table.name, ())}
    return tuple(sorted(column.name for column in table.c if column.name not in left_out))


@cache  # building the expression takes longer than SQLite needs for a row
def of_row(table: Table) -> ColumnElement[str]:
    """The digest of a row, as an SQL expression."""
    names = covered(table)
    return func.dal_digest(",".join(names), *(table.c[name] for name in names), type_=String)


@cache
def intact(table: Table) -> Label[bool]:
    """A column `intact`: whether the row is what was written, as far as it has a digest.

    A process of an earlier version that still runs writes rows without one; no single bit of a
    stored digest makes it NULL.
    """
    return or_(table.c.digest.is_(None), of_row(table) == table.c.digest).label("intact")


def of_values(names: Iterable[str], values: Iterable[Any]) -> str:
    """The digest of the values of columns, which are in alphabetical order."""
    parts = [
        f"{name}={type(value).__name__[0]}{value}"
        for name, value in zip(names, values, strict=True)
        if value is not None
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:DIGITS]


def of_environment(facts: Mapping[str, Any]) -> str:
    """The digest by which an environment is found, and checked when it is read."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def changed(table: Table, number: int) -> ValueError:
    """The error for a row that is not what was written."""
    return ValueError(f"row {number} of {table.name} is not what was written (its digest differs)")


def _of_row(names: str, *values: Any) -> str:
    return of_values(names.split(","), values)
