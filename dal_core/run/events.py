"""The small frozen records that flow between learner, store, command line and pages.

`image_id` is always the image's index in its data set, never a position in a subset.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

Source = Literal["person", "oracle"]
Confusion = tuple[tuple[int, ...], ...]  # [C][C] counts: by label, then by predicted class

RANKING_KEPT = 100  # of a ranking: the ten shown, and what replaces the images a person skips


@dataclass(frozen=True)
class Query:
    """The images a model would learn most from, best first.

    Attributes:
        query_id: unique; a query undone and asked again gets a new one.
        n_labelled: labels in the training set when it was asked.
        asked_by: labels the asking model had; equal to `n_labelled` in the report's procedure.
        ranking: image ids by descending score, at most RANKING_KEPT.
        scores: the acquisition score of each, same order (nats, or a fraction; SPEC section 3).
        batch_size: how many are to be labelled.
        after: id of the last submission when it was asked, which then was the last in the training
            set too, unless the model is an older one; 0 for the initial set alone.
        corrected: id of the last correction in the training set of the asking model; 0: none.
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
        """The images to label now: the best `batch_size` that were not skipped."""
        kept = [image_id for image_id in self.ranking if image_id not in skipped]
        return tuple(kept[: self.batch_size])


@dataclass(frozen=True)
class Answer:
    """What was said of one image; `label` None means skipped ("can't tell")."""

    image_id: int
    label: int | None
    seconds: float | None = None


@dataclass(frozen=True)
class Batch:
    """Answers to one query that were given elsewhere; `at` is when, None: now."""

    annotator: str
    source: Source
    at: str | None
    answers: tuple[Answer, ...]  # in the order of training


@dataclass(frozen=True)
class Submission:
    """All answers to one query, given in one go by one annotator."""

    submission_id: int
    query_id: str
    annotator: str
    source: Source
    at: str
    answers: tuple[Answer, ...]

    @property
    def labels(self) -> dict[int, int]:
        """image id -> label, without the skipped."""
        return {a.image_id: a.label for a in self.answers if a.label is not None}

    @property
    def skipped(self) -> tuple[int, ...]:
        """Image ids that were skipped; they leave the pool."""
        return tuple(a.image_id for a in self.answers if a.label is None)


@dataclass(frozen=True)
class Correction:
    """A label of an earlier submission said anew; it stands while the submission does.

    Attributes:
        label: what it is now; None ("can't tell") takes the image out of the training set.
        before: what it was until then, None for a skipped image.
    """

    correction_id: int
    submission_id: int
    image_id: int
    label: int | None
    before: int | None
    annotator: str
    at: str


@dataclass(frozen=True)
class StepResult:
    """What was measured of the model that had `n_labelled` labels.

    `accuracy` is a fraction, `mutual_information` in nats, `seconds` by part (train, evaluate,
    score). Accuracy and mutual information are None where the run has no test set; NaN is a
    training that diverged. `val_loss` and `best_epoch` are None where the protocol keeps the last
    weights.
    `after` and `corrected` are the last submission and correction in the training set; 0: none.
    `confusion` counts the test images by label (row) and predicted class (column); None where it
    was not recorded.
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
