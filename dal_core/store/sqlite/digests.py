"""The digests of rows, with which a change on the disk is noticed (docs/method.md, section 14).

The digest of a row is the first 16 hexadecimal digits of the SHA-256 of its values: for each
column, in alphabetical order, `name=`, a letter for SQLite's type (i, f, s, b) and the value, with
NUL bytes between columns. A number is written with as many digits as give it back. NULLs are left
out, so that a new column does not change the digests of earlier rows. What may change is left out
too: directives, and the passes of rankings.

SQLite computes the digest of the values as they are stored, with a function that every connection
gets. The digest of a submission also covers its answers.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Label,
    Row,
    String,
    Table,
    func,
    or_,
    select,
    update,
)

from dal_core.run.rows import StoreDamaged
from dal_core.store.sqlite import schema

FUNCTION = "dal_digest"
DIGITS = 16
CHANGING: Mapping[str, tuple[str, ...]] = {
    "runs": ("oracle_until", "paused", "until_labels", "until_accuracy"),
    "rankings": ("npy",),
}

TABLES = (
    *(schema.runs, schema.queries, schema.submissions, schema.retractions),
    *(schema.corrections, schema.rankings, schema.steps, schema.experiments),
)
_LOG = tuple(table for table in TABLES if table not in (schema.runs, schema.experiments))

Answers = Mapping[int, Sequence[tuple[Any, ...]]]
"""By submission: (position, image id, label, seconds) of its answers in order, as stored."""


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


_SUBMISSION = covered(schema.submissions)


def seal(connection: Connection, table: Table, *where: ColumnElement[bool]) -> None:
    """Store the digests of the rows that meet all conditions, which were just written."""
    if table is not schema.submissions:
        connection.execute(update(table).where(*where).values(digest=of_row(table)))
        return
    answers = read_answers(connection, *where)
    for row in connection.execute(select(table).where(*where)).all():
        digest = of_submission(row, answers.get(row.number, ()))
        connection.execute(update(table).filter_by(number=row.number).values(digest=digest))


def seal_all(connection: Connection, tables: Iterable[Table] = TABLES) -> None:
    """Store the digests of all rows; a row that cannot be read stays without one."""
    for table in tables:
        try:
            with connection.begin_nested():
                seal(connection, table)
        except StoreDamaged:
            for number in _numbers(connection, table):
                _seal_if_readable(connection, table, number)


def check(table: Table, rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """The rows. Raises ValueError if one was read with a column `intact` that is not true."""
    for row in rows:
        if not row.intact:
            raise changed(table, row.number)
    return rows


def check_submissions(rows: Iterable[Row[Any]], answers: Answers) -> None:
    """Raises ValueError if a submission or its answers are not what was written."""
    for row in rows:
        if row.digest not in (None, of_submission(row, answers.get(row.number, ()))):
            raise changed(schema.submissions, row.number)


def of_submission(row: Row[Any], answers: Sequence[tuple[Any, ...]]) -> str:
    """The digest of a submission, as if its answers were its first column."""
    mapping = row._mapping
    values = (mapping[name] for name in _SUBMISSION)
    return of_values(("answers", *_SUBMISSION), (answers, *values))


def read_answers(connection: Connection, *where: ColumnElement[bool]) -> Answers:
    """The answers of the submissions that meet all conditions."""
    found: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    number, answers = schema.submissions.c.number, schema.answers.c
    query = (
        select(schema.answers)
        .join(schema.submissions, number == answers.submission_id)
        .where(*where)
        .order_by(number, answers.position)
    )
    for row in connection.execute(query).all():
        found[row[0]].append(row[1:])
    return found


def count_unsealed(connection: Connection) -> int:
    """The number of rows without a digest, which a process of an earlier version wrote."""
    missing = (select(func.count()).where(table.c.digest.is_(None)) for table in TABLES)
    return sum(connection.execute(query).scalar_one() for query in missing)


def seal_rest(connection: Connection) -> None:
    """Store the digests of the rows that have none."""
    for table in TABLES:
        seal(connection, table, table.c.digest.is_(None))


class Verified:
    """Checks the rows of logs, each once, for summaries that do not read them in full.

    Rows of a log never change and their numbers are never used twice, so a row that was intact is
    not checked again. Safe to share between threads.
    """

    def __init__(self) -> None:
        self._checked: dict[str, tuple[int, ...]] = {}  # by run: the last row of each table
        self._lock = threading.Lock()

    def check(self, connection: Connection, run_ids: Sequence[str]) -> None:
        """Raises ValueError if a row of one of the runs is not what was written.

        Args:
            connection: its transaction must not have written anything.
        """
        newest = tuple(connection.execute(select(*map(_newest, _LOG))).one())
        with self._lock:
            checked = [self._checked.get(run_id, (0,) * len(_LOG)) for run_id in run_ids]
        for place, table in enumerate(_LOG):
            last = min((one[place] for one in checked), default=newest[place])
            if last < newest[place]:
                _check_all(connection, table, table.c.run_id.in_(run_ids), table.c.number > last)
        with self._lock:
            self._checked.update(dict.fromkeys(run_ids, newest))


def _newest(table: Table) -> Any:
    return select(func.coalesce(func.max(table.c.number), 0)).scalar_subquery()


def _check_all(connection: Connection, table: Table, *where: ColumnElement[bool]) -> None:
    if table is schema.submissions:
        rows = connection.execute(select(table).where(*where)).all()
        check_submissions(rows, read_answers(connection, *where))
        return
    differs = table.c.digest != of_row(table)  # not true without a digest
    number = connection.scalars(select(table.c.number).where(*where, differs).limit(1)).first()
    if number is not None:
        raise changed(table, number)


def _numbers(connection: Connection, table: Table) -> list[int]:
    """The numbers of all rows, from an index that has no other values; none if it is damaged."""
    name = "run_id" if "run_id" in table.c else "experiment_id"
    try:
        return [number for number, _ in connection.execute(select(table.c.number, table.c[name]))]
    except StoreDamaged:
        return []


def _seal_if_readable(connection: Connection, table: Table, number: int) -> None:
    try:
        with connection.begin_nested():
            seal(connection, table, table.c.number == number)
    except StoreDamaged:
        pass
