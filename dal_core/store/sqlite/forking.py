"""The rows of a fork: a copy of a run's log up to a submission (docs/method.md, section 14).

Answers are copied with their corrections. A result is left out if the copied labels and the fork's
protocol would give a different one; such points are gaps or are measured again.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, insert, select

from dal_core.protocol.parameters import Protocol
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import Submission
from dal_core.run.state import RunState
from dal_core.store.sqlite import reading, schema, writing


def copy_history(connection: Connection, log: RunState, after: int, spec: RunSpec, to: str) -> None:
    """Copy the events up to the state `after`, and the results up to there, to the run `to`."""
    shared = [one for one in log.submissions if one.submission_id <= after]
    numbers = {0: 0}
    for submission in shared:
        query_id = _copy_query(connection, submission.query_id, to, numbers)
        numbers[submission.submission_id] = _copy_answers(connection, submission, query_id, to)
    same = _measures_alike(log.run.spec.protocol, spec.protocol)
    for step in log.steps:
        kept = step.after in numbers and not log.is_before_correction(step)
        if kept and (same or step.after != after):
            copied = replace(step, after=numbers[step.after], corrected=0)
            writing.insert_step(connection, to, copied)


def _copy_query(connection: Connection, query_id: str, to: str, numbers: dict[int, int]) -> str:
    query = select(schema.queries).filter_by(query_id=query_id)
    row = dict(connection.execute(query).one()._mapping)
    new_id = uuid.uuid4().hex
    changes = {"query_id": new_id, "run_id": to, "after": numbers[row["after"]], "corrected": 0}
    writing.append(connection, schema.queries, _copied(row) | changes)
    probs = reading.read_probs(connection, query_id)
    if probs is not None:
        connection.execute(insert(schema.query_probs).values(query_id=new_id, npy=probs))
    return new_id


def _copy_answers(connection: Connection, submission: Submission, query_id: str, to: str) -> int:
    query = select(schema.submissions).filter_by(number=submission.submission_id)
    row = dict(connection.execute(query).one()._mapping)
    # Without the nonce, so that `find_submitted` finds the origin and not its fork.
    changes = {"query_id": query_id, "run_id": to, "nonce": ""}
    return writing.insert_submission(connection, _copied(row) | changes, submission.answers)


def _copied(row: dict[str, Any]) -> dict[str, Any]:
    """The values of a stored row that a copy shares."""
    return {name: value for name, value in row.items() if name not in ("number", "digest")}


def _measures_alike(one: Protocol, other: Protocol) -> bool:
    """Whether both protocols give the same measurements; the number of steps may differ."""
    free = {"n_acquisition_steps", "n_samples_to_acquire", "pool_subset_size", "ties"}
    return all(getattr(one, k) == getattr(other, k) for k in Protocol.model_fields if k not in free)
