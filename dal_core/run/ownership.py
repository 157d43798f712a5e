"""Whose answers a run holds, and where people have answered in a run of the oracle.

Pure functions. People answer, undo and correct in people's runs only (`rows.why_read_only`). Others
count on the oracle's runs: experiments and baselines share them, and records say that the oracle
answered. Whoever wants to go on by hand forks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dal_core.run.events import Submission
from dal_core.run.rows import RunRow, why_read_only
from dal_core.run.rules import AnswerError

if TYPE_CHECKING:
    from dal_core.run.state import RunState

Answerers = tuple[str, ...]


class RunReadOnly(AnswerError):
    """People may not change this run; the message is one line. Nothing was written."""


def mixed_answers(log: RunState, experiments: Sequence[str] = ()) -> str | None:
    """What people did in a run that they may not change, in one line; None if nothing.

    Earlier versions allowed it. A fork may hold people's answers from before the fork.
    """
    if why_read_only(log.run, experiments) is None:
        return None
    given = [one for one in log.submissions if one.source == "person"]
    added = [one for one in given if not _is_copied(one, log.run)]
    if not added and not log.corrections:
        return None
    people = [one.annotator for one in added] + [one.annotator for one in log.corrections]
    return (
        f"run {log.run.run_id} is the oracle's, but holds "
        f"{sum(len(one.answers) for one in added)} answers and {len(log.corrections)} corrections "
        f"by people ({', '.join(dict.fromkeys(people))})"
    )


def name_answerers(answered: Iterable[tuple[str, str]], corrected: Iterable[str]) -> Answerers:
    """Whose answers they are, without repeats and in the order of the first.

    Args:
        answered: (source, annotator) of each submission.
        corrected: annotator of each correction.

    Returns:
        "oracle", or "person" and the name.
    """
    named = ["oracle" if source == "oracle" else f"person {name}" for source, name in answered]
    return tuple(dict.fromkeys([*named, *(f"person {name}" for name in corrected)]))


def _is_copied(submission: Submission, run: RunRow) -> bool:
    """Whether a fork began with this submission, which keeps the time of the original."""
    return run.forked_from is not None and submission.at <= run.created_at
