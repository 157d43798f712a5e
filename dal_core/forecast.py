"""How long the rest of a run will take, from the steps measured so far.

A step's time grows in a straight line with the labels it trains on, so a line through the last
steps is laid and summed over those to come.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RECENT = 20  # steps; a machine's speed drifts, so old ones tell little


def seconds_left(points: Sequence[tuple[int, float]], todo: Sequence[int]) -> float | None:
    """Estimated seconds for the steps to come; None before the first was measured.

    Args:
        points: (labels, seconds) of the measured steps, in order.
        todo: labels of the steps to come.
    """
    if not points:
        return None
    labels, seconds = np.array(points[-RECENT:], dtype=float).T
    ahead = np.asarray(todo, dtype=float)
    if len(labels) < 3:  # too few for a line: the time of a step, growing in proportion
        return float((seconds[-1] * np.maximum(ahead / labels[-1], 1.0)).sum())
    slope, level = np.polyfit(labels, seconds, 1)
    fastest_seen = seconds.min()  # noise must not forecast steps faster than any measured
    return float(np.maximum(slope * ahead + level, fastest_seen).sum())
