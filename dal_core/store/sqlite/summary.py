"""Summaries of many runs: what their progress and curves need, with one SELECT per table.

Reading a whole log takes about 10 ms after 100 steps, mostly for rankings and answers that a table
of runs does not show. Here the database counts the answers, and `RunSummary.from_events` computes
the summary.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from dal_core.run.events import Correction, StepResult
from dal_core.run.rows import (
    UNREADABLE,
    DamagedRun,
    Progress,
    RunDamaged,
    RunNotFound,
    RunRow,
    StoreDamaged,
    isolating,
)
from dal_core.run.state import Asked, Model, Place, Tally
from dal_core.run.summary import RunSummary
from dal_core.store.sqlite import polling, reading, schema
from dal_core.store.sqlite.digests import Verified


def read_summaries(
    connection: Connection, run_ids: Sequence[str], verified: Verified
) -> list[RunSummary]:
    """The runs' summaries in the order of the ids; unknown and damaged runs are left out.

    Args:
        verified: which of the rows that are not read here were intact before.
    """
    try:
        return _read_all(connection, run_ids, verified)
    except (StoreDamaged, *UNREADABLE):  # by some run's rows: read each run alone
        if len(run_ids) < 2:
            return []
        each = (read_summaries(connection, [run_id], verified) for run_id in run_ids)
        return [one for some in each for one in some]


def read_damaged(
    connection: Connection, run_ids: Sequence[str], verified: Verified
) -> list[DamagedRun]:
    """Those of the runs that have no summary, each with the reason."""
    return [one for run_id in run_ids for one in _damage(connection, run_id, verified)]


def _damage(connection: Connection, run_id: str, verified: Verified) -> list[DamagedRun]:
    try:
        with isolating(run_id):
            reading.read_run(connection, run_id)
            _read_all(connection, [run_id], verified)
    except RunDamaged as error:
        return [reading.read_damage(connection, run_id, str(error))]
    except RunNotFound:
        pass
    return []


def _read_all(
    connection: Connection, run_ids: Sequence[str], verified: Verified
) -> list[RunSummary]:
    """The summaries of the runs whose rows can be read; raises where another row cannot."""
    verified.check(connection, run_ids)
    runs = {run.run_id: run for run in reading.read_runs(connection, run_ids=run_ids)}
    asked = _asked(connection, run_ids)
    tallies = _tallies(connection, run_ids)
    retracted = _retracted(connection, run_ids)
    corrections, first_labels = _corrections(connection, run_ids)
    steps = _steps(connection, runs)
    ranked = _ranked(connection, run_ids)
    failures = reading.read_failures(connection, run_ids)
    return [
        RunSummary.from_events(
            runs[run_id],
            asked=asked[run_id],
            tallies=tallies[run_id],
            retracted=retracted[run_id],
            steps=steps[run_id],
            corrections=corrections[run_id],
            first_labels=first_labels,
            ranked=ranked[run_id],
            failure=failures.get(run_id),
        )
        for run_id in run_ids
        if run_id in runs
    ]


def read_all_progress(connection: Connection, run_ids: Sequence[str]) -> dict[str, Progress]:
    """Progress by run; runs that nobody has worked on are missing."""
    query = select(schema.progress).where(schema.progress.c.run_id.in_(run_ids))
    return {row.run_id: polling.to_progress(row) for row in connection.execute(query)}


def _asked(connection: Connection, run_ids: Sequence[str]) -> defaultdict[str, list[Asked]]:
    """By run: (query id, after, corrected) of each query, in order."""
    queries = schema.queries.c
    query = select(queries.run_id, queries.query_id, queries.after, queries.corrected)
    query = query.where(queries.run_id.in_(run_ids)).order_by(queries.number)
    found: defaultdict[str, list[Asked]] = defaultdict(list)
    for run_id, *asked in connection.execute(query):
        found[run_id].append((asked[0], asked[1], asked[2]))
    return found


def _tallies(connection: Connection, run_ids: Sequence[str]) -> defaultdict[str, list[Tally]]:
    """By run: its submissions in order, including retracted ones."""
    submissions, answers = schema.submissions.c, schema.answers.c
    n_labels, n_answers = func.count(answers.label), func.count(answers.image_id)
    who = submissions.source, submissions.annotator
    query = (
        select(
            *(submissions.run_id, submissions.number, submissions.query_id, n_labels, n_answers),
            *who,
        )
        .outerjoin(schema.answers, answers.submission_id == submissions.number)
        .where(submissions.run_id.in_(run_ids))
        .group_by(submissions.number)
        .order_by(submissions.number)
    )
    found: defaultdict[str, list[Tally]] = defaultdict(list)
    for run_id, number, query_id, labels, all_answers, *whose in connection.execute(query):
        found[run_id].append(Tally(number, query_id, labels, all_answers - labels, *whose))
    return found


def _retracted(connection: Connection, run_ids: Sequence[str]) -> defaultdict[str, set[int]]:
    """By run: the retracted submissions."""
    retractions = schema.retractions.c
    query = select(retractions.run_id, retractions.submission_id)
    found: defaultdict[str, set[int]] = defaultdict(set)
    for run_id, number in connection.execute(query.where(retractions.run_id.in_(run_ids))):
        found[run_id].add(number)
    return found


def _corrections(
    connection: Connection, run_ids: Sequence[str]
) -> tuple[defaultdict[str, list[Correction]], dict[Place, int | None]]:
    """The corrections by run, in order, and the first label of each corrected answer."""
    corrections, answers = schema.corrections.c, schema.answers.c
    query = (
        select(schema.corrections, answers.label.label("first_label"))
        .join(
            schema.answers,
            (answers.submission_id == corrections.submission_id)
            & (answers.image_id == corrections.image_id),
        )
        .where(corrections.run_id.in_(run_ids))
        .order_by(corrections.number)
    )
    found: defaultdict[str, list[Correction]] = defaultdict(list)
    first_labels = {}
    for row in connection.execute(query):
        found[row.run_id].append(reading.to_correction(row))
        first_labels[row.submission_id, row.image_id] = row.first_label
    return found, first_labels


def _steps(
    connection: Connection, runs: Mapping[str, RunRow]
) -> defaultdict[str, list[StepResult]]:
    """By run: its steps, in order."""
    # The confusion matrix is most of a step's row, and no table of runs shows it.
    columns = [column for column in schema.steps.c if column.name != "confusion"]
    query = select(*columns).where(schema.steps.c.run_id.in_(list(runs)))
    rows: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(query.order_by(schema.steps.c.number)):
        rows[row.run_id].append(row)
    found: defaultdict[str, list[StepResult]] = defaultdict(list)
    for run_id, some in rows.items():
        found[run_id] = reading.to_steps(connection, some, runs[run_id].has_test_set)
    return found


def _ranked(connection: Connection, run_ids: Sequence[str]) -> defaultdict[str, set[Model]]:
    """By run: the models whose ranking is stored."""
    rankings = schema.rankings.c
    query = select(rankings.run_id, rankings.after, rankings.corrected)
    found: defaultdict[str, set[Model]] = defaultdict(set)
    for run_id, after, corrected in connection.execute(query.where(rankings.run_id.in_(run_ids))):
        found[run_id].add((after, corrected))
    return found
