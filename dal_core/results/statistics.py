"""The statistics of a report: means, paired differences to Random, labels saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from dal_core.results import seeds
from dal_core.results.calibration import calibration_means
from dal_core.results.curves import RunCurve

LEVELS = tuple(round(0.70 + 0.01 * step, 2) for step in range(30))  # accuracies 70% .. 99%


@dataclass(frozen=True)
class Statistics:
    """Data frames, each as the function of the same name in `seeds` returns it.

    Attributes:
        calibration: as `calibration.calibration_means` returns it.
    """

    means: pd.DataFrame
    differences: pd.DataFrame
    mean_differences: pd.DataFrame
    labels_saved: pd.DataFrame
    mean_labels_saved: pd.DataFrame
    calibration: pd.DataFrame


def statistics(runs: Sequence[RunCurve], sustained: bool = False) -> Statistics:
    """All statistics; intervals need at least `intervals.MIN_SEEDS` seeds."""
    differences = seeds.paired_differences(runs)
    saved = seeds.labels_saved(runs, LEVELS, sustained)
    return Statistics(
        means=seeds.means(runs),
        differences=differences,
        mean_differences=seeds.mean_differences(differences, seeds.accuracy_step(runs)),
        labels_saved=saved,
        mean_labels_saved=seeds.mean_labels_saved(saved, seeds.label_step(runs)),
        calibration=calibration_means(runs),
    )
