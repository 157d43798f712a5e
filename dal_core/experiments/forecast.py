"""Forecast of the time a run still needs, and durations as text.

The time of a step grows linearly with the labels it trains on. A line is fitted through the last
steps and summed over the steps to come.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RECENT = 20  # steps used for the fit; a machine's speed drifts, so older ones are ignored
# Scoring and measuring cost the same at every step; training time grows with the labels. In
# `report`, a step at this many labels was measured to take twice as long as one without labels.
DOUBLING_LABELS = 200


def seconds_left(points: Sequence[tuple[int, float]], todo: Sequence[int]) -> float | None:
    """Estimated seconds for the steps to come; None before the first step is measured.

    Args:
        points: (labels, seconds) of the measured steps, in order.
        todo: labels of the steps to come.
    """
    if not points:
        return None
    labels, seconds = np.array(points[-RECENT:], dtype=float).T
    ahead = np.asarray(todo, dtype=float)
    if len(labels) < 3:  # too few for a line, so assume the usual growth
        growth = (DOUBLING_LABELS + ahead) / (DOUBLING_LABELS + labels[-1])
        return float((seconds[-1] * growth).sum())
    slope, level = np.polyfit(labels, seconds, 1)
    fastest_seen = seconds.min()  # noise must not make a forecast faster than any measured step
    return float(np.maximum(slope * ahead + level, fastest_seen).sum())


def duration(seconds: float | None) -> str:
    """`40 s`, `3 min 20 s`, `12 min`, `3 h 05 min` or `2 d 4 h`; empty for an unknown time."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 600:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"
