"""What answers and queries must be before they enter the log; pure.

Answers come from people's browsers and are refused with AnswerError; a query that contradicts
its run is a caller's fault and a ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from dal_core.records import Answer, AnswerError, Query, StepResult
from dal_core.store.log import RunLog

N_CLASSES = 10
SOURCES = ("person", "oracle")


def clean_answers(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    """The answers with plain numbers, each checked by itself. Raises AnswerError."""
    clean = tuple(_clean_answer(answer) for answer in answers)
    twice = _repeated(answer.image_id for answer in clean)
    if twice is not None:
        raise AnswerError(f"image {twice} is answered twice; give one answer per image")
    return clean


def check_author(annotator: str, source: str) -> None:
    """Raises AnswerError for an empty annotator or an unknown source."""
    if not isinstance(annotator, str) or not annotator.strip():
        raise AnswerError(f"annotator is {annotator!r}; allowed: any name that is not empty")
    if source not in SOURCES:
        raise AnswerError(f"source is {source!r}; allowed: {', '.join(SOURCES)}")


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


def check_query(log: RunLog, query: Query) -> None:
    """A query for the present state fits its run. Raises ValueError."""
    if not query.ranking or len(query.ranking) != len(query.scores):
        raise ValueError(
            f"ranking has {len(query.ranking)} images and {len(query.scores)} scores; "
            "allowed: at least one image and a score for each"
        )
    if query.batch_size < 1:
        raise ValueError(f"batch_size is {query.batch_size}; allowed: 1 or more")
    twice = _repeated(query.ranking)
    if twice is not None:
        raise ValueError(f"image {twice} is ranked twice")
    gone = {image_id for image_id, _ in log.labels()} | log.skipped
    for image_id in query.ranking:
        if image_id in gone:
            raise ValueError(f"image {image_id} is ranked but is no longer in the pool")
    _check_n_labelled(log, query)


def check_step(log: RunLog, result: StepResult) -> None:
    """A result for a surviving state has that state's number of labels. Raises ValueError."""
    _check_n_labelled(log, result)


def check_directives(values: Mapping[str, Any]) -> None:
    """Directives by name are in their range. Raises ValueError."""
    for name in ("oracle_until", "until_labels"):
        value = values.get(name)
        if value is not None and not (_is_int(value) and value >= 0):
            raise ValueError(f"{name} is {value!r}; allowed: a whole number from 0, or None")
    accuracy = values.get("until_accuracy")
    if accuracy is not None and not (_is_amount(accuracy) and 0 < accuracy <= 1):
        raise ValueError(f"until_accuracy is {accuracy!r}; allowed: above 0 to 1, or None")
    if values.get("paused") not in (None, False, True):
        raise ValueError(f"paused is {values['paused']!r}; allowed: True or False")


def _check_n_labelled(log: RunLog, record: Query | StepResult) -> None:
    expected = log.n_labelled_at(record.after)
    if record.n_labelled != expected:
        raise ValueError(
            f"n_labelled is {record.n_labelled}; after submission {record.after} it is {expected}"
        )


def _clean_answer(answer: Answer) -> Answer:
    image_id, label, seconds = answer.image_id, answer.label, answer.seconds
    if not _is_int(image_id):
        raise AnswerError(f"image id is {image_id!r}; allowed: a whole number")
    if label is not None and not (_is_int(label) and 0 <= label < N_CLASSES):
        raise AnswerError(
            f"label of image {image_id} is {label!r}; allowed: 0 to {N_CLASSES - 1}, or None"
        )
    if seconds is not None and not _is_amount(seconds):
        raise AnswerError(f"seconds of image {image_id} is {seconds!r}; allowed: 0 or more")
    return Answer(
        image_id=int(image_id),
        label=None if label is None else int(label),
        seconds=None if seconds is None else float(seconds),
    )


def _is_int(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_amount(value: Any) -> bool:
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and math.isfinite(value) and value >= 0


def _repeated(image_ids: Iterable[int]) -> int | None:
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
