"""A new run that begins with another's history: the rows of a fork, within a transaction.

Owns: what of a run's log is shared and how it is copied. The copy is the fork's own: the origin
may go on, take answers back or be deleted. Answers are copied as they stand, corrections
included; results are left out where they are not what the copied labels and the fork's protocol
give, so those points are gaps or are measured again.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, insert, select

from dal_core.protocol.parameters import SPLIT_PARAMETERS, Protocol
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.run.events import Submission
from dal_core.run.state import RunState
from dal_core.store import reading, schema, writing


def check_fork(log: RunState, after: int, spec: RunSpec) -> None:
    """The spec can go on from that state of the run. Raises ValueError, one line."""
    origin = log.run.spec
    if FULL_DATA in (origin.acquisition, spec.acquisition):
        raise ValueError("the full-data bound asks for nothing, so it cannot be forked")
    if not log.is_state(after):
        raise ValueError(f"after is {after}; allowed: 0 or a submission of run {log.run.run_id}")
    _check_same("the data's fingerprint", origin.fingerprint, spec.fingerprint)
    _check_same("seed", origin.seed, spec.seed)
    for name in SPLIT_PARAMETERS:
        _check_same(name, getattr(origin.protocol, name), getattr(spec.protocol, name))
    n_labelled = log.n_labelled_at(after)
    n_asked = sum(one.submission_id <= after for one in log.submissions)
    if n_labelled >= spec.max_labels or n_asked >= spec.protocol.n_acquisition_steps:
        raise ValueError(
            f"a fork at {n_labelled} labels has nothing left to ask: n_acquisition_steps is "
            f"{spec.protocol.n_acquisition_steps}, which ends at {spec.max_labels} labels; "
            "allowed: a fork before that, or more steps"
        )


def copy_history(connection: Connection, log: RunState, after: int, spec: RunSpec, to: str) -> None:
    """Append what led to the state `after`, and what was measured on the way, to the run `to`."""
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
    _append(connection, schema.queries, row | changes)
    probs = reading.read_probs(connection, query_id)
    if probs is not None:
        connection.execute(insert(schema.query_probs).values(query_id=new_id, npy=probs))
    return new_id


def _copy_answers(connection: Connection, submission: Submission, query_id: str, to: str) -> int:
    query = select(schema.submissions).filter_by(number=submission.submission_id)
    row = dict(connection.execute(query).one()._mapping)
    # Without the nonce: a fork is not the run that whoever sent these answers looks for.
    changes = {"query_id": query_id, "run_id": to, "nonce": ""}
    number = _append(connection, schema.submissions, row | changes)
    answers = [
        {"submission_id": number, "position": position, **vars(answer)}
        for position, answer in enumerate(submission.answers)
    ]
    connection.execute(insert(schema.answers), answers)
    return number


def _append(connection: Connection, table: Any, row: dict[str, Any]) -> int:
    """Insert a row read before under a number of its own; returns the number."""
    del row["number"]
    inserted = connection.execute(insert(table).values(row))
    assert inserted.inserted_primary_key is not None
    return int(inserted.inserted_primary_key[0])


def _measures_alike(one: Protocol, other: Protocol) -> bool:
    """Whether a step under either protocol is the same; how many there are to be is no matter."""
    free = {"n_acquisition_steps", "n_samples_to_acquire", "pool_subset_size", "ties"}
    return all(getattr(one, k) == getattr(other, k) for k in Protocol.model_fields if k not in free)


def _check_same(name: str, origin: Any, fork: Any) -> None:
    if origin != fork:
        raise ValueError(
            f"{name} is {fork!r} in the fork; allowed: {origin!r}, as in the run it begins with"
        )
