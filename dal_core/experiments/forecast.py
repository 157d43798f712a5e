"""How long the rest of a run will take, from the steps measured so far.

A step's time grows in a straight line with the labels it trains on, so a line through the last
steps is laid and summed over those to come.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RECENT = 20  # steps; a machine's speed drifts, so old ones tell little
# Scoring and measuring cost the same at every step, training grows with the labels: measured for
# `report`, a step at this many labels takes about twice as long as one at none.
DOUBLING_LABELS = 200


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
    if len(labels) < 3:  # too few for a line: the usual growth
        growth = (DOUBLING_LABELS + ahead) / (DOUBLING_LABELS + labels[-1])
        return float((seconds[-1] * growth).sum())
    slope, level = np.polyfit(labels, seconds, 1)
    fastest_seen = seconds.min()  # noise must not forecast steps faster than any measured
    return float(np.maximum(slope * ahead + level, fastest_seen).sum())
