"""The interface of a store: reading and changing the runs of a home.

A store keeps each run as a log of events (`dal_core.run.events`), from which `dal_core.run.state`
computes the state. `dal_core.store.opening.open_store` opens a store.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import Answer, AnsweredBatch, Correction, Query, StepResult
from dal_core.run.rows import Control, DamagedRun, Kind, Mode, Progress, RunRow, SubmitOutcome
from dal_core.run.state import RunState
from dal_core.run.summary import RunSummary
from dal_core.store.experiments import Experiments
from dal_core.store.home import run_dir

UNSET: Any = object()  # marks a directive that should not change; None is a value


@dataclass(frozen=True)
class Survey:
    """All runs of a home, newest first: summaries of those that can be read, and the damaged."""

    runs: list[RunSummary]
    damaged: list[DamagedRun]


class Store(ABC):
    """The runs and experiments of a home.

    A store can be shared between threads; each process must open its own. A method that raises
    has changed nothing. Error messages are one line. Every method raises StoreFailed if the
    database cannot be read or written, as on a full disk; every method that reads a run raises
    RunDamaged if its rows cannot be read.

    Attributes:
        home: the folder of the store and of the runs' folders.
        read_only: whether nothing can be written, as on a read-only disk.
        experiments: which runs belong together.
    """

    home: Path
    read_only: bool
    experiments: Experiments

    @property
    @abstractmethod
    def damage(self) -> str | None:
        """What is wrong with the database's structure, in one line; None for a sound one.

        Found out on first use, since it reads the whole database.
        """

    @abstractmethod
    def close(self) -> None:
        """Close all connections. If the store is used again, it opens new ones."""

    @abstractmethod
    def checkpoint(self) -> None:
        """Move what was written lately into the main file of the database, if nobody is busy.

        Nothing depends on it; the main file alone is then as complete as can be.
        """

    def run_dir(self, run_id: str) -> Path:
        """The folder of the run's files; it need not exist."""
        return run_dir(self.home, run_id)

    # Runs

    @abstractmethod
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
        """Create a run. Most arguments are explained in `RunRow`.

        Args:
            device: where the run will be computed; recorded with the versions.
            answered: answers from a label file, with which the run starts.
            nonce: stored with these answers, so that `find_submitted` finds the run.

        Raises:
            ValueError: the title breaks the rule of `limits.text.clean_title`, a stop rule is out
                of range, the mode is not allowed for the kind of run, or an answer is malformed.
        """

    @abstractmethod
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
        """Create a run that starts with a copy of another's log up to the submission `after`.

        Both share data, seed and split. Queries, answers (with corrections) and results are
        copied. From there on, the fork has its own function, protocol and annotator, and the two
        runs do not affect each other. Nothing is trained here.

        Raises:
            RunNotFound: there is no such run.
            ValueError: the title breaks the rule of `limits.text.clean_title`; `after` is not a
                state of the run; the spec has other data, another seed
                or another split, or ends before the fork; a stop rule is out of range; or the
                mode is not allowed for the kind of run.
        """

    @abstractmethod
    def run(self, run_id: str) -> RunRow:
        """The run's parameters and directives. Raises RunNotFound, naming similar ids."""

    @abstractmethod
    def runs(self) -> list[RunRow]:
        """All runs, newest first. Damaged runs are left out."""

    @abstractmethod
    def run_ids(self) -> list[str]:
        """Ids of all runs, newest first, those of damaged runs too."""

    @abstractmethod
    def survey(self) -> Survey:
        """Summaries of all runs, and the runs that are damaged, with a fixed number of reads."""

    @abstractmethod
    def summaries(self, run_ids: Sequence[str]) -> list[RunSummary]:
        """Summaries of runs, with a fixed number of reads. Unknown and damaged ids are left out."""

    @abstractmethod
    def find_submitted(self, nonce: str) -> RunRow | None:
        """The newest run that has a submission with this nonce, or None."""

    @abstractmethod
    def find_oracle_run(self, spec: RunSpec) -> RunRow | None:
        """The oldest run of this spec that only the oracle has answered, or None.

        Runs with a stop rule are left out, since they may end too early for another use. Forks
        are left out too, since a person may have answered their first part.
        """

    @abstractmethod
    def delete_run(self, run_id: str) -> None:
        """Remove the run and its folder. The run may be damaged.

        Raises:
            RunNotFound: there is no such run.
            RunInUse: it belongs to an experiment.
            RunBusy: another process or thread is working on it.
        """

    @abstractmethod
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

    @abstractmethod
    def why_read_only(self, run_id: str) -> str | None:
        """Why people may not answer, undo or correct in the run, in one line; None if they may.

        Runs of experiments, baselines and all other runs of the oracle are read-only
        (`run.rows.why_read_only`). Raises RunNotFound.
        """

    @abstractmethod
    def control(self, run_id: str) -> Control:
        """What a fit polls, in one cheap read. `deleted` is true if there is no such run."""

    # The log

    @abstractmethod
    def log(self, run_id: str) -> RunState:
        """The run's state, from one snapshot of its log. Raises RunNotFound."""

    @abstractmethod
    def add_query(self, run_id: str, query: Query, probs: np.ndarray | None) -> bool:
        """Open a query; its id must be new.

        Args:
            probs: [T, n, C] softmax outputs for the first n images of the ranking, stored as
                float32 to explain the query after a restart; or None.

        Returns:
            False, with nothing written, if the training set of the scoring model is no longer
            the run's state, or if another query is already open.

        Raises:
            RunNotFound: there is no such run.
            ValueError: the query does not fit its run, or `probs` does not fit the ranking.
        """

    @abstractmethod
    def add_ranking(self, run_id: str, query: Query, probs: np.ndarray | None) -> bool:
        """Store a model's ranking (continuous mode), and open a query from it if none is open.

        Args:
            query: the query that the model would ask. Images answered meanwhile are left out.
            probs: as for `add_query`, for as many images as may be asked from the ranking.

        Returns:
            False, with nothing written, if a label of the model was retracted.

        Raises:
            RunNotFound: there is no such run.
            ValueError: the run is not continuous, or the ranking does not fit its run, or `probs`
                does not fit the ranking.
        """

    @abstractmethod
    def shown_probs(self, query_id: str) -> np.ndarray | None:
        """The passes stored with the query, float32 [T, n, C]; None if there are none."""

    @abstractmethod
    def add_step(self, run_id: str, result: StepResult) -> bool:
        """Append the result of a step.

        Returns:
            False, with nothing written, if the state of the model was retracted.

        Raises:
            RunNotFound: there is no such run.
            ValueError: the state has a different number of labels.
        """

    @abstractmethod
    def submit(
        self,
        query_id: str,
        answers: Sequence[Answer],
        *,
        annotator: str,
        source: str,
        nonce: str = "",
    ) -> SubmitOutcome:
        """Submit all answers to a query. Once the status is "saved", they are on the disk.

        A query takes one submission. If the same one is sent again, the status is "already". A
        different one, or one by another annotator, is "refused"; the outcome contains the stored
        one. A person's answers are also refused in a run that is read-only for people. In
        continuous mode, a person's answers open the next query in the same transaction.

        Args:
            nonce: names the message. If it arrives again under another name, since the person has
                changed theirs meanwhile, it is still the same submission.

        Raises:
            AnswerError: the query does not exist, an answer or the annotator's name is malformed,
                or the answers do not complete the query (`run.rules.check_complete`).
        """

    @abstractmethod
    def undo(self, run_id: str, submission_id: int | None = None) -> Query:
        """Retract the last submission, and ask its images again in the new query returned.

        Args:
            submission_id: the submission that the caller expects to be the last, so that a click
                delivered twice retracts only one. None retracts the last one, whatever its id.

        Raises:
            RunNotFound: there is no such run.
            RunReadOnly: people may not change the run (`why_read_only`).
            NothingToUndo: there is no submission, or the last one has another id.
        """

    @abstractmethod
    def correct(
        self, run_id: str, image_id: int, label: int | None, *, annotator: str
    ) -> Correction:
        """Replace the label of an image answered earlier; None means "can't tell".

        The next fit uses the new label. The open query stays open, and earlier measurements are
        kept (`RunState.is_before_correction`).

        Raises:
            RunNotFound: there is no such run.
            RunReadOnly: people may not change the run (`why_read_only`).
            AnswerError: the image was not answered in this run, already has this label, or the
                label or the annotator's name is not allowed.
        """

    # Failures

    @abstractmethod
    def add_failure(self, run_id: str, reason: str) -> None:
        """Record an error raised by work on the run, which has no more work until it is cleared.

        New labels clear it (a submission, a retraction or a correction), and so does `retry`.
        Measuring or recomputing a step does not.

        Args:
            reason: the error, in one line.

        Raises:
            RunNotFound: there is no such run.
        """

    @abstractmethod
    def retry(self, run_id: str) -> None:
        """Clear the run's failures, so that workers try again. Raises RunNotFound."""

    # Display

    @abstractmethod
    def set_progress(self, run_id: str, progress: Progress) -> None:
        """Replace the run's progress, without waiting for the disk.

        Progress that cannot be written is dropped.

        Raises:
            RunNotFound: there is no such run.
        """

    @abstractmethod
    def progress(self, run_id: str) -> Progress | None:
        """The run's progress; None if nobody has worked on it."""

    @abstractmethod
    def pulse(self, run_id: str) -> tuple[Any, ...] | None:
        """A value that changes with the run's log and directives; None if there is no such run.

        Pages poll it, because it is much cheaper than reading the log.
        """
