"""The events of a run: the records that learner, store, command line and pages exchange.

A run alternates between a query (the model asks for labels) and a submission (a person or the
oracle gives them). Submissions can be retracted and single answers corrected. Both are new events,
so nothing is ever overwritten. A step holds the measurements of one trained model. A failure is
an error raised by work on the run. `dal_core.run.state` computes the run's state from its events.

`image_id` is always the image's index in its data set, never a position in a subset.

Two numbers identify a state of the training set: `after` is the id of the last submission in it,
`corrected` that of the last correction. Each is 0 if there is none; `after` 0 is the initial set
alone. Ids grow with time and are never used twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dal_core.run.environment import Environment

Source = Literal["person", "oracle"]
Confusion = tuple[tuple[int, ...], ...]  # [C][C] counts: by label, then by predicted class

RANKING_KEPT = 100  # images kept per ranking: the batch, and replacements for skipped images


@dataclass(frozen=True)
class Query:
    """A request for labels: the images a model scored highest, best first.

    Attributes:
        query_id: unique id. After a retraction the images are asked again under a new id.
        n_labelled: size of the run's training set when the query was made.
        asked_by: size of the training set of the model that scored the images. It equals
            `n_labelled` in the report's procedure, and is smaller if labels arrived meanwhile.
        ranking: image ids by descending score, at most RANKING_KEPT.
        scores: the acquisition score of each image of `ranking`, in nats or as a fraction
            (docs/method.md, section 3).
        batch_size: number of images to label.
        after: id of the run's last submission when the query was made; 0 if none.
        corrected: id of the last correction that the scoring model was trained on; 0 if none.
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
        """The images to label: the `batch_size` best that are not in `skipped`."""
        kept = [image_id for image_id in self.ranking if image_id not in skipped]
        return tuple(kept[: self.batch_size])


@dataclass(frozen=True)
class Answer:
    """The label given to one image.

    Attributes:
        label: the class; None for a skipped image ("can't tell"), which leaves the pool.
        seconds: time the annotator took; None if it was not measured.
    """

    image_id: int
    label: int | None
    seconds: float | None = None


@dataclass(frozen=True)
class AnsweredBatch:
    """One submission from a label file, with which a new run starts.

    Attributes:
        at: when the answers were given (ISO 8601); None for now.
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
        answers: in the order they were given. In a `RunState`, corrections are applied.
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
        submission_id: the submission that contains the answer.
        label: the new label; None ("can't tell") removes the image from the training set.
        before: the label that it replaces; None for a skipped image.
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
    """An error raised by work on a run. No work is done on the run until it is cleared.

    A failure is cleared by new labels (a submission, a retraction or a correction) or by a
    request to try again.

    Attributes:
        reason: the error, in one line.
        at: when it was recorded (ISO 8601, UTC).
        n_changes: number of submissions, retractions and corrections of the run by then.
        retried: whether somebody has asked to try again.
    """

    reason: str
    at: str
    n_changes: int
    retried: bool = False


@dataclass(frozen=True)
class StepResult:
    """The measurements of one trained model (docs/method.md, section 5.2).

    Attributes:
        step: number of answered queries in the training set; 0 for the initial set alone.
        n_labelled: size of the training set.
        accuracy: fraction of the test images classified correctly; None without a test set, NaN
            after a training that diverged.
        mutual_information: mean over the test images, in nats; None and NaN as for `accuracy`.
        train_loss: training loss of the epoch whose weights were kept.
        val_loss: validation loss of that epoch; None if the protocol keeps the last weights.
        best_epoch: number of that epoch, from 1; None as for `val_loss`.
        seconds: time spent, by part ("train", "evaluate", "score").
        after, corrected: the state of the training set (see the head of this module).
        confusion: number of test images by label (row) and predicted class (column); None if
            they were not counted.
        environment: where it was computed; None if that was not recorded.
        nll, brier, ece: how well the mean predictions of the test images are calibrated: negative
            log-likelihood in nats, Brier score, and expected calibration error; None without a
            test set, and in steps of versions that did not measure it.
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
    environment: Environment | None = None
    nll: float | None = None
    brier: float | None = None
    ece: float | None = None
