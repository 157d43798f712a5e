"""A person's labelling time: seconds for each image, minutes along the curve.

Retracted batches and corrections are not counted, and of each image at most `MOST_SECONDS`: who
leaves the page open does not label meanwhile. The log and the exports keep the time as measured.
"""

from __future__ import annotations

from dal_core.run.state import RunState

MOST_SECONDS = 60.0  # counted for one image; what is above is idle time


def counted(seconds: float | None) -> float | None:
    """The labelling time in a measured time; None if nothing was measured."""
    return None if seconds is None else min(seconds, MOST_SECONDS)


def labelling_seconds(log: RunState) -> dict[int, float]:
    """Image id -> seconds, in the order of the submissions; empty for the oracle's answers.

    Skipped images are included.
    """
    return {
        answer.image_id: seconds
        for submission in log.submissions
        for answer in submission.answers
        if (seconds := counted(answer.seconds)) is not None
    }


def labelling_minutes(log: RunState) -> dict[int, float]:
    """Number of labels at each measured step -> minutes of labelling up to it, never decreasing.

    Initial labels come with the data and cost no time. An answer without a time counts as zero.
    Steps that a correction replaced are not included.
    """
    return {step.n_labelled: _minutes_until(log, step.after) for step in log.steps}


def _minutes_until(log: RunState, after: int) -> float:
    earlier = (one for one in log.submissions if one.submission_id <= after)
    return sum(counted(answer.seconds) or 0.0 for one in earlier for answer in one.answers) / 60
