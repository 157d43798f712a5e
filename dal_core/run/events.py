"""The vocabulary of a run: the records that learner, store, command line and pages exchange.

A run alternates between a query (the model asks for labels) and a submission (somebody gives
them). Submissions can be retracted, and single answers corrected; both are events of their own,
so nothing is ever overwritten. A step is what was measured of one trained model, and a failure
is work on the run that raised an error. `dal_core.run.state` derives from these events what a
run has now.

Everywhere, `image_id` is the image's index in its data set, never a position in a subset.

A state of the training set is named by two numbers, `after` and `corrected`: the ids of the last
submission and of the last correction in it, each 0 where there is none. `after` 0 is the initial
set alone. Ids grow with time and are never used twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

Source = Literal["person", "oracle"]
Confusion = tuple[tuple[int, ...], ...]  # [C][C] counts: by label, then by predicted class

RANKING_KEPT = 100  # images kept of a ranking: the batch shown, and replacements for skipped ones


@dataclass(frozen=True)
class Query:
    """A request for labels: the images a model scored highest, best first.

    Attributes:
        query_id: unique; asking again after a retraction makes a new query with a new id.
        n_labelled: size of the run's training set when the query was made.
        asked_by: size of the training set of the model that scored the images; equal to
            `n_labelled` in the report's procedure, smaller where the model was overtaken.
        ranking: image ids by descending score, at most RANKING_KEPT.
        scores: the acquisition score of each image of `ranking`, in nats or as a fraction
            (docs/method.md, section 3).
        batch_size: number of images to label.
        after: id of the run's last submission when the query was made; 0: none.
        corrected: id of the last correction that the scoring model was trained on; 0: none.
    """

    query_id: str
    n_labelled: int
    asked_by: int
    ranking: tuple[int, ...]
    scores: tuple[float, ...]
    batch_size: int
    after: int = 0
    corrected: int = 0

    def shown(self, skipped: Collection[int] = ()) -> tuple[int, ...]:
        """The images to label: the `batch_size` best of those that are not in `skipped`."""
        kept = [image_id for image_id in self.ranking if image_id not in skipped]
        return tuple(kept[: self.batch_size])


@dataclass(frozen=True)
class Answer:
    """The label given to one image.

    Attributes:
        label: the class; None for a skipped image ("can't tell"), which leaves the pool.
        seconds: time the annotator took; None where it was not measured.
    """

    image_id: int
    label: int | None
    seconds: float | None = None


@dataclass(frozen=True)
class AnsweredBatch:
    """Answers from a label file that a new run starts with: one submission of it.

    Attributes:
        at: when they were given (ISO 8601); None: now.
        answers: in training order.
    """

    annotator: str
    source: Source
    at: str | None
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Submission:
    """The answers to one query, given together by one annotator.

    Attributes:
        submission_id: grows with time, over all runs of a store.
        source: whether a person answered, or the simulated oracle.
        at: when it was saved (ISO 8601, UTC).
        answers: in the order they were given; `RunState` holds them as corrected since.
    """

    submission_id: int
    query_id: str
    annotator: str
    source: Source
    at: str
    answers: tuple[Answer, ...]

    @property
    def labels(self) -> dict[int, int]:
        """image id -> label, without the skipped images."""
        return {a.image_id: a.label for a in self.answers if a.label is not None}

    @property
    def skipped(self) -> tuple[int, ...]:
        """Ids of the skipped images."""
        return tuple(a.image_id for a in self.answers if a.label is None)


@dataclass(frozen=True)
class Correction:
    """A replacement label for an earlier answer; ignored once that submission is retracted.

    Attributes:
        submission_id: the submission that holds the answer.
        label: the new label; None ("can't tell") takes the image out of the training set.
        before: the label it replaces; None for a skipped image.
    """

    correction_id: int
    submission_id: int
    image_id: int
    label: int | None
    before: int | None
    annotator: str
    at: str


@dataclass(frozen=True)
class Failure:
    """Work on a run that raised an error. The run is left alone until the failure is cleared.

    A failure is cleared by new labels (a submission, a retraction or a correction) or by
    somebody who asks to try again.

    Attributes:
        reason: the error, in one line.
        at: when it was noticed (ISO 8601, UTC).
        n_changes: submissions, retractions and corrections that the run had by then.
        retried: whether somebody asked to try again since.
    """

    reason: str
    at: str
    n_changes: int
    retried: bool = False


@dataclass(frozen=True)
class StepResult:
    """What was measured of one trained model.

    Attributes:
        step: number of answered queries in the training set; 0 for the initial set alone.
        n_labelled: size of the training set.
        accuracy: fraction of the test images classified correctly; None without a test set, NaN
            after a training that diverged.
        mutual_information: mean over the test images, in nats; None and NaN as for `accuracy`.
        train_loss: training loss of the epoch whose weights were kept.
        val_loss: validation loss of that epoch; None where the protocol keeps the last weights.
        best_epoch: number of that epoch, from 1; None as for `val_loss`.
        seconds: time spent, by part ("train", "evaluate", "score").
        after, corrected: the state of the training set.
        confusion: test images counted by label (row) and predicted class (column); None where
            they were not counted.
    """

    step: int
    n_labelled: int
    accuracy: float | None
    mutual_information: float | None
    train_loss: float
    val_loss: float | None = None
    best_epoch: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    after: int = 0
    corrected: int = 0
    confusion: Confusion | None = None
