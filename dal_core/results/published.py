"""Published numbers that tables and figures show beside ours.

`LABELS_NEEDED`: Pilz (2025), "Deep Active Learning for Image Data", tables 2 and 3. Its column
`gal`: Gal, Islam and Ghahramani (2017), "Deep Bayesian Active Learning with Image Data", table 1.
`CURVE_POINTS` and `FULL_DATA`: three-run means and bounds of the record published with Pilz (2025).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dal_core.results.curves import Bound


@dataclass(frozen=True)
class LabelsNeeded:
    """Labels that one function needed to reach one error, as printed.

    Attributes:
        runs: labels of the report's three runs, sorted by value, not by seed.
        step_average: mean of `runs`, rounded to one decimal.
        std: population standard deviation of `runs`, rounded to one decimal.
        average_step: labels at which the report's averaged curve reaches the error.
        gal: the number of Gal et al. (2017).
    """

    runs: tuple[int, ...]
    step_average: float
    std: float
    average_step: int
    gal: int


LABELS_NEEDED: Mapping[float, Mapping[str, LabelsNeeded]] = {  # error -> function -> numbers
    0.10: {
        "max_entropy": LabelsNeeded((130, 130, 140), 133.3, 4.7, 130, 165),
        "bald": LabelsNeeded((100, 120, 140), 120.0, 16.3, 130, 145),
        "variation_ratios": LabelsNeeded((100, 110, 120), 110.0, 8.2, 110, 120),
        "mean_std": LabelsNeeded((120, 120, 130), 123.3, 4.7, 120, 230),
        "random": LabelsNeeded((180, 200, 200), 193.3, 9.4, 200, 255),
    },
    0.05: {
        "max_entropy": LabelsNeeded((230, 240, 290), 253.3, 26.2, 270, 355),
        "bald": LabelsNeeded((240, 250, 270), 253.3, 12.5, 270, 335),
        "variation_ratios": LabelsNeeded((180, 190, 210), 193.3, 12.5, 240, 295),
        "mean_std": LabelsNeeded((240, 260, 270), 256.7, 12.5, 250, 695),
        "random": LabelsNeeded((400, 510, 530), 480.0, 57.2, 610, 835),
    },
}

REPORT_FUNCTIONS = tuple(LABELS_NEEDED[0.10])
"""The five acquisition functions that the report compares."""

CURVE_POINTS: Mapping[str, Mapping[int, float]] = {  # function -> labels -> test accuracy
    "bald": {20: 0.628, 70: 0.835, 120: 0.896, 220: 0.939},
    "random": {20: 0.628, 70: 0.824, 120: 0.857, 220: 0.907},
}

FULL_DATA: tuple[Bound, ...] = (
    Bound(1, 0.9909, 0.0334),
    Bound(2, 0.9909, 0.0353),
    Bound(3, 0.9921, 0.0315),
)
