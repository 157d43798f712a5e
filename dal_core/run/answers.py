"""Checks that answers fit their query, for the store, the pages and the command line.

Answers come from browsers, so none is trusted: a wrong one raises a one-line AnswerError.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from dal_core.run.events import Answer, Query


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


def _labels(answers: Sequence[Answer]) -> Mapping[int, int | None]:
    return {answer.image_id: answer.label for answer in answers}


def _listed(image_ids: Iterable[int]) -> str:
    return ", ".join(map(str, image_ids))
