"""The store: one SQLite file for all runs of a home, written by the pages, the command line and
the workers at once.

Owns: which rows are written together, and that what was reported as saved is on the disk.
Does not own: what a log means (`log`), who works on a run (`dal_core.locks`), and the files in
a run's folder, which it only removes together with the run.
"""

from __future__ import annotations

import io
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from dal_core.locks import run_dir, run_lock
from dal_core.protocol import RunSpec
from dal_core.records import Answer, Query, StepResult, Submission
from dal_core.store import checks, reading, schema
from dal_core.store.log import RunLog
from dal_core.store.rows import (
    AnswerError,
    Control,
    Directives,
    Kind,
    NothingToUndo,
    Progress,
    RunRow,
    StoreError,
    SubmitOutcome,
    now,
)
from dal_core.store.versions import current_versions

UNSET: Any = object()  # a directive that is left as it is; None has a meaning of its own


class Store:
    """The runs of a home. Safe to share between threads; a process opens its own.

    Args:
        home: folder of `dal.db` and of the runs' folders.
        create: make what is missing; otherwise a missing home is an error, nothing is written.

    Raises:
        StoreError: no store there, of a newer version, or unreadable; one line.
    """

    def __init__(self, home: Path, create: bool = True) -> None:
        self.home = Path(home)
        path = self.home / schema.DATABASE_FILE
        if create:
            _make_folder(self.home)
        elif not path.is_file():
            raise StoreError(f"{self.home} holds no runs (there is no {schema.DATABASE_FILE})")
        self._reading = schema.make_engine(path, "FULL")
        schema.prepare(self._reading, path, create)
        self._writing = self._reading.execution_options(begin="BEGIN IMMEDIATE")
        # NORMAL leaves the file sound and, in WAL mode, does not wait for the disk at a commit:
        # a power cut may cost the latest progress, never an answer.
        self._hurried = schema.make_engine(path, "NORMAL").execution_options(
            begin="BEGIN IMMEDIATE"
        )

    def close(self) -> None:
        """Close all connections; the store opens new ones when it is used again."""
        self._reading.dispose()
        self._hurried.dispose()

    # Runs

    def create_run(
        self,
        spec: RunSpec,
        *,
        title: str = "",
        kind: Kind = "oracle",
        baseline: bool = False,
        n_initial: int,
        split_sizes: Mapping[str, int],
        until_labels: int | None = None,
        until_accuracy: float | None = None,
    ) -> RunRow:
        """A new run without queries. Raises ValueError for a stop rule out of range."""
        directives = Directives(until_labels=until_labels, until_accuracy=until_accuracy)
        checks.check_directives(asdict(directives))
        run = RunRow(
            run_id=f"{spec.acquisition.replace('_', '-')}-s{spec.seed}-{uuid.uuid4().hex[:6]}",
            title=title,
            kind=kind,
            baseline=baseline,
            spec=spec,
            n_initial=n_initial,
            split_sizes=dict(split_sizes),
            versions=current_versions(),
            created_at=now(),
            directives=directives,
        )
        with self._writing.begin() as connection:
            connection.execute(insert(schema.runs).values(_run_values(run)))
        return run

    def run(self, run_id: str) -> RunRow:
        """Raises RunNotFound (a ValueError), naming ids that look alike."""
        with self._reading.connect() as connection:
            return reading.read_run(connection, run_id)

    def runs(self) -> list[RunRow]:
        """All runs, newest first."""
        with self._reading.connect() as connection:
            return reading.read_runs(connection)

    def find_oracle_run(self, spec: RunSpec) -> RunRow | None:
        """The oldest run of this spec that only the oracle ever answered, or None."""
        with self._reading.connect() as connection:
            alike = reading.read_runs(
                connection,
                kind="oracle",
                fingerprint=spec.fingerprint,
                acquisition=spec.acquisition,
                seed=spec.seed,
            )
            for run in reversed(alike):
                if run.spec == spec and not reading.has_person(connection, run.run_id):
                    return run
        return None

    def delete_run(self, run_id: str) -> None:
        """Remove the run's rows, then its folder. Raises RunNotFound, or RunBusy while locked."""
        self.run(run_id)
        with run_lock(self.home, run_id):
            with self._writing.begin() as connection:
                connection.execute(delete(schema.runs).filter_by(run_id=run_id))
            shutil.rmtree(run_dir(self.home, run_id), ignore_errors=True)

    def set_directives(
        self,
        run_id: str,
        *,
        oracle_until: int | None = UNSET,
        paused: bool = UNSET,
        until_labels: int | None = UNSET,
        until_accuracy: float | None = UNSET,
    ) -> None:
        """Change the given directives only. Raises RunNotFound, or ValueError out of range."""
        given = {
            "oracle_until": oracle_until,
            "paused": paused,
            "until_labels": until_labels,
            "until_accuracy": until_accuracy,
        }
        values = {name: value for name, value in given.items() if value is not UNSET}
        checks.check_directives(values)
        with self._writing.begin() as connection:
            reading.read_run(connection, run_id)
            if values:
                connection.execute(update(schema.runs).filter_by(run_id=run_id).values(values))

    # Log

    def log(self, run_id: str) -> RunLog:
        """The run's state, replayed from one snapshot of its log. Raises RunNotFound."""
        with self._reading.connect() as connection:
            return reading.read_log(connection, run_id)

    def add_query(self, run_id: str, query: Query, probs: np.ndarray | None) -> bool:
        """Ask `query`; its id must be new.

        Args:
            probs: [T, n, C] softmax outputs for the first n images of the ranking (float32 is
                kept), or None, so that "why this image" answers after a restart.

        Returns:
            False, and nothing written, when the model's training set is no longer the run's
            state, or another query for this state is already open: whoever sees that one may
            be about to answer it.

        Raises:
            RunNotFound: no such run.
            ValueError: the query contradicts its run, or probs its ranking.
        """
        kept = None if probs is None else _pack(probs, len(query.ranking))
        with self._writing.begin() as connection:
            log = reading.read_log(connection, run_id)
            if query.after != log.after or log.open_query is not None:
                return False
            checks.check_query(log, query)
            _insert_query(connection, run_id, query, kept)
            return True

    def shown_probs(self, query_id: str) -> np.ndarray | None:
        """The float32 [T, n, C] given with the query; None when none were."""
        with self._reading.connect() as connection:
            packed = _read_probs(connection, query_id)
        return None if packed is None else np.load(io.BytesIO(packed), allow_pickle=False)

    def add_step(self, run_id: str, result: StepResult) -> bool:
        """Record what was measured; False, and nothing written, for a retracted state.

        Raises:
            RunNotFound: no such run.
            ValueError: the state has another number of labels.
        """
        with self._writing.begin() as connection:
            log = reading.read_log(connection, run_id)
            if not log.is_state(result.after):
                return False
            checks.check_step(log, result)
            connection.execute(insert(schema.steps).values(_step_values(run_id, result)))
            return True

    def submit(
        self,
        query_id: str,
        answers: Sequence[Answer],
        *,
        annotator: str,
        source: str,
        nonce: str = "",
    ) -> SubmitOutcome:
        """Give all answers to a query; when this returns "saved" they are on the disk.

        Sent again, the same submission is one. A query takes one submission: a different
        second, or another annotator's, is refused and shown the stored one.

        Raises:
            AnswerError: the query is unknown, an answer is malformed, or it is not exactly the
                shown images that are labelled. Nothing is written.
        """
        checks.check_author(annotator, source)
        clean = checks.clean_answers(answers)
        with self._writing.begin() as connection:
            found = reading.read_query(connection, query_id)
            if found is None:
                raise AnswerError(f"query {query_id!r} does not exist")
            run_id, query = found
            earlier = _stored_submission(connection, query_id)
            if earlier is not None:
                return _outcome_of_second(earlier, clean, annotator)
            open_query = reading.read_log(connection, run_id).open_query
            if open_query is None or open_query.query_id != query_id:
                return SubmitOutcome("refused", None, "the query is no longer open")
            checks.check_complete(query, clean)
            saved = _insert_submission(
                connection, run_id, query_id, clean, annotator=annotator, source=source, nonce=nonce
            )
        return SubmitOutcome("saved", saved)

    def undo(self, run_id: str, submission_id: int | None = None) -> Query:
        """Take back the last submission; its images are asked again at once, in a new query.

        Args:
            submission_id: what the caller believes to be last; a click delivered twice then
                takes back one submission, not two.

        Raises:
            RunNotFound: no such run.
            NothingToUndo: no answers, or the last submission is another one.
        """
        with self._writing.begin() as connection:
            log = reading.read_log(connection, run_id)
            if not log.submissions:
                raise NothingToUndo(f"run {run_id} has no answers to take back")
            last = log.submissions[-1]
            if submission_id is not None and submission_id != last.submission_id:
                raise NothingToUndo(
                    f"submission {submission_id} is not the last of run {run_id}; "
                    f"that is {last.submission_id}"
                )
            connection.execute(
                insert(schema.retractions).values(
                    submission_id=last.submission_id, run_id=run_id, at=now()
                )
            )
            again = replace(log.queries[last.query_id], query_id=uuid.uuid4().hex)
            _insert_query(connection, run_id, again, _read_probs(connection, last.query_id))
            return again

    # Progress

    def set_progress(self, run_id: str, progress: Progress) -> None:
        """Replace the run's row of progress without waiting for the disk. Raises RunNotFound."""
        values = asdict(progress)
        upsert = (
            sqlite.insert(schema.progress)
            .values(run_id=run_id, **values)
            .on_conflict_do_update(index_elements=["run_id"], set_=values)
        )
        try:
            with self._hurried.begin() as connection:
                connection.execute(upsert)
        except IntegrityError:
            self.run(run_id)  # says that the run is gone, the one likely reason
            raise

    def progress(self, run_id: str) -> Progress | None:
        """The run's row of progress; None when nobody has worked on it."""
        with self._reading.connect() as connection:
            return reading.read_progress(connection, run_id)

    def control(self, run_id: str) -> Control:
        """What a fit polls, in one cheap read; `deleted` when there is no such run."""
        with self._reading.connect() as connection:
            return reading.read_control(connection, run_id)


