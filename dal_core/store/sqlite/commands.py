"""The writing half of the SQLite store; each command is one transaction.

A command checks its arguments against the log while it holds the write lock, so that the checks
still hold when it writes. When it returns, its data are on the disk (except for progress).
"""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from sqlalchemy import Connection, delete, update
from sqlalchemy.exc import IntegrityError

from dal_core.data import catalogue
from dal_core.limits.text import clean_title
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import Answer, AnsweredBatch, Correction, Query, StepResult, Submission
from dal_core.run.ownership import RunReadOnly
from dal_core.run.rows import (
    Kind,
    Mode,
    NothingToUndo,
    Progress,
    RunInUse,
    RunRow,
    StoreFailed,
    SubmitOutcome,
    now,
)
from dal_core.run.rules import AnswerError, check_complete, clean_answers, same_answers
from dal_core.store import checks
from dal_core.store.base import UNSET
from dal_core.store.run_lock import run_lock
from dal_core.store.sqlite import continuous_queries, forking, reading, schema, writing
from dal_core.store.sqlite.queries import Queries
from dal_core.store.versions import current_versions


class SqliteStore(Queries):
    """A store in the SQLite file `dal.db` of its home. Many processes can use it at once."""

    def checkpoint(self) -> None:
        connection = self._reading.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error:  # busy, full or read-only: the next one does it
            pass
        finally:
            connection.close()

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
        device: str = "cpu",
        mode: Mode = "strict",
        answered: Sequence[AnsweredBatch] = (),
        nonce: str = "",
    ) -> RunRow:
        title = clean_title(title)
        n_classes = catalogue.get(spec.protocol.dataset).n_classes
        answered = [
            replace(
                batch,
                annotator=checks.clean_author(batch.annotator, batch.source),
                answers=clean_answers(batch.answers, n_classes),
            )
            for batch in answered
        ]
        stops = {"until_labels": until_labels, "until_accuracy": until_accuracy}
        checks.check_directives(stops, has_test_set=split_sizes.get("test") != 0)
        checks.check_mode(mode, kind)
        run = RunRow(
            run_id=_new_id(spec),
            title=title,
            kind=kind,
            baseline=baseline,
            spec=spec,
            n_initial=n_initial,
            split_sizes=dict(split_sizes),
            versions=current_versions(device),
            created_at=now(),
            until_labels=until_labels,
            until_accuracy=until_accuracy,
            mode=mode,
        )
        with self._writing.begin() as connection:
            writing.insert_run(connection, run)
            writing.insert_batches(connection, run, answered, nonce)
        return run

    def fork_run(
        self,
        run_id: str,
        after: int,
        *,
        spec: RunSpec,
        title: str = "",
        kind: Kind = "oracle",
        mode: Mode = "strict",
        until_labels: int | None = None,
        until_accuracy: float | None = None,
        device: str = "cpu",
    ) -> RunRow:
        title = clean_title(title)
        stops = {"until_labels": until_labels, "until_accuracy": until_accuracy}
        checks.check_mode(mode, kind)
        with self._writing.begin() as connection:
            log = self._logs.read(connection, run_id)
            checks.check_directives(stops, log.run.has_test_set)
            checks.check_fork(log, after, spec)
            run = RunRow(
                run_id=_new_id(spec),
                title=title,
                kind=kind,
                baseline=False,
                spec=spec,
                n_initial=log.run.n_initial,
                split_sizes=log.run.split_sizes,
                versions=current_versions(device),
                created_at=now(),
                until_labels=until_labels,
                until_accuracy=until_accuracy,
                mode=mode,
                forked_from=run_id,
                forked_after=after,
                forked_labels=log.n_labelled_at(after),
            )
            writing.insert_run(connection, run)
            forking.copy_history(connection, log, after, spec, run.run_id)
        return run

    def delete_run(self, run_id: str) -> None:
        with self._reading.connect() as connection:
            reading.check_exists(connection, run_id)
        used = self.experiments.of_run(run_id)
        if used:
            raise RunInUse(f"run {run_id} belongs to experiment {used[0]}; delete that one first")
        with run_lock(self.home, run_id):
            with self._writing.begin() as connection:
                connection.execute(delete(schema.runs).filter_by(run_id=run_id))
            self._logs.forget(run_id)
            shutil.rmtree(self.run_dir(run_id), ignore_errors=True)

    def set_directives(
        self,
        run_id: str,
        *,
        oracle_until: int | None = UNSET,
        paused: bool = UNSET,
        until_labels: int | None = UNSET,
        until_accuracy: float | None = UNSET,
    ) -> None:
        given = {
            "oracle_until": oracle_until,
            "paused": paused,
            "until_labels": until_labels,
            "until_accuracy": until_accuracy,
        }
        values = {name: value for name, value in given.items() if value is not UNSET}
        with self._writing.begin() as connection:
            checks.check_directives(values, reading.read_run(connection, run_id).has_test_set)
            if values:
                connection.execute(update(schema.runs).filter_by(run_id=run_id).values(values))

    def add_query(self, run_id: str, query: Query, probs: np.ndarray | None) -> bool:
        kept = None if probs is None else writing.pack_probs(probs, len(query.ranking))
        with self._writing.begin() as connection:
            log = self._logs.read(connection, run_id)
            if (query.after, query.corrected) != (log.after, log.corrected) or log.is_asked:
                return False
            checks.check_query(log, query)
            writing.insert_query(connection, run_id, query, kept)
            return True

    def add_ranking(self, run_id: str, query: Query, probs: np.ndarray | None) -> bool:
        kept = None if probs is None else writing.pack_probs(probs, len(query.ranking))
        with self._writing.begin() as connection:
            log = self._logs.read(connection, run_id)
            if log.run.mode != "continuous":
                raise ValueError(f"run {run_id} is {log.run.mode}; allowed: a continuous one")
            if not log.is_state(query.after):
                return False
            checks.check_ranking(log, query)
            continuous_queries.insert_ranking(connection, run_id, query, kept)
            continuous_queries.open_next(connection, run_id)
            return True

    def add_step(self, run_id: str, result: StepResult) -> bool:
        with self._writing.begin() as connection:
            log = self._logs.read(connection, run_id)
            if not log.is_state(result.after):
                return False
            checks.check_step(log, result)
            writing.insert_step(connection, run_id, result)
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
        annotator = checks.clean_author(annotator, source)
        with self._writing.begin() as connection:
            found = reading.read_query(connection, query_id)
            if found is None:
                raise AnswerError(f"query {query_id!r} does not exist")
            run_id, query = found
            log = self._logs.read(connection, run_id)
            clean = clean_answers(answers, log.run.n_classes)
            earlier = reading.read_submission(connection, run_id, query_id)
            if earlier is not None:
                sent = reading.read_nonce(connection, earlier.submission_id)
                is_same_author = earlier.annotator == annotator or (nonce and sent == nonce)
                return _outcome_of_repeat(earlier, clean, bool(is_same_author))
            if source == "person" and (reason := reading.why_read_only(connection, log.run)):
                return SubmitOutcome("refused", None, reason)
            if log.open_query is None or log.open_query.query_id != query_id:
                return SubmitOutcome("refused", None, "the query is no longer open")
            check_complete(query, clean)
            row = {"annotator": annotator, "source": source, "nonce": nonce}
            writing.insert_submission(
                connection, {"run_id": run_id, "query_id": query_id, **row}, clean
            )
            if log.run.mode == "continuous" and source == "person":
                continuous_queries.open_next(connection, run_id)
            saved = reading.read_submission(connection, run_id, query_id)
        return SubmitOutcome("saved", saved)

    def undo(self, run_id: str, submission_id: int | None = None) -> Query:
        with self._writing.begin() as connection:
            log = self._logs.read(connection, run_id)
            _check_may_change(connection, log.run)
            if not log.submissions:
                raise NothingToUndo(f"run {run_id} has no answers to take back")
            last = log.submissions[-1]
            if submission_id is not None and submission_id != last.submission_id:
                raise NothingToUndo(
                    f"submission {submission_id} is not the last of run {run_id}; "
                    f"that is {last.submission_id}"
                )
            writing.insert_retraction(connection, run_id, last.submission_id)
            again = replace(log.queries[last.query_id], query_id=uuid.uuid4().hex)
            probs = reading.read_probs(connection, last.query_id)
            writing.insert_query(connection, run_id, again, probs)
            return again

    def correct(
        self, run_id: str, image_id: int, label: int | None, *, annotator: str
    ) -> Correction:
        annotator = checks.clean_author(annotator, "person")
        with self._writing.begin() as connection:
            log = self._logs.read(connection, run_id)
            _check_may_change(connection, log.run)
            (answer,) = clean_answers([Answer(image_id, label)], log.run.n_classes)
            submission_id = checks.check_correction(log, answer)
            row = {
                "submission_id": submission_id,
                "image_id": answer.image_id,
                "label": answer.label,
                "annotator": annotator,
            }
            number = writing.insert_correction(connection, run_id, row)
            (made,) = (
                one
                for one in reading.read_log(connection, run_id).corrections
                if one.correction_id == number
            )
        return made

    def add_failure(self, run_id: str, reason: str) -> None:
        with self._writing.begin() as connection:
            reading.check_exists(connection, run_id)
            writing.insert_failure(connection, run_id, reason)

    def retry(self, run_id: str) -> None:
        with self._writing.begin() as connection:
            reading.check_exists(connection, run_id)
            writing.clear_failures(connection, run_id)

    def set_progress(self, run_id: str, progress: Progress) -> None:
        try:
            with self._progress_engine.begin() as connection:
                writing.replace_progress(connection, run_id, progress)
        except IntegrityError:
            with self._reading.connect() as connection:
                reading.check_exists(connection, run_id)  # the likely reason: it was deleted
            raise
        except StoreFailed:  # a full disk must not end a fit because nobody can watch it
            pass


def _new_id(spec: RunSpec) -> str:
    return f"{spec.acquisition.replace('_', '-')}-s{spec.seed}-{uuid.uuid4().hex[:6]}"


def _check_may_change(connection: Connection, run: RunRow) -> None:
    """Raises RunReadOnly if people may not change the run."""
    if reason := reading.why_read_only(connection, run):
        raise RunReadOnly(reason)


def _outcome_of_repeat(
    earlier: Submission, answers: Sequence[Answer], is_same_author: bool
) -> SubmitOutcome:
    if not is_same_author:
        return SubmitOutcome("refused", earlier, f"{earlier.annotator} has answered this query")
    if not same_answers(earlier.answers, answers):
        return SubmitOutcome("refused", earlier, "this query was answered differently before")
    return SubmitOutcome("already", earlier)
