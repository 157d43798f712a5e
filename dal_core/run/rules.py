"""What answers, queries and results must satisfy, when they are given and when they are read again.

Answers come from browsers, so none is trusted: a wrong one raises a one-line AnswerError. What the
store holds was checked before it was written, so the checks of stored rows only find what changed
on the disk.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from dal_core.run.events import Answer, Query, StepResult

if TYPE_CHECKING:
    from dal_core.run.state import RunState


# The largest value of each measure of calibration (docs/method.md, section 5.2), up to the
# rounding of float32 probabilities.
MOST_CALIBRATION: Mapping[str, float] = {
    "nll": 126 * math.log(2) + 1e-5,
    "brier": 2 + 1e-5,
    "ece": 1 + 1e-5,
}


class AnswerError(ValueError):
    """Answers do not fit their query. The message is one line, and nothing was written."""


def clean_answers(answers: Sequence[Answer], n_classes: int) -> tuple[Answer, ...]:
    """Check each answer and return it as plain numbers.

    Raises:
        AnswerError: an id, label or time is not allowed, or an image is answered twice.
    """
    clean = tuple(_clean_answer(answer, n_classes) for answer in answers)
    twice = repeated(answer.image_id for answer in clean)
    if twice is not None:
        raise AnswerError(f"image {twice} is answered twice; give one answer per image")
    return clean


def check_complete(query: Query, answers: Sequence[Answer]) -> None:
    """Check that the answers complete the query.

    Raises:
        AnswerError: a shown image has no label, an image that is not shown has one, or an image
            outside the ranking is skipped.
    """
    skipped = {answer.image_id for answer in answers if answer.label is None}
    labelled = {answer.image_id for answer in answers if answer.label is not None}
    shown = query.shown(skipped)
    for image_id in sorted(skipped.difference(query.ranking)):
        raise AnswerError(f"image {image_id} is skipped but the query does not rank it")
    for image_id in sorted(labelled.difference(shown)):
        raise AnswerError(f"image {image_id} is labelled but not shown; shown: {_listed(shown)}")
    missing = [image_id for image_id in shown if image_id not in labelled]
    if missing:
        raise AnswerError(f"labels are missing for: {_listed(missing)}; label or skip each image")


def same_answers(one: Sequence[Answer], other: Sequence[Answer]) -> bool:
    """Whether both give the same labels to the same images; order and times may differ."""
    return _labels(one) == _labels(other)


def check_query(query: Query) -> None:
    """Raises ValueError, one line, if no query can look like this."""
    where = f"query {query.query_id!r}"
    _check_counts(where, query, ("n_labelled", "asked_by", "batch_size", "after", "corrected"))
    for image_id in query.ranking:
        _require(is_int(image_id) and image_id >= 0, f"{where} ranks image {image_id!r}")
    twice = repeated(query.ranking)
    _require(twice is None, f"{where} ranks image {twice} twice")
    _require(
        len(query.scores) == len(query.ranking),
        f"{where} has {len(query.ranking)} images and {len(query.scores)} scores",
    )
    for score in query.scores:
        _require(score is None or _is_number(score), f"{where} has the score {score!r}")


def check_step(step: StepResult) -> None:
    """Raises ValueError, one line, if nothing can have been measured like this."""
    where = f"step {step.step!r}"
    _check_counts(where, step, ("step", "n_labelled", "after", "corrected"))
    _require(
        step.accuracy is None or _is_nan(step.accuracy) or _is_share(step.accuracy),
        f"{where} has the accuracy {step.accuracy!r}",
    )
    for name in ("mutual_information", "train_loss", "val_loss"):
        value = getattr(step, name)
        _require(value is None or _is_number(value), f"{where} has the {name} {value!r}")
    for name, most in MOST_CALIBRATION.items():
        value = getattr(step, name)
        _require(
            value is None or (is_amount(value) and value <= most),
            f"{where} has the {name} {value!r}",
        )
    epoch = step.best_epoch
    _require(epoch is None or is_int(epoch), f"{where} has the best_epoch {epoch!r}")
    seconds: Any = step.seconds
    timed = isinstance(seconds, dict) and all(is_amount(one) for one in seconds.values())
    _require(timed, f"{where} has the seconds {seconds!r}")


def broken_rules(log: RunState) -> list[str]:
    """What in a log contradicts itself, one line each; empty for a sound log."""
    found = []
    for submission in log.submissions:
        query = log.queries.get(submission.query_id)
        if query is None:
            found.append(f"submission {submission.submission_id} answers a query that is missing")
            continue
        unasked = [a.image_id for a in submission.answers if a.image_id not in query.ranking]
        if unasked:
            what = f"image {unasked[0]}, which was not asked"
            found.append(f"submission {submission.submission_id} answers {what}")
    answered = [a.image_id for one in log.submissions for a in one.answers]
    if (twice := repeated(answered)) is not None:
        found.append(f"image {twice} is answered twice")
    for step in log.steps:
        expected = log.n_labelled_at(step.after, step.corrected)
        if step.n_labelled != expected:
            n = step.n_labelled
            found.append(f"step {step.step} has {n} labels; its submissions give {expected}")
    return found


def is_int(value: Any) -> bool:
    """Whether the value is a whole number (True and False are not)."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_amount(value: Any) -> bool:
    """Whether the value is a finite number of 0 or more."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value) and float(value) >= 0
    except OverflowError:  # an integer too large for a float
        return False


def repeated(image_ids: Iterable[int]) -> int | None:
    """The first id that occurs twice, or None."""
    seen: set[int] = set()
    for image_id in image_ids:
        if image_id in seen:
            return image_id
        seen.add(image_id)
    return None


def _clean_answer(answer: Answer, n_classes: int) -> Answer:
    image_id, label, seconds = answer.image_id, answer.label, answer.seconds
    if not is_int(image_id):
        raise AnswerError(f"image id is {image_id!r}; allowed: a whole number")
    if label is not None and not (is_int(label) and 0 <= label < n_classes):
        raise AnswerError(
            f"label of image {image_id} is {label!r}; allowed: 0 to {n_classes - 1}, or None"
        )
    if seconds is not None and not is_amount(seconds):
        raise AnswerError(f"seconds of image {image_id} is {seconds!r}; allowed: 0 or more")
    return Answer(
        image_id=int(image_id),
        label=None if label is None else int(label),
        seconds=None if seconds is None else float(seconds),
    )


def _check_counts(where: str, row: Query | StepResult, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(row, name)
        _require(is_int(value) and value >= 0, f"{where} has the {name} {value!r}")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _labels(answers: Sequence[Answer]) -> Mapping[int, int | None]:
    return {answer.image_id: answer.label for answer in answers}


def _listed(image_ids: Iterable[int]) -> str:
    return ", ".join(map(str, image_ids))
