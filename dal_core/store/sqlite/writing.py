"""Writing records as database rows, in a transaction that the caller has opened."""

from __future__ import annotations

import io
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, func, insert, select, update
from sqlalchemy.dialects import sqlite

from dal_core.limits.npy import read_array
from dal_core.run.environment import Environment
from dal_core.run.events import Answer, AnsweredBatch, Query, StepResult
from dal_core.run.rows import Progress, RunRow, now
from dal_core.store.sqlite import digests, schema

_MEASURES = (
    *("accuracy", "mutual_information", "train_loss", "val_loss"),
    *("nll", "brier", "ece"),
)


def append(connection: Connection, table: Table, row: Mapping[str, Any]) -> int:
    """Insert a row of a table with digests, and seal it; returns its number."""
    inserted = connection.execute(insert(table).values(row))
    assert inserted.inserted_primary_key is not None
    number = int(inserted.inserted_primary_key[0])
    digests.seal(connection, table, table.c.number == number)
    return number


def insert_run(connection: Connection, run: RunRow) -> None:
    """Append the run; its spec takes five columns."""
    row = {name: getattr(run, name) for name in run.__dataclass_fields__}
    spec = row.pop("spec")
    row |= {
        "fingerprint": spec.fingerprint,
        "protocol": spec.protocol.model_dump(mode="json"),
        "acquisition": spec.acquisition,
        "seed": spec.seed,
        "noise": float(spec.noise),
    }
    append(connection, schema.runs, row)


def insert_query(connection: Connection, run_id: str, query: Query, npy: bytes | None) -> None:
    """Append the query, and its packed passes if there are any."""
    row = {
        **asdict(query),
        "ranking": [int(image_id) for image_id in query.ranking],
        "scores": [float(score) for score in query.scores],
        "run_id": run_id,
        "at": now(),
    }
    append(connection, schema.queries, row)
    if npy is not None:
        connection.execute(insert(schema.query_probs).values(query_id=query.query_id, npy=npy))


def insert_submission(
    connection: Connection, row: dict[str, Any], answers: Sequence[Answer]
) -> int:
    """Append a submission and its answers; returns its number.

    Args:
        row: the columns of the submission except its number; without `at`, the time is now.
    """
    values = {**row, "at": row.get("at") or now()}
    inserted = connection.execute(insert(schema.submissions).values(values))
    assert inserted.inserted_primary_key is not None
    number = int(inserted.inserted_primary_key[0])
    rows = [
        {"submission_id": number, "position": position, **asdict(answer)}
        for position, answer in enumerate(answers)
    ]
    connection.execute(insert(schema.answers), rows)
    digests.seal(connection, schema.submissions, schema.submissions.c.number == number)
    return number


def insert_retraction(connection: Connection, run_id: str, submission_id: int) -> None:
    """Append a retraction of the submission."""
    row = {"submission_id": submission_id, "run_id": run_id, "at": now()}
    append(connection, schema.retractions, row)


def insert_batches(
    connection: Connection, run: RunRow, batches: Sequence[AnsweredBatch], nonce: str
) -> None:
    """Append batches of answers from a label file, each with a query of its own."""
    n_labelled, after = run.n_initial, 0
    for batch in batches:
        n_labels = sum(answer.label is not None for answer in batch.answers)
        ranking = tuple(answer.image_id for answer in batch.answers)
        scores = (0.0,) * len(ranking)  # not known
        query_id = uuid.uuid4().hex
        query = Query(query_id, n_labelled, n_labelled, ranking, scores, max(1, n_labels), after)
        insert_query(connection, run.run_id, query, None)
        row = {"run_id": run.run_id, "query_id": query_id, "nonce": nonce, "at": batch.at}
        row |= {"annotator": batch.annotator, "source": batch.source}
        after = insert_submission(connection, row, batch.answers)
        n_labelled += n_labels


def insert_correction(connection: Connection, run_id: str, row: dict[str, Any]) -> int:
    """Append a correction; returns its number.

    Args:
        row: the columns of the correction except its number, run and time.
    """
    return append(connection, schema.corrections, {**row, "run_id": run_id, "at": now()})


def insert_step(connection: Connection, run_id: str, result: StepResult) -> None:
    """Append the result of a step."""
    measures = {name: getattr(result, name) for name in _MEASURES}
    row = {
        **asdict(result),
        **{name: None if value is None else float(value) for name, value in measures.items()},
        "seconds": {part: float(value) for part, value in result.seconds.items()},
        "environment": _environment(connection, result.environment),
        "run_id": run_id,
        "at": now(),
    }
    append(connection, schema.steps, row)


def _environment(connection: Connection, environment: Environment | None) -> int | None:
    """The number of the environment's row, which is appended if there is none."""
    if environment is None:
        return None
    facts = environment.facts()
    digest = digests.of_environment(facts)
    number = select(schema.environments.c.number).filter_by(digest=digest)
    known = connection.scalars(number).one_or_none()
    if known is not None:
        return known
    connection.execute(insert(schema.environments).values(digest=digest, facts=facts))
    return int(connection.scalars(number).one())


def insert_failure(connection: Connection, run_id: str, reason: str, at: str | None = None) -> None:
    """Append a failure of work on the run in its present state, at the time `at` or now."""
    events = (schema.submissions, schema.retractions, schema.corrections)
    counts = [select(func.count()).select_from(t).filter_by(run_id=run_id) for t in events]
    n_changes = sum(connection.execute(count).scalar_one() for count in counts)
    row = {"run_id": run_id, "reason": reason, "n_changes": n_changes, "at": at or now()}
    connection.execute(insert(schema.failures).values(row))


def clear_failures(connection: Connection, run_id: str) -> None:
    """Mark the run's failures as retried."""
    open_ones = update(schema.failures).filter_by(run_id=run_id, retried_at=None)
    connection.execute(open_ones.values(retried_at=now()))


def replace_progress(connection: Connection, run_id: str, progress: Progress) -> None:
    """Replace the run's one row of progress."""
    values = {**asdict(progress), "message": ""}
    upsert = sqlite.insert(schema.progress).values(run_id=run_id, **values)
    connection.execute(upsert.on_conflict_do_update(index_elements=["run_id"], set_=values))


def pack_probs(probs: np.ndarray, n_ranked: int) -> bytes:
    """[T, n, C] as the bytes of a .npy file. Raises ValueError for another shape."""
    if probs.ndim != 3 or not 1 <= probs.shape[1] <= n_ranked:
        raise ValueError(f"probs has shape {probs.shape}; allowed: [T, n, C] with n <= {n_ranked}")
    buffer = io.BytesIO()
    np.save(buffer, probs.astype(np.float32), allow_pickle=False)
    return buffer.getvalue()


def unpack_probs(npy: bytes) -> np.ndarray:
    """The inverse of `pack_probs`. Raises ValueError if the bytes are damaged."""
    return read_array(npy)
