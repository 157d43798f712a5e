"""What the grid sends (labels, an undo, a review request): the records, and their parsing.

Only the shape of a message is checked here. The store decides whether labels fit their query.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dal_core.limits.text import shown

MAX_CLASSES = 1000  # a label beyond it is nonsense in any data set
MAX_TEXT = 200
MAX_ID = 10**12  # of images and submissions
MAX_MS = 1e12  # thirty years
MAX_ENTRIES = 100_000
_QUERY_ID = re.compile(f"[!-~]{{1,{MAX_TEXT}}}")
_NONCE = re.compile(r"[A-Za-z0-9-]{8,64}")
_IMAGE_ID = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class GridSubmission:
    """A person's labels for one query."""

    nonce: str
    """Made once per submission: a message sent twice carries the same nonce."""
    query_id: str
    answers: dict[int, int]
    """Image id -> class index."""
    skipped: tuple[int, ...]
    """Ids of the images the person skipped, in that order."""
    seconds: dict[int, float]
    """Image id -> seconds spent on it, for labelled and skipped images."""


@dataclass(frozen=True)
class GridUndo:
    """A request to take back a submission, named so that a message sent twice undoes only one."""

    nonce: str
    submission_id: int


@dataclass(frozen=True)
class GridReview:
    """A request to open the review, or to close it."""

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
        raw: what came from the browser; None before the first undo.

    Raises:
        ValueError: one line naming the field, its value and what is allowed.
    """
    if raw is None:
        return None
    message = _mapping("undo", raw)
    number = message.get("submission_id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= MAX_ID:
        raise ValueError(_wrong("submission_id", number, "the number of a submission"))
    return GridUndo(_nonce(message.get("nonce")), number)


def parse_submission(raw: object) -> GridSubmission | None:
    """Read the message `{nonce, query_id, answers, skipped, ms}` of the grid.

    Args:
        raw: what came from the browser; None before the first submission.

    Raises:
        ValueError: one line naming the field, its value and what is allowed.
    """
    if raw is None:
        return None
    message = _mapping("submission", raw)
    nonce = _nonce(message.get("nonce"))
    query_id = message.get("query_id")
    if not isinstance(query_id, str) or not _QUERY_ID.fullmatch(query_id):
        raise ValueError(_wrong("query_id", query_id, f"1 to {MAX_TEXT} letters, digits or signs"))
    answers = {
        _image_id("answers", key): _label(value)
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


def _nonce(value: object) -> str:
    if not isinstance(value, str) or not _NONCE.fullmatch(value):
        raise ValueError(_wrong("nonce", value, "8 to 64 letters, digits or hyphens"))
    return value


def _skipped(value: object, answers: Iterable[int]) -> tuple[int, ...]:
    allowed = "a list of different image ids without an answer"
    if not isinstance(value, list | tuple) or len(value) > MAX_ENTRIES:
        raise ValueError(_wrong("skipped", value, allowed))
    ids = tuple(_image_id("skipped", item) for item in value)
    if len(set(ids)) < len(ids) or set(ids) & set(answers):
        raise ValueError(_wrong("skipped", list(ids), allowed))
    return ids


def _mapping(field: str, value: object) -> Mapping[object, object]:
    if not isinstance(value, Mapping) or len(value) > MAX_ENTRIES:
        raise ValueError(_wrong(field, value, f"an object of at most {MAX_ENTRIES} entries"))
    return value


def _image_id(field: str, value: object) -> int:
    """An image id: a whole number, as text where it was the key of an object."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_ID:
        return value
    if isinstance(value, str) and _IMAGE_ID.fullmatch(value):
        return int(value)
    raise ValueError(_wrong(field, value, "an image id, 0 or larger"))


def _label(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_CLASSES:
        return value
    raise ValueError(_wrong("answers", value, "the index of a class, 0 or larger"))


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(_wrong("ms", value, "milliseconds, 0 or more"))
    # NaN and infinity are JSON to Python's reader; a comparison also takes any whole number.
    if not 0 <= value <= MAX_MS:
        raise ValueError(_wrong("ms", value, "milliseconds, 0 or more"))
    return value / 1000


def _wrong(field: str, value: object, allowed: str) -> str:
    return f"submission: {field} is {shown(value, MAX_TEXT)}; allowed: {allowed}"
