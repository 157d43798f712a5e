"""The cheap reads that pages and running fits repeat: a run's directives, pulse and progress.

Each is one SELECT that decodes no event, on a connection that the caller has opened.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, func, select

from dal_core.run.rows import Control, Progress
from dal_core.store.sqlite import schema

_PROGRESS_FIELDS = tuple(field.name for field in fields(Progress))


def read_control(connection: Connection, run_id: str) -> Control:
    """The run's directives and revision in one SELECT."""
    runs = schema.runs.c
    retracted, corrected = (
        select(func.count()).where(table.c.run_id == runs.run_id).scalar_subquery()
        for table in (schema.retractions, schema.corrections)
    )
    revision = (retracted + corrected).label("revision")
    query = select(
        revision, runs.paused, runs.oracle_until, runs.until_labels, runs.until_accuracy
    ).where(runs.run_id == run_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        return Control(0, True, None, None, None, deleted=True)
    return Control(**row._mapping)


def read_pulse(connection: Connection, run_id: str) -> tuple[Any, ...] | None:
    """A value that changes with the run's log and directives; None if there is no run."""
    log = (
        schema.queries,
        schema.submissions,
        schema.retractions,
        schema.corrections,
        schema.steps,
        schema.failures,
    )
    newest = [
        select(func.max(table.c.number)).where(table.c.run_id == run_id).scalar_subquery()
        for table in log
    ]
    retried = select(func.max(schema.failures.c.retried_at)).filter_by(run_id=run_id)
    runs = schema.runs.c
    directives = (runs.oracle_until, runs.paused, runs.until_labels, runs.until_accuracy)
    query = select(*newest, retried.scalar_subquery(), *directives).where(runs.run_id == run_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else tuple(row)


def read_progress(connection: Connection, run_id: str) -> Progress | None:
    """The run's progress; None if nobody has worked on it."""
    row = connection.execute(select(schema.progress).filter_by(run_id=run_id)).one_or_none()
    return None if row is None else to_progress(row)


def to_progress(row: Row[Any]) -> Progress:
    """A row of `progress`, without `message`, a column that only earlier versions used."""
    return Progress(**{name: row._mapping[name] for name in _PROGRESS_FIELDS})
