"""What answers must be to fit the query they are for: the one definition, at every door.

The learner, the store and so the page and the command line pass answers through here. Answers
come from people's browsers; what does not fit is refused in one line and nothing is changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from dal_core.run.events import Answer, Query

N_CLASSES = 10


class AnswerError(ValueError):
    """Answers that do not fit their query; the message is one line and nothing was written."""


def check_answers(query: Query, answers: Sequence[Answer]) -> tuple[Answer, ...]:
    """The answers with plain numbers, if each is sound and together they complete the query.

    Raises:
        AnswerError: naming the image, the value and what is allowed.
    """
    clean = clean_answers(answers)
    check_complete(query, clean)
    return clean


def clean_answers(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    """The answers with plain numbers, each checked by itself. Raises AnswerError."""
    clean = tuple(_clean_answer(answer) for answer in answers)
    twice = repeated(answer.image_id for answer in clean)
    if twice is not None:
        raise AnswerError(f"image {twice} is answered twice; give one answer per image")
    return clean


def check_complete(query: Query, answers: Sequence[Answer]) -> None:
    """Exactly the shown images are labelled, and only ranked ones skipped. Raises AnswerError."""
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
    """Whether both say the same of the same images, in whatever order and time."""
    return _said(one) == _said(other)


def _clean_answer(answer: Answer) -> Answer:
    image_id, label, seconds = answer.image_id, answer.label, answer.seconds
    if not is_int(image_id):
        raise AnswerError(f"image id is {image_id!r}; allowed: a whole number")
    if label is not None and not (is_int(label) and 0 <= label < N_CLASSES):
        raise AnswerError(
            f"label of image {image_id} is {label!r}; allowed: 0 to {N_CLASSES - 1}, or None"
        )
    if seconds is not None and not is_amount(seconds):
        raise AnswerError(f"seconds of image {image_id} is {seconds!r}; allowed: 0 or more")
    return Answer(
        image_id=int(image_id),
        label=None if label is None else int(label),
        seconds=None if seconds is None else float(seconds),
    )


def is_int(value: Any) -> bool:
    """A whole number that is not a truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_amount(value: Any) -> bool:
    """A finite number from 0."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value) and float(value) >= 0
    except OverflowError:  # a whole number beyond what a float holds
        return False


def repeated(image_ids: Iterable[int]) -> int | None:
    """The first id that comes a second time, or None."""
    seen: set[int] = set()
    for image_id in image_ids:
        if image_id in seen:
            return image_id
        seen.add(image_id)
    return None


def _said(answers: Sequence[Answer]) -> Mapping[int, int | None]:
    return {answer.image_id: answer.label for answer in answers}


def _listed(image_ids: Iterable[int]) -> str:
    return ", ".join(map(str, image_ids))