def _make_folder(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{home} cannot be used as a home: {error.strerror}") from None


def _run_values(run: RunRow) -> dict[str, Any]:
    """A row of `runs`; the spec and the directives are columns there."""
    values = {name: getattr(run, name) for name in run.__dataclass_fields__}
    spec, directives = values.pop("spec"), values.pop("directives")
    return {
        **values,
        **asdict(directives),
        "fingerprint": spec.fingerprint,
        "protocol": spec.protocol.model_dump(mode="json"),
        "acquisition": spec.acquisition,
        "seed": spec.seed,
    }


def _step_values(run_id: str, result: StepResult) -> dict[str, Any]:
    measures = ("accuracy", "mutual_information", "train_loss", "val_loss")
    floats = {name: getattr(result, name) for name in measures}
    return {
        **asdict(result),
        **{name: None if value is None else float(value) for name, value in floats.items()},
        "seconds": {part: float(value) for part, value in result.seconds.items()},
        "run_id": run_id,
        "at": now(),
    }


def _insert_query(connection: Connection, run_id: str, query: Query, npy: bytes | None) -> None:
    row = {
        **asdict(query),
        "ranking": [int(image_id) for image_id in query.ranking],
        "scores": [float(score) for score in query.scores],
        "run_id": run_id,
        "at": now(),
    }
    connection.execute(insert(schema.queries).values(row))
    if npy is not None:
        connection.execute(insert(schema.query_probs).values(query_id=query.query_id, npy=npy))


def _insert_submission(
    connection: Connection,
    run_id: str,
    query_id: str,
    answers: tuple[Answer, ...],
    *,
    annotator: str,
    source: str,
    nonce: str,
) -> Submission:
    row = {"annotator": annotator, "source": source, "nonce": nonce, "at": now()}
    inserted = connection.execute(
        insert(schema.submissions).values(run_id=run_id, query_id=query_id, **row)
    )
    key = inserted.inserted_primary_key
    assert key is not None
    rows = [
        {"submission_id": key[0], "position": position, **asdict(answer)}
        for position, answer in enumerate(answers)
    ]
    connection.execute(insert(schema.answers), rows)
    stored = _stored_submission(connection, query_id)
    assert stored is not None
    return stored


def _stored_submission(connection: Connection, query_id: str) -> Submission | None:
    """The one submission a query ever gets, also when it was retracted since."""
    column = schema.submissions.c.query_id
    stored = reading.read_submissions(connection, column, query_id)
    return stored[0] if stored else None


def _outcome_of_second(
    earlier: Submission, answers: Sequence[Answer], annotator: str
) -> SubmitOutcome:
    if earlier.annotator != annotator:
        return SubmitOutcome("refused", earlier, f"{earlier.annotator} has answered this query")
    if not checks.same_answers(earlier.answers, answers):
        return SubmitOutcome("refused", earlier, "this query was answered differently before")
    return SubmitOutcome("already", earlier)


def _pack(probs: np.ndarray, n_ranked: int) -> bytes:
    """[T, n, C] as the bytes of a .npy file, which carry shape and type along."""
    if probs.ndim != 3 or not 1 <= probs.shape[1] <= n_ranked:
        raise ValueError(f"probs has shape {probs.shape}; allowed: [T, n, C] with n <= {n_ranked}")
    buffer = io.BytesIO()
    np.save(buffer, probs.astype(np.float32), allow_pickle=False)
    return buffer.getvalue()


def _read_probs(connection: Connection, query_id: str) -> bytes | None:
    query = select(schema.query_probs.c.npy).where(schema.query_probs.c.query_id == query_id)
    return connection.execute(query).scalar_one_or_none()
