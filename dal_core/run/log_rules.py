"""What every log satisfies; one that does not is damaged.

Rows are checked when they are written, so these checks only find what changed on the disk.
"""

from __future__ import annotations

import math
from typing import Any

from dal_core.run.answers import is_amount, is_int, repeated
from dal_core.run.events import Answer, Query, StepResult
from dal_core.run.state import RunState


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


def check_answer(answer: Answer, n_classes: int) -> None:
    """Raises ValueError, one line, if nobody can have answered this."""
    where = f"the answer to image {answer.image_id!r}"
    _require(is_int(answer.image_id) and answer.image_id >= 0, f"{where} names no image")
    label = answer.label
    known = label is None or (is_int(label) and 0 <= label < n_classes)
    _require(known, f"{where} is {label!r}, which is no class")
    seconds = answer.seconds
    _require(seconds is None or is_amount(seconds), f"{where} took {seconds!r} seconds")


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
    epoch = step.best_epoch
    _require(epoch is None or is_int(epoch), f"{where} has the best_epoch {epoch!r}")
    seconds: Any = step.seconds
    timed = isinstance(seconds, dict) and all(is_amount(one) for one in seconds.values())
    _require(timed, f"{where} has the seconds {seconds!r}")


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
