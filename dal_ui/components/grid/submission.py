"""What the grid sends, a labelled query or its undoing: records, and the checks at the door.

Owns the shape of a submission, not its meaning: whether it is stored, refused or a repeat is the
store's business.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

N_DIGITS = 10
MAX_TEXT = 200
_NONCE = re.compile(r"[A-Za-z0-9-]{8,64}")
_IMAGE_ID = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class GridSubmission:
    """What one person answered to one query."""

    nonce: str
    """Made once per submission: the same message sent again carries the same one."""
    query_id: str
    answers: dict[int, int]
    """Image id -> digit."""
    skipped: tuple[int, ...]
    """Image ids the person cannot tell, in the order in which they were skipped."""
    seconds: dict[int, float]
    """Image id -> time spent on it, for answered and skipped images."""


@dataclass(frozen=True)
class GridUndo:
    """A person takes back the submission they know as the last one."""

    nonce: str
    submission_id: int


@dataclass(frozen=True)
class GridReview:
    """A person wants the review open, or closed."""

    nonce: str
    open: bool


def parse_review(raw: object) -> GridReview | None:
    """Read the message `{nonce, open}` of the review key.

    Raises:
        ValueError: one line naming the field, its value and what is allowed.
    """
    if raw is None:
        return None
    message = _mapping("review", raw)
    is_open = message.get("open")
    if not isinstance(is_open, bool):
        raise ValueError(_wrong("open", is_open, "true or false"))
    return GridReview(_nonce(message.get("nonce")), is_open)


def parse_undo(raw: object) -> GridUndo | None:
    """Read the message `{nonce, submission_id}` of the undo key.

    Args:
        raw: whatever came from the browser; None when nothing was taken back yet.

    Raises:
        ValueError: one line naming the field, its value and what is allowed.
    """
    if raw is None:
        return None
    message = _mapping("undo", raw)
    number = message.get("submission_id")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(_wrong("submission_id", number, "the number of a submission"))
    return GridUndo(_nonce(message.get("nonce")), number)


def parse_submission(raw: object) -> GridSubmission | None:
    """Read the message `{nonce, query_id, answers, skipped, ms}` of the grid.

    Args:
        raw: whatever came from the browser; None when nothing was submitted yet.

    Raises:
        ValueError: one line naming the field, its value and what is allowed.
    """
    if raw is None:
        return None
    message = _mapping("submission", raw)
    nonce = _nonce(message.get("nonce"))
    query_id = message.get("query_id")
    if not isinstance(query_id, str) or not 0 < len(query_id) <= MAX_TEXT:
        raise ValueError(_wrong("query_id", query_id, f"a text of 1 to {MAX_TEXT} characters"))
    answers = {
        _image_id("answers", key): _digit(value)
        for key, value in _mapping("answers", message.get("answers")).items()
    }
    skipped = _skipped(message.get("skipped"), answers)
    seconds = {
        _image_id("ms", key): _seconds(value)
        for key, value in _mapping("ms", message.get("ms")).items()
    }
    if unknown := sorted(seconds.keys() - answers.keys() - set(skipped)):
        raise ValueError(_wrong("ms", unknown, "only images answered or skipped"))
    if not answers and not skipped:
        raise ValueError(_wrong("answers", {}, "at least one image answered or skipped"))
    return GridSubmission(nonce, query_id, answers, skipped, seconds)


def check_answers_query(
    submission: GridSubmission, image_ids: Sequence[int], batch_size: int
) -> None:
    """Check that a submission is about the images offered, and about all that were shown.

    Args:
        image_ids: the query's ranking as the grid was given it, best first.
        batch_size: images shown at a time; fewer answers complete a query only when skips have
            used the ranking up.

    Raises:
        ValueError: an image was not on screen, or an answer is missing.
    """
    reached = image_ids[: batch_size + len(submission.skipped)]
    given = {*submission.answers, *submission.skipped}
    if strangers := sorted(given - set(reached)):
        raise ValueError(_wrong("answers", strangers, f"only images shown: {list(reached)}"))
    if missing := sorted(set(reached) - given):
        raise ValueError(_wrong("answers", sorted(submission.answers), f"also {missing}"))


def _nonce(value: object) -> str:
    if not isinstance(value, str) or not _NONCE.fullmatch(value):
        raise ValueError(_wrong("nonce", value, "8 to 64 letters, digits or hyphens"))
    return value


def _skipped(value: object, answers: Iterable[int]) -> tuple[int, ...]:
    allowed = "a list of different image ids without an answer"
    if not isinstance(value, list | tuple):
        raise ValueError(_wrong("skipped", value, allowed))
    ids = tuple(_image_id("skipped", item) for item in value)
    if len(set(ids)) < len(ids) or set(ids) & set(answers):
        raise ValueError(_wrong("skipped", list(ids), allowed))
    return ids


def _mapping(field: str, value: object) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        raise ValueError(_wrong(field, value, "an object"))
    return value


def _image_id(field: str, value: object) -> int:
    """An image id: a whole number, as text where it was the key of an object."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and _IMAGE_ID.fullmatch(value):
        return int(value)
    raise ValueError(_wrong(field, value, "an image id, 0 or larger"))


def _digit(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < N_DIGITS:
        return value
    raise ValueError(_wrong("answers", value, f"a digit 0 to {N_DIGITS - 1}"))


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(_wrong("ms", value, "milliseconds, 0 or more"))
    if not math.isfinite(value) or value < 0:  # NaN and infinity are JSON to Python's reader
        raise ValueError(_wrong("ms", value, "milliseconds, 0 or more"))
    return value / 1000


def _wrong(field: str, value: object, allowed: str) -> str:
    text = repr(value)
    shown = text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "..."
    return f"submission: {field} is {shown}; allowed: {allowed}"
