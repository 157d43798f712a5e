"""The small frozen records that flow between learner, store, command line and pages.

`image_id` is always the image's index in its data set, never a position in a subset.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Source = Literal["person", "oracle"]


class AnswerError(ValueError):
    """Answers do not fit the query they are for; the message is one line."""


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
        after: id of the last submission in the training set; 0 for the initial set alone.
    """

    query_id: str
    n_labelled: int
    asked_by: int
    ranking: tuple[int, ...]
    scores: tuple[float, ...]
    batch_size: int
    after: int = 0

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
class StepResult:
    """What was measured of the model that had `n_labelled` labels.

    `accuracy` is a fraction, `mutual_information` in nats, `seconds` by part (train, evaluate,
    score). `val_loss` and `best_epoch` are None where the protocol keeps the last weights.
    """

    step: int
    n_labelled: int
    accuracy: float
    mutual_information: float
    train_loss: float
    val_loss: float | None = None
    best_epoch: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    after: int = 0


def check_answers(query: Query, answers: Sequence[Answer], n_classes: int = 10) -> None:
    """Exactly the images shown are labelled, each with a class; the skipped are of the ranking.

    Raises:
        AnswerError: naming the image, the value and what is allowed.
    """
    ids = [answer.image_id for answer in answers]
    twice = next((i for i in ids if ids.count(i) > 1), None)
    if twice is not None:
        raise AnswerError(f"image {twice} is answered twice; allowed: once")
    stranger = next((i for i in ids if i not in query.ranking), None)
    if stranger is not None:
        raise AnswerError(f"image {stranger} is not among the images of this query")
    for answer in answers:
        if answer.label is None:
            continue
        if type(answer.label) is not int or not 0 <= answer.label < n_classes:
            raise AnswerError(
                f"label of image {answer.image_id} is {answer.label!r}; "
                f"allowed: 0 to {n_classes - 1}, or None for skipped"
            )
    labelled = {answer.image_id for answer in answers if answer.label is not None}
    shown = query.shown([answer.image_id for answer in answers if answer.label is None])
    missing = next((i for i in shown if i not in labelled), None)
    if missing is not None:
        raise AnswerError(f"image {missing} has no label; label or skip each of the images shown")
    extra = next((i for i in labelled if i not in shown), None)
    if extra is not None:
        raise AnswerError(f"image {extra} was not shown; allowed: {', '.join(map(str, shown))}")
