"""The interface of a store: what can be read of the runs of a home, and done to them.

A store keeps each run as a log of events (`dal_core.run.events`); what the events mean together
is `dal_core.run.state`'s. Open one with `dal_core.store.opening.open_store`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import Answer, AnsweredBatch, Correction, Query, StepResult
from dal_core.run.rows import Control, Kind, Mode, Progress, RunRow, SubmitOutcome
from dal_core.run.state import RunState, RunSummary
from dal_core.store.experiments import Experiments
from dal_core.store.home import run_dir

UNSET: Any = object()  # a directive to leave as it is; None has a meaning of its own


class Store(ABC):
    """The runs and experiments of a home. Safe to share between threads; a process opens its own.

    A method that raises has changed nothing. Messages of errors are one line.

    Attributes:
        home: the folder of the store and of the runs' folders.
        experiments: which runs belong together.
    """

    home: Path
    experiments: Experiments

    @abstractmethod
    def close(self) -> None:
        """Close all connections; the store opens new ones when it is used again."""

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
        """Make a new run. The fields of `RunRow` say what most arguments mean.

        Args:
            device: where the run will be computed; it is recorded with the versions.
            answered: answers from a label file that the run starts with.
            nonce: `find_submitted` finds the run by it, if it starts with such answers.

        Raises:
            ValueError: a stop rule is out of range, the kind does not have the mode, or an answer
                is malformed.
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
        """Make a run that starts with a copy of another's log up to the submission `after`.

        It shares data, seed and split. Queries, answers (with their corrections) and results are
        copied; from there on the fork has its own function, protocol and annotator, and the two
        runs do not affect each other. Nothing is trained here.

        Raises:
            RunNotFound: no such run.
            ValueError: `after` is not a state of the run; the spec has other data, another seed
                or another split, or ends before the fork; a stop rule is out of range; or the
                kind does not have the mode.
        """

    @abstractmethod
    def run(self, run_id: str) -> RunRow:
        """The run's parameters and directives. Raises RunNotFound, naming similar ids."""

    @abstractmethod
    def runs(self) -> list[RunRow]:
        """All runs, newest first."""

    @abstractmethod
    def summaries(self, run_ids: Sequence[str]) -> list[RunSummary]:
        """Several runs at a glance, in a few reads however many; unknown ids are left out."""

    @abstractmethod
    def find_submitted(self, nonce: str) -> RunRow | None:
        """The newest run with a submission of this nonce, or None."""

    @abstractmethod
    def find_oracle_run(self, spec: RunSpec) -> RunRow | None:
        """The oldest run of this spec that only the oracle ever answered, or None.

        A run with a stop rule is left out, since it may end before others need it to. So is a
        fork, whose history may be a person's.
        """

    @abstractmethod
    def delete_run(self, run_id: str) -> None:
        """Remove the run and its folder.

        Raises:
            RunNotFound: no such run.
            RunInUse: it belongs to an experiment, whose tables would have a hole.
            RunBusy: somebody is working on it.
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
    def control(self, run_id: str) -> Control:
        """What a fit polls, in one cheap read; `deleted` where there is no such run."""

    # The log

    @abstractmethod
    def log(self, run_id: str) -> RunState:
        """The run's state, from one snapshot of its log. Raises RunNotFound."""

    @abstractmethod
    def add_query(self, run_id: str, query: Query, probs: np.ndarray | None) -> bool:
        """Ask `query`; its id must be new.

        Args:
            probs: [T, n, C] softmax outputs for the first n images of the ranking, kept as
                float32 to explain the query after a restart; or None.

        Returns:
            False, with nothing written, if the scoring model's training set is no longer the
            run's state, or another query is already open in it, which somebody may be answering.

        Raises:
            RunNotFound: no such run.
            ValueError: the query contradicts its run, or probs its ranking.
        """

    @abstractmethod
    def add_ranking(self, run_id: str, query: Query, probs: np.ndarray | None) -> bool:
        """Keep what a model of a continuous run ranks best; ask from it if no query is open.

        Args:
            query: what the model would ask. Images answered meanwhile are left out.
            probs: as for `add_query`, for as many images as may be asked from the ranking.

        Returns:
            False, with nothing written, if labels of the model were retracted.

        Raises:
            RunNotFound: no such run.
            ValueError: the run is not continuous, or contradicts the ranking, or probs do.
        """

    @abstractmethod
    def shown_probs(self, query_id: str) -> np.ndarray | None:
        """The float32 [T, n, C] given with the query; None if there were none."""

    @abstractmethod
    def add_step(self, run_id: str, result: StepResult) -> bool:
        """Record what was measured.

        Returns:
            False, with nothing written, if the state was retracted.

        Raises:
            RunNotFound: no such run.
            ValueError: the state has another number of labels.
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
        """Give all answers to a query; once this returns "saved" they are on the disk.

        A query takes one submission. The same one sent again is "already" saved; a different one,
        or another annotator's, is "refused" and shown the stored one. In continuous mode, a
        person's answers open the next query in the same transaction.

        Raises:
            AnswerError: the query does not exist, an answer is malformed, or the answers do not
                complete the query (`run.answers.check_complete`).
        """

    @abstractmethod
    def undo(self, run_id: str, submission_id: int | None = None) -> Query:
        """Retract the last submission and ask its images again, in the new query returned.

        Args:
            submission_id: the submission that the caller takes for the last, so that a click
                delivered twice retracts one submission; None: whichever is last.

        Raises:
            RunNotFound: no such run.
            NothingToUndo: there are no answers, or the last submission is another one.
        """

    @abstractmethod
    def correct(
        self, run_id: str, image_id: int, label: int | None, *, annotator: str
    ) -> Correction:
        """Replace the label of an image answered earlier; None: "can't tell".

        The next fit has the new label. The open query stays, and so do earlier measurements
        (`RunState.is_before_correction`).

        Raises:
            RunNotFound: no such run.
            AnswerError: the image was not answered in this run, already has this label, or the
                label is not allowed.
        """

    # Failures

    @abstractmethod
    def add_failure(self, run_id: str, reason: str) -> None:
        """Record that work on the run raised an error; it has no work until this is cleared.

        New labels clear it (a submission, a retraction or a correction), and so does `retry`.
        Measuring or recomputing a step does not.

        Args:
            reason: one line.

        Raises:
            RunNotFound: no such run.
        """

    @abstractmethod
    def retry(self, run_id: str) -> None:
        """Clear the run's failures, so that workers try again. Raises RunNotFound."""

    # Display

    @abstractmethod
    def set_progress(self, run_id: str, progress: Progress) -> None:
        """Replace the run's progress without waiting for the disk. Raises RunNotFound."""

    @abstractmethod
    def progress(self, run_id: str) -> Progress | None:
        """The run's progress; None if nobody has worked on it."""

    @abstractmethod
    def pulse(self, run_id: str) -> tuple[Any, ...] | None:
        """A value that changes with the run's log and directives; None if there is no such run.

        For pages that poll: it costs a fraction of reading the log, however long that is.
        """
