"""The tables whose rows have digests: sealing what was written, and checking what is read.

The digest of a submission also covers its answers.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, func, select, update

from dal_core.run.rows import StoreDamaged
from dal_core.store.sqlite import digests, schema

TABLES = (
    *(schema.runs, schema.queries, schema.submissions, schema.retractions),
    *(schema.corrections, schema.rankings, schema.steps, schema.experiments),
)
_LOG = tuple(table for table in TABLES if table not in (schema.runs, schema.experiments))

Answers = Mapping[int, Sequence[tuple[Any, ...]]]
"""By submission: (position, image id, label, seconds) of its answers in order, as stored."""


def seal(connection: Connection, table: Table, *where: ColumnElement[bool]) -> None:
    """Store the digests of the rows that meet all conditions, which were just written."""
    if table is not schema.submissions:
        connection.execute(update(table).where(*where).values(digest=digests.of_row(table)))
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
            raise digests.changed(table, row.number)
    return rows


def check_submissions(rows: Iterable[Row[Any]], answers: Answers) -> None:
    """Raises ValueError if a submission or its answers are not what was written."""
    for row in rows:
        if row.digest not in (None, of_submission(row, answers.get(row.number, ()))):
            raise digests.changed(schema.submissions, row.number)


def of_submission(row: Row[Any], answers: Sequence[tuple[Any, ...]]) -> str:
    """The digest of a submission, as if its answers were its first column."""
    mapping = row._mapping
    values = (mapping[name] for name in _SUBMISSION)
    return digests.of_values(("answers", *_SUBMISSION), (answers, *values))


_SUBMISSION = digests.covered(schema.submissions)


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
    differs = table.c.digest != digests.of_row(table)  # not true without a digest
    number = connection.scalars(select(table.c.number).where(*where, differs).limit(1)).first()
    if number is not None:
        raise digests.changed(table, number)


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
