"""Continuous mode: the next query, without waiting for a model.

The newest finished model has ranked more images than one query shows. Those that have not been
asked yet form the next query, which opens in the transaction that saves the last answers.
"""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import Connection, Row, select, update

from dal_core.run.events import Query
from dal_core.run.rows import isolating, now
from dal_core.run.state import RunState
from dal_core.run.stop_rules import finished
from dal_core.store.sqlite import digests, reading, schema, writing


def insert_ranking(connection: Connection, run_id: str, query: Query, npy: bytes | None) -> None:
    """Append a model's ranking; only the newest ranking of a run keeps its passes."""
    earlier = update(schema.rankings).filter_by(run_id=run_id)
    connection.execute(earlier.values(npy=None))
    row = {
        "run_id": run_id,
        "n_labelled": query.asked_by,
        "after": query.after,
        "corrected": query.corrected,
        "ranking": [int(image_id) for image_id in query.ranking],
        "scores": [float(score) for score in query.scores],
        "npy": npy,
        "at": now(),
    }
    writing.append(connection, schema.rankings, row)


def open_next(connection: Connection, run_id: str) -> Query | None:
    """Open a query for the best images of the newest ranking that were not asked yet.

    Returns:
        The query. None if a query is open, if the run is over, or if the ranking is used up. A
        ranking of an overtaken model counts as used up once it has less than a batch left, since
        a newer one will follow.
    """
    log = reading.read_log(connection, run_id)
    ranked = _newest(connection, log)
    if log.is_asked or finished(log) or ranked is None:
        return None
    query, places = _remaining(log, ranked)
    matches_current_labels = (ranked.after, ranked.corrected) == (log.after, log.corrected)
    if len(places) < (1 if matches_current_labels else query.batch_size):
        return None
    writing.insert_query(connection, run_id, query, _probs_of(ranked, query, places))
    return query


def _newest(connection: Connection, log: RunState) -> Row[Any] | None:
    """The newest ranking by a model whose labels were not retracted."""
    rankings = schema.rankings
    states = [0, *(one.submission_id for one in log.submissions)]
    query = (
        select(rankings, digests.intact(rankings))
        .where(rankings.c.run_id == log.run.run_id)
        .where(rankings.c.after.in_(states))
        .order_by(rankings.c.number.desc())
        .limit(1)
    )
    with isolating(log.run.run_id):
        found = digests.check(rankings, connection.execute(query).all())
    return found[0] if found else None


def _remaining(log: RunState, ranked: Row[Any]) -> tuple[Query, list[int]]:
    """The next query, and the positions of its images in the model's ranking."""
    gone = {answer.image_id for one in log.submissions for answer in one.answers}
    places = [place for place, image_id in enumerate(ranked.ranking) if image_id not in gone]
    query = Query(
        query_id=uuid.uuid4().hex,
        n_labelled=log.n_labelled,
        asked_by=ranked.n_labelled,
        ranking=tuple(ranked.ranking[place] for place in places),
        scores=tuple(ranked.scores[place] for place in places),
        batch_size=log.run.spec.protocol.n_samples_to_acquire,
        after=log.after,
        corrected=ranked.corrected,
    )
    return query, places


def _probs_of(ranked: Row[Any], query: Query, places: list[int]) -> bytes | None:
    """The packed passes of the images that may be shown, if the ranking has them."""
    if ranked.npy is None:
        return None
    probs = writing.unpack_probs(ranked.npy)  # [T, n, C] of the first n places
    kept = [place for place in places if place < probs.shape[1]][: 2 * query.batch_size]
    return writing.pack_probs(probs[:, kept], len(places)) if kept else None
