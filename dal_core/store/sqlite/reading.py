"""Reading database rows as records, on a connection that the caller has opened."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, or_, select

from dal_core.protocol.parameters import make_protocol
from dal_core.protocol.run_spec import RunSpec
from dal_core.run import rows as run_rows
from dal_core.run import rules
from dal_core.run.environment import Environment
from dal_core.run.events import (
    Answer,
    Confusion,
    Correction,
    Failure,
    Query,
    StepResult,
    Submission,
)
from dal_core.run.rows import (
    UNREADABLE,
    DamagedRun,
    RunDamaged,
    RunNotFound,
    RunRow,
    StoreDamaged,
    isolating,
)
from dal_core.run.state import Model, RunState
from dal_core.store.sqlite import digests, schema

_QUERY_FIELDS = tuple(field.name for field in fields(Query))


def read_run(connection: Connection, run_id: str, known: RunRow | None = None) -> RunRow:
    """The run. Raises RunNotFound, RunDamaged.

    Args:
        known: the run from an earlier read. Its spec is reused, since a spec never changes.
    """
    with isolating(run_id):
        query = select(schema.runs, digests.intact(schema.runs)).filter_by(run_id=run_id)
        row = connection.execute(query).one_or_none()
        if row is not None:
            if row.run_id != run_id:
                raise ValueError(f"its row holds another id, {row.run_id!r}")
            return _to_run(row, known)
    raise RunNotFound(_not_found(connection, run_id))


def check_exists(connection: Connection, run_id: str) -> None:
    """Raises RunNotFound. The run may be damaged."""
    query = select(schema.runs.c.number).filter_by(run_id=run_id)
    if connection.execute(query).one_or_none() is None:
        raise RunNotFound(_not_found(connection, run_id))


def read_runs(
    connection: Connection, *, run_ids: Sequence[str] | None = None, **equal: Any
) -> list[RunRow]:
    """Runs whose columns equal the given values, newest first; only from `run_ids`, if given.

    Damaged runs are left out.
    """
    query = select(schema.runs, digests.intact(schema.runs)).filter_by(**equal)
    query = query.order_by(schema.runs.c.number.desc())
    if run_ids is not None:
        query = query.where(schema.runs.c.run_id.in_(run_ids))
    try:
        return [_to_run(row) for row in connection.execute(query)]
    except (StoreDamaged, *UNREADABLE):
        known = set(run_ids or ())
        each = [one for one in read_run_ids(connection) if run_ids is None or one in known]
        return [run for one in each for run in _read_if_intact(connection, one, equal)]


def read_run_ids(connection: Connection) -> list[str]:
    """Ids of all runs, newest first, damaged ones too: an index holds them beside the rows."""
    query = select(schema.runs.c.number, schema.runs.c.run_id)  # in the index alone
    return [run_id for _, run_id in sorted(map(tuple, connection.execute(query)), reverse=True)]


def _read_if_intact(connection: Connection, run_id: str, equal: dict[str, Any]) -> list[RunRow]:
    try:
        run = read_run(connection, run_id)
    except (RunDamaged, RunNotFound):
        return []
    found = select(schema.runs.c.number).filter_by(run_id=run_id, **equal)
    return [run] if connection.execute(found).one_or_none() else []


def read_damage(connection: Connection, run_id: str, why: str) -> DamagedRun:
    """A damaged run, with as much of its title and time as can be read."""
    known = []
    for column in (schema.runs.c.title, schema.runs.c.created_at):
        try:
            text = connection.execute(select(column).filter_by(run_id=run_id)).scalar_one_or_none()
        except (StoreDamaged, *UNREADABLE):
            text = None
        known.append(text if isinstance(text, str) else "")
    title, created_at = known
    return DamagedRun(run_id, title, created_at, why)


def why_read_only(connection: Connection, run: RunRow) -> str | None:
    """Why people may not change the run, in one line; None if they may."""
    query = select(schema.experiment_runs.c.experiment_id).filter_by(run_id=run.run_id)
    return run_rows.why_read_only(run, connection.scalars(query).all())


def has_person(connection: Connection, run_id: str) -> bool:
    """Whether a person has ever answered or corrected in this run."""
    answered = select(schema.submissions.c.number).filter_by(run_id=run_id, source="person")
    corrected = select(schema.corrections.c.number).filter_by(run_id=run_id)
    query = select(or_(answered.exists(), corrected.exists()))
    return bool(connection.execute(query).scalar_one())


def find_submitted(connection: Connection, nonce: str) -> str | None:
    """Id of the newest run that has a submission with this nonce, or None."""
    submissions = schema.submissions.c
    query = select(submissions.run_id).where(submissions.nonce == nonce)
    return connection.scalars(query.order_by(submissions.number.desc()).limit(1)).first()


@dataclass(frozen=True)
class LogRows:
    """The events of a run as they were written, in order.

    Attributes:
        last_query, last_step, last_ranking: numbers of the last rows of these kinds; 0 if there
            are none.
        retracted, ranked, failure: as for `RunState.from_events`.
    """

    run: RunRow
    queries: tuple[Query, ...] = ()
    submissions: tuple[Submission, ...] = ()
    steps: tuple[StepResult, ...] = ()
    corrections: tuple[Correction, ...] = ()
    last_query: int = 0
    last_step: int = 0
    last_ranking: int = 0
    retracted: frozenset[int] = frozenset()
    ranked: frozenset[Model] = frozenset()
    failure: Failure | None = None

    def state(self) -> RunState:
        """The state computed from the events. Raises RunDamaged if they do not fit together."""
        with isolating(self.run.run_id):
            return RunState.from_events(
                self.run,
                queries=self.queries,
                submissions=self.submissions,
                retracted=self.retracted,
                steps=self.steps,
                corrections=self.corrections,
                ranked=self.ranked,
                failure=self.failure,
            )


def read_log(connection: Connection, run_id: str) -> RunState:
    """The state of the run. Raises RunNotFound, RunDamaged."""
    return read_rows(connection, run_id).state()


def read_rows(connection: Connection, run_id: str, known: LogRows | None = None) -> LogRows:
    """All rows of the run's log. Raises RunNotFound, RunDamaged.

    Args:
        known: the rows of an earlier read, from a snapshot no newer than this one. Only rows
            added since are read.
    """
    with isolating(run_id):
        return _read_rows(connection, run_id, known)


def _read_rows(connection: Connection, run_id: str, known: LogRows | None) -> LogRows:
    run = read_run(connection, run_id, known.run if known else None)
    if known is None or known.run.created_at != run.created_at:
        known = LogRows(run)
    queries = _added(connection, schema.queries, run_id, known.last_query)
    steps = _added(connection, schema.steps, run_id, known.last_step)
    answered = known.submissions[-1].submission_id if known.submissions else 0
    corrected = known.corrections[-1].correction_id if known.corrections else 0
    submissions = schema.submissions.c
    rankings = _added_rankings(connection, run_id, known.last_ranking)
    retracted = _added(connection, schema.retractions, run_id, 0)
    new = read_submissions(connection, submissions.run_id == run_id, submissions.number > answered)
    for one in new:
        rules.clean_answers(one.answers, run.n_classes)
    return LogRows(
        run=run,
        queries=(*known.queries, *(_to_query(row) for row in queries)),
        submissions=(*known.submissions, *new),
        steps=(*known.steps, *to_steps(connection, steps, run.has_test_set)),
        corrections=(*known.corrections, *read_corrections(connection, run_id, corrected)),
        last_query=queries[-1].number if queries else known.last_query,
        last_step=steps[-1].number if steps else known.last_step,
        last_ranking=rankings[-1].number if rankings else known.last_ranking,
        retracted=frozenset(row.submission_id for row in retracted),
        ranked=known.ranked | {(row.after, row.corrected) for row in rankings},
        failure=read_failures(connection, [run_id]).get(run_id),
    )


def read_failures(connection: Connection, run_ids: Sequence[str]) -> dict[str, Failure]:
    """The newest failure of each run, cleared or not; runs that never failed are missing."""
    failures = schema.failures.c
    query = select(schema.failures).where(failures.run_id.in_(run_ids)).order_by(failures.number)
    return {
        row.run_id: Failure(row.reason, row.at, row.n_changes, row.retried_at is not None)
        for row in connection.execute(query)
    }


def read_corrections(connection: Connection, run_id: str, last: int = 0) -> list[Correction]:
    """All corrections with a number above `last`, in order; `RunState` fills in `before`."""
    return [to_correction(row) for row in _added(connection, schema.corrections, run_id, last)]


def to_correction(row: Row[Any]) -> Correction:
    """A row of `corrections`, without the label it replaced."""
    return Correction(
        row.number, row.submission_id, row.image_id, row.label, None, row.annotator, row.at
    )


def _added_rankings(connection: Connection, run_id: str, last: int) -> Sequence[Row[Any]]:
    """As `_added`, with the models of the rankings alone."""
    table, rankings = schema.rankings, schema.rankings.c
    columns = rankings.number, rankings.after, rankings.corrected
    query = select(*columns, digests.intact(table)).order_by(rankings.number)
    query = query.where(rankings.run_id == run_id, rankings.number > last)
    return digests.check(table, connection.execute(query).all())


def read_query(connection: Connection, query_id: str) -> tuple[str, Query] | None:
    """The run's id and the query; None if there is no such query. Raises RunDamaged."""
    table = schema.queries
    query = select(table, digests.intact(table)).filter_by(query_id=query_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    with isolating(row.run_id):
        digests.check(table, [row])
        return row.run_id, _to_query(row)


def read_submissions(connection: Connection, *where: ColumnElement[bool]) -> list[Submission]:
    """The submissions that meet all conditions, in order, including retracted ones."""
    answers = digests.read_answers(connection, *where)
    query = select(schema.submissions).where(*where).order_by(schema.submissions.c.number)
    rows = connection.execute(query).all()
    digests.check_submissions(rows, answers)
    return [
        Submission(
            submission_id=row.number,
            query_id=row.query_id,
            annotator=row.annotator,
            source=row.source,
            at=row.at,
            answers=tuple(Answer(*given) for _, *given in answers.get(row.number, ())),
        )
        for row in rows
    ]


def read_submission(connection: Connection, run_id: str, query_id: str) -> Submission | None:
    """The one submission of a query, even if it was retracted; None if there is none.

    Raises RunDamaged.
    """
    with isolating(run_id):
        stored = read_submissions(connection, schema.submissions.c.query_id == query_id)
    return stored[0] if stored else None


def read_nonce(connection: Connection, submission_id: int) -> str:
    """The nonce of a submission; empty if it had none."""
    query = select(schema.submissions.c.nonce).filter_by(number=submission_id)
    return connection.execute(query).scalar_one()


def read_probs(connection: Connection, query_id: str) -> bytes | None:
    """The query's packed passes; None if it has none."""
    query = select(schema.query_probs.c.npy).where(schema.query_probs.c.query_id == query_id)
    return connection.execute(query).scalar_one_or_none()


def _to_run(row: Row[Any], known: RunRow | None = None) -> RunRow:
    """Raises ProtocolError if the stored protocol or function is not valid."""
    values = dict(row._mapping)
    for name in ("number", "digest", "intact"):
        del values[name]
    names = ("fingerprint", "protocol", "acquisition", "seed", "noise")
    fingerprint, protocol, acquisition, seed, noise = (values.pop(name) for name in names)
    if known is not None and known.created_at == row.created_at:
        spec = known.spec
    else:
        spec = RunSpec(fingerprint, make_protocol(protocol), acquisition, seed, noise)
    digests.check(schema.runs, [row])  # last: a parameter that is not valid says more
    return RunRow(spec=spec, **values)


def _to_query(row: Row[Any]) -> Query:
    values = {name: row._mapping[name] for name in _QUERY_FIELDS}
    values["ranking"] = tuple(values["ranking"])
    values["scores"] = tuple(values["scores"])
    query = Query(**values)
    rules.check_query(query)
    return query


def to_steps(
    connection: Connection, rows: Sequence[Row[Any]], has_test_set: bool
) -> list[StepResult]:
    """Rows of `steps`, in order, each with the environment it was computed in."""
    wanted = {row.environment for row in rows} - {None}
    environments = read_environments(connection, wanted) if wanted else {}
    return [_to_step(row, has_test_set, environments.get(row.environment)) for row in rows]


def read_environments(
    connection: Connection, numbers: Collection[int]
) -> dict[int | None, Environment]:
    """Environments by the number of their row; unknown numbers are missing."""
    query = select(schema.environments).where(schema.environments.c.number.in_(numbers))
    found: dict[int | None, Environment] = {}
    for row in connection.execute(query):
        if row.digest != digests.of_environment(row.facts):
            raise digests.changed(schema.environments, row.number)
        found[row.number] = Environment.from_facts(row.facts)
    return found


def _to_step(row: Row[Any], has_test_set: bool, environment: Environment | None) -> StepResult:
    """A row of `steps`.

    SQLite stores NaN as NULL, which becomes NaN again; without a test set, NULL is None.
    """
    step = StepResult(
        step=row.step,
        n_labelled=row.n_labelled,
        accuracy=_number(row.accuracy) if has_test_set else None,
        mutual_information=_number(row.mutual_information) if has_test_set else None,
        train_loss=_number(row.train_loss),
        val_loss=row.val_loss,
        best_epoch=row.best_epoch,
        seconds=row.seconds,
        after=row.after,
        corrected=row.corrected,
        confusion=_confusion(getattr(row, "confusion", None)),  # a summary leaves it out
        environment=environment,
        nll=row.nll,
        brier=row.brier,
        ece=row.ece,
    )
    rules.check_step(step)
    return step


def _confusion(counts: list[list[int]] | None) -> Confusion | None:
    return None if counts is None else tuple(tuple(row) for row in counts)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _added(connection: Connection, table: Table, run_id: str, last: int) -> Sequence[Row[Any]]:
    """Rows of the run with a number above `last`, in order, each of them intact."""
    number = table.c.number
    query = select(table, digests.intact(table))
    query = query.where(table.c.run_id == run_id, number > last).order_by(number)
    return digests.check(table, connection.execute(query).all())


def _not_found(connection: Connection, run_id: str) -> str:
    known: Sequence[str] = list(connection.scalars(select(schema.runs.c.run_id)))
    close = difflib.get_close_matches(str(run_id), known, n=3)
    if not known:
        return f"run {run_id!r} does not exist; no run is stored here yet"
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    return f"run {run_id!r} does not exist; {meant}`dal runs` lists all {len(known)}"
