"""What labelling cost a person: seconds by image, minutes along the curve.

Only what stands is counted: the time for a batch that was taken back is not, nor is a correction's.
"""

from __future__ import annotations

from dal_core.run.state import RunState


def has_times(log: RunState) -> bool:
    """Whether any answer says how long it took; the oracle's do not."""
    return bool(labelling_seconds(log))


def labelling_seconds(log: RunState) -> dict[int, float]:
    """Image id -> seconds it took, skipped images included, in the order of the submissions."""
    return {
        answer.image_id: answer.seconds
        for submission in log.submissions
        for answer in submission.answers
        if answer.seconds is not None
    }


def labelling_minutes(log: RunState) -> dict[int, float]:
    """Labels of each measured step -> minutes of labelling until then, never falling.

    Labels and time grow together: results overtaken by corrections are no steps of the log.

    The initial labels came with the data, so the first step costs none; an answer without a time
    (the oracle's) costs none either.
    """
    return {step.n_labelled: _minutes_until(log, step.after) for step in log.steps}


def _minutes_until(log: RunState, after: int) -> float:
    given = (one for one in log.submissions if one.submission_id <= after)
    return sum(answer.seconds or 0.0 for one in given for answer in one.answers) / 60
