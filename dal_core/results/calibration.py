"""Calibration over labels: NLL, Brier score and calibration error, with intervals over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from dal_core.results import seeds
from dal_core.results.curves import CALIBRATION, RunCurve

NAMES: dict[str, str] = {
    "nll": "NLL (nats)",
    "brier": "Brier score",
    "ece": "Calibration error (ECE)",
}
AT_LABELS = (50, 100)  # besides the last number of labels


def calibration_means(runs: Iterable[RunCurve]) -> pd.DataFrame:
    """The mean of each measure over seeds, where all runs of a function have it.

    Returns:
        Column `measure` (nll, brier or ece), then those of `seeds.means`; no row if no function
        has the measures.
    """
    runs = list(runs)
    frames = [seeds.means(runs, name).assign(measure=name) for name in CALIBRATION]
    found = pd.concat(frames, ignore_index=True)
    return found[["measure", *(name for name in found.columns if name != "measure")]]


def at_labels(means: pd.DataFrame) -> list[int]:
    """Where a table shows calibration: at 50, 100 and the last labels, as far as measured."""
    measured = {int(n) for n in means.n_labelled}
    return sorted({*measured.intersection(AT_LABELS), *([max(measured)] if measured else [])})


def calibration_table(means: pd.DataFrame, functions: Sequence[str]) -> pd.DataFrame:
    """The means as texts: a row for each measure and function, a column for each number of labels.

    A dash stands for what was not measured. The interval is in brackets, where there is one.

    Args:
        means: as `calibration_means` gives them.
        functions: the functions in the order of the rows.

    Returns:
        Columns `measure`, `acquisition`, and one for each number of labels, such as "50 labels".
    """
    at = at_labels(means)
    cells = {
        (row.measure, row.acquisition, row.n_labelled): _cell(row) for row in means.itertuples()
    }
    rows = [
        [measure, name, *(cells.get((measure, name, n), "–") for n in at)]
        for measure in CALIBRATION
        for name in functions
    ]
    return pd.DataFrame(rows, columns=["measure", "acquisition", *(f"{n} labels" for n in at)])


def _cell(row: object) -> str:
    mean, low, high = (float(getattr(row, name)) for name in ("mean", "low", "high"))
    interval = "" if pd.isna(low) else f" ({low:.3f} to {high:.3f})"
    return f"{mean:.3f}{interval}"
