"""Many runs at a glance: what their progress and their curves need, in one query per table.

A run's whole log costs some 10 ms after 100 steps, nearly all of it for rankings that a table of
runs never shows; fifteen runs that are looked at every second cannot pay that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, Table, func, select

from dal_core.run.rows import Progress
from dal_core.run.state import Model, RunSummary, valid_steps
from dal_core.store import reading, schema


def read_summaries(connection: Connection, run_ids: Sequence[str]) -> list[RunSummary]:
    """The runs' summaries in the order of the ids; ids that no run has are left out."""
    runs = {run.run_id: run for run in reading.read_runs(connection, run_ids=run_ids)}
    given = _given(connection, run_ids)
    retracted = _count(connection, schema.retractions, run_ids)
    n_corrections = _count(connection, schema.corrections, run_ids)
    corrections = _corrections(connection, run_ids)
    ranked = _ranked(connection, run_ids)
    unanswered = _unanswered(connection, run_ids)
    steps = defaultdict(list)
    # The counts of mistakes are most of a step's row, and no table of runs shows them.
    columns = [column for column in schema.steps.c if column.name != "confusion"]
    query = select(*columns).where(schema.steps.c.run_id.in_(run_ids))
    for row in connection.execute(query.order_by(schema.steps.c.number)):
        steps[row.run_id].append(reading.to_step(row, runs[row.run_id].has_test_set))
    summaries = []
    for run_id in (run_id for run_id in run_ids if run_id in runs):
        active = given[run_id]
        after = max(active, default=0)
        corrected, more = corrections.get(run_id, (0, 0))
        labels = more + sum(n_labels for n_labels, _ in active.values())
        skipped = sum(n_skipped for _, n_skipped in active.values()) - more
        summaries.append(
            RunSummary(
                run=runs[run_id],
                steps=valid_steps(steps[run_id], {0, *active}),
                n_labelled=runs[run_id].n_initial + labels,
                n_skipped=skipped,
                n_submissions=len(active),
                is_asked=after in unanswered[run_id],
                after=after,
                revision=retracted.get(run_id, 0) + n_corrections.get(run_id, 0),
                corrected=corrected,
                is_ranked=(after, corrected) in ranked[run_id],
            )
        )
    return summaries


def read_all_progress(connection: Connection, run_ids: Sequence[str]) -> dict[str, Progress]:
    """Progress by run; runs that nobody has worked on are missing."""
    query = select(schema.progress).where(schema.progress.c.run_id.in_(run_ids))
    found = {}
    for row in connection.execute(query):
        values = dict(row._mapping)
        run_id = values.pop("run_id")
        found[run_id] = Progress(**values)
    return found


def _given(
    connection: Connection, run_ids: Sequence[str]
) -> defaultdict[str, dict[int, tuple[int, int]]]:
    """By run: (labels, skipped images) of each submission that is not retracted."""
    submissions, answers = schema.submissions.c, schema.answers.c
    query = (
        select(
            submissions.run_id,
            submissions.number,
            func.count(answers.label).label("labels"),
            func.count().label("answers"),
        )
        .join(schema.answers, answers.submission_id == submissions.number)
        .where(submissions.run_id.in_(run_ids))
        .where(submissions.number.not_in(select(schema.retractions.c.submission_id)))
        .group_by(submissions.number)
    )
    given: defaultdict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    for row in connection.execute(query):
        given[row.run_id][row.number] = (row.labels, row.answers - row.labels)
    return given


def _count(connection: Connection, table: Table, run_ids: Sequence[str]) -> dict[str, int]:
    """Rows by run; runs without any are missing."""
    run_id = table.c.run_id
    query = select(run_id, func.count()).where(run_id.in_(run_ids)).group_by(run_id)
    return {one: n for one, n in connection.execute(query)}


def _corrections(connection: Connection, run_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """By run: id of the newest correction that counts, and how many labels they add in all."""
    corrections, answers = schema.corrections.c, schema.answers.c
    query = (
        select(corrections.run_id, corrections.number, corrections.image_id, corrections.label)
        .add_columns(answers.label.label("original"))
        .join(
            schema.answers,
            (answers.submission_id == corrections.submission_id)
            & (answers.image_id == corrections.image_id),
        )
        .where(corrections.run_id.in_(run_ids))
        .where(corrections.submission_id.not_in(select(schema.retractions.c.submission_id)))
        .order_by(corrections.number)
    )
    newest: defaultdict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    for row in connection.execute(query):
        more = (row.label is not None) - (row.original is not None)
        newest[row.run_id][row.image_id] = (row.number, more)
    return {
        run_id: (
            max(number for number, _ in by_image.values()),
            sum(n for _, n in by_image.values()),
        )
        for run_id, by_image in newest.items()
    }


def _ranked(connection: Connection, run_ids: Sequence[str]) -> defaultdict[str, set[Model]]:
    """By run: the models whose ranking is stored."""
    rankings = schema.rankings.c
    query = select(rankings.run_id, rankings.after, rankings.corrected)
    found: defaultdict[str, set[Model]] = defaultdict(set)
    for run_id, after, corrected in connection.execute(query.where(rankings.run_id.in_(run_ids))):
        found[run_id].add((after, corrected))
    return found


def _unanswered(connection: Connection, run_ids: Sequence[str]) -> defaultdict[str, set[int]]:
    """By run: the states in which a query was asked that nobody has answered."""
    queries = schema.queries.c
    answered = select(schema.submissions.c.query_id).where(schema.submissions.c.run_id.in_(run_ids))
    query = (
        select(queries.run_id, queries.after)
        .where(queries.run_id.in_(run_ids))
        .where(queries.query_id.not_in(answered))
    )
    found: defaultdict[str, set[int]] = defaultdict(set)
    for run_id, after in connection.execute(query):
        found[run_id].add(after)
    return found
