"""Everything that `dal report` writes: tables, figures and statistics of records, in one folder.

Owns the names of the files and the page that introduces them. Numbers come from `tables.py` and
`comparison.py`, charts from `figures/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dal_core import comparison, figures
from dal_core.analysis import METRICS, Metric, by_function
from dal_core.curves import RunCurve
from dal_core.display import display_name, in_order
from dal_core.record import (
    Record,
    bounds,
    curves,
    merge,
    protocol_params,
    read_record,
    unfinished,
    write_record,
)
from dal_core.table_formats import notes, to_frame, to_latex, to_markdown
from dal_core.tables import tables

LEVELS = tuple(round(0.70 + 0.01 * step, 2) for step in range(30))  # accuracies 70% .. 99%
_BOOTSTRAP_SEED = 0  # the same records give the same intervals


@dataclass(frozen=True)
class Statistics:
    """What stands beside the tables: data frames as `comparison.py` describes them."""

    means: pd.DataFrame
    differences: pd.DataFrame
    mean_differences: pd.DataFrame
    labels_saved: pd.DataFrame
    mean_labels_saved: pd.DataFrame


def statistics(runs: Sequence[RunCurve], sustained: bool = False) -> Statistics:
    """Means, paired differences to Random and labels saved, with intervals from four seeds on."""
    rng = np.random.default_rng(_BOOTSTRAP_SEED)
    differences = comparison.paired_differences(runs)
    saved = comparison.labels_saved(runs, LEVELS, sustained)
    return Statistics(
        means=comparison.means(runs, rng),
        differences=differences,
        mean_differences=comparison.mean_differences(differences, rng),
        labels_saved=saved,
        mean_labels_saved=comparison.mean_labels_saved(saved, rng),
    )


def write_report(
    records: Sequence[Record | Path | str],
    folder: Path | str,
    *,
    dataset: figures.LabelledImages | None = None,
    against: Mapping[str, Sequence[Record | Path | str]] | None = None,
    name: str = "these runs",
    formats: tuple[str, ...] = figures.FORMATS,
) -> list[Path]:
    """Write tables 2-5, figures 1-6 and the statistics of records into a folder.

    Args:
        records: read (or to be read); several are merged by (function, seed).
        folder: made if needed; files of an earlier report in it are replaced, others left alone.
        dataset: for figure 1, which is left out without one.
        against: other records by name, to be drawn beside these (`compare`), such as
            {"released": [record]}; each is merged on its own.
        name: what these records are called there.
        formats: of the figures, of svg, png and pdf.

    Returns:
        The files written, `index.md` first.

    Raises:
        RecordError: a record cannot be read or merged, or holds no run; nothing is written.
    """
    record = _merged(records)
    runs = curves(record)
    others = {other: curves(_merged(theirs)) for other, theirs in (against or {}).items()}
    compared = {name: runs, **others}
    if not runs:
        raise figures_error("the record holds no run yet, there is nothing to report")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = _write_tables(record, runs, folder)
    written += _write_statistics(statistics(runs), folder)
    written += _write_figures(record, runs, folder, dataset, formats)
    if others:
        for metric in METRICS:
            chart = figures.compare_figure(compared, metric)
            stem = folder / f"compare_{metric}"
            written += figures.save(chart, stem, figures.compare_data(compared, metric), formats)
    write_record(record, folder / "record.yaml")
    written.append(folder / "record.yaml")
    index = folder / "index.md"
    index.write_text(_index(record, runs, written, folder), encoding="utf-8")
    return [index, *written]
