"""The store: one SQLite file for all runs of a home, written by the pages, the command line and
the workers at once.

Owns: which rows are written together, and that what was reported as saved is on the disk.
Does not own: what a log means (`run.state`), who works on a run (`run_lock`), and the files in
a run's folder, which it only removes together with the run.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError

from dal_core.data import catalogue
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.answers import AnswerError, check_complete, clean_answers, same_answers
from dal_core.run.events import Answer, Batch, Correction, Query, StepResult, Submission
from dal_core.run.rows import (
    Control,
    Kind,
    Mode,
    NothingToUndo,
    Progress,
    RunInUse,
    RunRow,
    StoreError,
    SubmitOutcome,
    now,
)
from dal_core.run.state import RunState, RunSummary
from dal_core.store import (
    checks,
    continuous_queries,
    forking,
    migration,
    reading,
    schema,
    summary,
    writing,
)
from dal_core.store.experiments import Experiments
from dal_core.store.home import run_dir
from dal_core.store.log_cache import LogCache
from dal_core.store.run_lock import run_lock
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
        self.home = Path(home).absolute()
        path = self.home / schema.DATABASE_FILE
        if create:
            _make_folder(self.home)
        elif not path.is_file():
            raise StoreError(f"{self.home} holds no runs (there is no {schema.DATABASE_FILE})")
        self._reading = schema.make_engine(path, "FULL")
        migration.prepare(self._reading, path, create)
        self._writing = self._reading.execution_options(begin="BEGIN IMMEDIATE")
        self._logs = LogCache()
        self.experiments = Experiments(self._reading, self._writing)
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
        device: str = "cpu",
        mode: Mode = "strict",
        answered: Sequence[Batch] = (),
        nonce: str = "",
    ) -> RunRow:
        """A new run; `device` is where it is to be computed, for the record.

        Args:
            answered: answers it has from the start, given elsewhere; by default there are none.
            nonce: what `find_submitted` finds it by, if it has such answers.

        Raises:
            ValueError: a stop rule out of range, a mode that its kind does not have, or an answer
                that cannot be one. Nothing is written.
        """
        for batch in answered:
            checks.check_author(batch.annotator, batch.source)
        n_classes = catalogue.get(spec.protocol.dataset).n_classes
        answered = [
            replace(batch, answers=clean_answers(batch.answers, n_classes)) for batch in answered
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

    def find_submitted(self, nonce: str) -> RunRow | None:
        """The newest run with a submission of this nonce, or None."""
        with self._reading.connect() as connection:
            run_id = reading.find_submitted(connection, nonce)
            return None if run_id is None else reading.read_run(connection, run_id)

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
        """A new run that begins with what the run had just after the submission `after`.

        It shares data, seed and split, and has a copy of the history: queries, answers as they
        stand (corrections included) and results. From there it goes its own way, by its own
        function, protocol and oracle; nothing is trained here. What the run did later, and what
        becomes of it, is no concern of the fork.

        Raises:
            RunNotFound: no such run.
            ValueError: `after` is no state of it, the spec has other data, another seed or
                another split, or ends before the fork; a stop rule is out of range, or the kind
                does not have the mode. One line; nothing is written.
        """
        stops = {"until_labels": until_labels, "until_accuracy": until_accuracy}
        checks.check_mode(mode, kind)
        with self._writing.begin() as connection:
            log = self._logs.read(connection, run_id)
            checks.check_directives(stops, log.run.has_test_set)
            forking.check_fork(log, after, spec)
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

    def run(self, run_id: str) -> RunRow:
        """Raises RunNotFound (a ValueError), naming ids that look alike."""
        with self._reading.connect() as connection:
            return reading.read_run(connection, run_id)

    def runs(self) -> list[RunRow]:
        """All runs, newest first."""
        with self._reading.connect() as connection:
            return reading.read_runs(connection)

    def summaries(self, run_ids: Sequence[str]) -> list[RunSummary]:
        """Several runs at a glance, in a few reads however many; unknown ids are left out."""
        with self._reading.connect() as connection:
            return summary.read_summaries(connection, run_ids)

    def find_oracle_run(self, spec: RunSpec) -> RunRow | None:
        """The oldest run of this spec that only the oracle ever answered, or None.

        One with a stop rule of its own is not shared: it may end before others need it to. Nor is
        a fork, whose history may be a person's.
        """
        with self._reading.connect() as connection:
            alike = reading.read_runs(
                connection,
                kind="oracle",
                fingerprint=spec.fingerprint,
                acquisition=spec.acquisition,
                seed=spec.seed,
                forked_from=None,
            )
            for run in reversed(alike):
                whole = run.until_labels is None and run.until_accuracy is None
                if whole and run.spec == spec and not reading.has_person(connection, run.run_id):
                    return run
        return None

    def delete_run(self, run_id: str) -> None:
        """Remove the run's rows, then its folder.

        Raises:
            RunNotFound: no such run.
            RunInUse: it belongs to an experiment, whose tables would have a hole.
            RunBusy: somebody works on it.
        """
        self.run(run_id)
        used = self.experiments.of_run(run_id)
        if used:
            raise RunInUse(f"run {run_id} belongs to experiment {used[0]}; delete that one first")
        with run_lock(self.home, run_id):
            with self._writing.begin() as connection:
                connection.execute(delete(schema.runs).filter_by(run_id=run_id))
            self._logs.forget(run_id)
            shutil.rmtree(self.run_dir(run_id), ignore_errors=True)

    def run_dir(self, run_id: str) -> Path:
        """The folder of the run's files; it need not exist."""
        return run_dir(self.home, run_id)

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
        with self._writing.begin() as connection:
            checks.check_directives(values, reading.read_run(connection, run_id).has_test_set)
            if values:
                connection.execute(update(schema.runs).filter_by(run_id=run_id).values(values))

    # Log

    def log(self, run_id: str) -> RunState:
        """The run's state, replayed from one snapshot of its log. Raises RunNotFound."""
        with self._reading.connect() as connection:
            return self._logs.read(connection, run_id)

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
        kept = None if probs is None else writing.pack_probs(probs, len(query.ranking))
        with self._writing.begin() as connection:
            log = self._logs.read(connection, run_id)
            if (query.after, query.corrected) != (log.after, log.corrected) or log.is_asked:
                return False
            checks.check_query(log, query)
            writing.insert_query(connection, run_id, query, kept)
            return True

    def add_ranking(self, run_id: str, query: Query, probs: np.ndarray | None) -> bool:
        """Keep what the newest model of a continuous run ranks best, and ask from it if nothing is.

        Args:
            query: what its model would ask; it may have been overtaken by answers since, whose
                images are then left out.
            probs: as for `add_query`, of as many images as may be asked from the ranking.

        Returns:
            False, and nothing written, when labels of the model were taken back.

        Raises:
            RunNotFound: no such run.
            ValueError: the run is not continuous, the ranking contradicts it, or probs do.
        """
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

    def shown_probs(self, query_id: str) -> np.ndarray | None:
        """The float32 [T, n, C] given with the query; None when none were."""
        with self._reading.connect() as connection:
            packed = reading.read_probs(connection, query_id)
        return None if packed is None else writing.unpack_probs(packed)

    def add_step(self, run_id: str, result: StepResult) -> bool:
        """Record what was measured; False, and nothing written, for a retracted state.

        Raises:
            RunNotFound: no such run.
            ValueError: the state has another number of labels.
        """
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
        """Give all answers to a query; when this returns "saved" they are on the disk.

        In continuous mode a person's answers open the next query in the same transaction. Sent
        again, the same submission is one. A query takes one submission: a different
        second, or another annotator's, is refused and shown the stored one.

        Raises:
            AnswerError: the query is unknown, an answer is malformed, or it is not exactly the
                shown images that are labelled. Nothing is written.
        """
        checks.check_author(annotator, source)
        with self._writing.begin() as connection:
            found = reading.read_query(connection, query_id)
            if found is None:
                raise AnswerError(f"query {query_id!r} does not exist")
            run_id, query = found
            log = self._logs.read(connection, run_id)
            clean = clean_answers(answers, log.run.loader.n_classes)
            earlier = reading.read_submission(connection, query_id)
            if earlier is not None:
                return _outcome_of_second(earlier, clean, annotator)
            if log.open_query is None or log.open_query.query_id != query_id:
                return SubmitOutcome("refused", None, "the query is no longer open")
            check_complete(query, clean)
            row = {"annotator": annotator, "source": source, "nonce": nonce}
            writing.insert_submission(
                connection, {"run_id": run_id, "query_id": query_id, **row}, clean
            )
            if log.run.mode == "continuous" and source == "person":
                continuous_queries.open_next(connection, run_id)
            saved = reading.read_submission(connection, query_id)
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
            log = self._logs.read(connection, run_id)
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
        """Say the label of an image answered before anew; None: nobody can tell.

        The next fit has the new label; the open query stays, and so does what was measured
        before (`RunState.is_before_correction`). It counts as long as its submission does.

        Raises:
            RunNotFound: no such run.
            AnswerError: the image was not answered in this run, or is labelled so already, or the
                label is not allowed. Nothing is written.
        """
        checks.check_author(annotator, "person")
        with self._writing.begin() as connection:
            log = self._logs.read(connection, run_id)
            (answer,) = clean_answers([Answer(image_id, label)], log.run.loader.n_classes)
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

    # Progress

    def set_progress(self, run_id: str, progress: Progress) -> None:
        """Replace the run's row of progress without waiting for the disk. Raises RunNotFound."""
        try:
            with self._hurried.begin() as connection:
                writing.replace_progress(connection, run_id, progress)
        except IntegrityError:
            self.run(run_id)  # says that the run is gone, the one likely reason
            raise

    def progress(self, run_id: str) -> Progress | None:
        """The run's row of progress; None when nobody has worked on it."""
        with self._reading.connect() as connection:
            return reading.read_progress(connection, run_id)

    def pulse(self, run_id: str) -> tuple[Any, ...] | None:
        """Changes whenever the log or a directive does, for a page that polls; None: no run.

        A fraction of the cost of reading the log, and independent of its length.
        """
        with self._reading.connect() as connection:
            return reading.read_pulse(connection, run_id)

    def control(self, run_id: str) -> Control:
        """What a fit polls, in one cheap read; `deleted` when there is no such run."""
        with self._reading.connect() as connection:
            return reading.read_control(connection, run_id)


def _new_id(spec: RunSpec) -> str:
    return f"{spec.acquisition.replace('_', '-')}-s{spec.seed}-{uuid.uuid4().hex[:6]}"


def _make_folder(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{home} cannot be used as a home: {error.strerror}") from None


def _outcome_of_second(
    earlier: Submission, answers: Sequence[Answer], annotator: str
) -> SubmitOutcome:
    if earlier.annotator != annotator:
        return SubmitOutcome("refused", earlier, f"{earlier.annotator} has answered this query")
    if not same_answers(earlier.answers, answers):
        return SubmitOutcome("refused", earlier, "this query was answered differently before")
    return SubmitOutcome("already", earlier)
