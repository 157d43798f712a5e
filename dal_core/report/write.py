"""Writes the tables, figures and statistics of records to a folder, for `dal report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dal_core import figures
from dal_core.record_file.build import merge
from dal_core.record_file.io import read_record, write_record
from dal_core.record_file.schema import Record, bounds, curves, unfinished
from dal_core.record_file.validate import RecordError
from dal_core.report.index_page import index_page
from dal_core.results.crossings import by_function
from dal_core.results.curves import CALIBRATION, METRICS, Metric, RunCurve
from dal_core.results.formats import csv, notes, to_frame, to_latex, to_markdown
from dal_core.results.statistics import Statistics, statistics
from dal_core.results.tables import tables


def write_report(
    records: Sequence[Record | Path | str],
    folder: Path | str,
    *,
    dataset: figures.LabelledImages | None = None,
    against: Mapping[str, Sequence[Record | Path | str]] | None = None,
    name: str = "these runs",
    formats: tuple[str, ...] = figures.FORMATS,
    calibration: bool = False,
) -> list[Path]:
    """Write tables 2-5, figures 1-6 and the statistics of records (docs/method.md, section 11).

    Args:
        records: records or their files; several are merged by (function, seed).
        folder: created if needed. Files of an earlier report are replaced, other files are kept.
        dataset: the images of figure 1; None leaves figure 1 out.
        against: other records by name to compare with `records`, such as {"released": [record]};
            the records of each entry are merged. Figures compare up to `figures.MAX_COMPARED`
            records, tables any number.
        name: the name of `records` in that comparison.
        formats: formats of the figures; any of svg, png and pdf.
        calibration: also draw NLL, Brier score and calibration error over labels, as far as they
            were measured.

    Returns:
        The files written, `index.md` first.

    Raises:
        RecordError: a record cannot be read or merged, or there is no run; nothing is written.
        ValueError: two records to compare have the same name; nothing is written.
        OSError: a file cannot be written.
    """
    record = _merged(records)
    runs = curves(record)
    others = {other: _merged(found) for other, found in (against or {}).items()}
    compared = {name: runs, **{other: curves(found) for other, found in others.items()}}
    if not runs:
        raise RecordError("the record has no run yet, so there is nothing to report")
    if name in others:
        raise ValueError(
            "records to compare must have different names: " + ", ".join([name, *others])
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = _write_tables(record, runs, folder)
    found = statistics(runs)
    written += _write_statistics(found, folder)
    written += _write_figures(record, runs, found.mean_labels_saved, folder, dataset, formats)
    if calibration:
        written += _write_calibration(record, runs, folder, formats)
    if 1 < len(compared) <= figures.MAX_COMPARED:
        for metric in METRICS:
            chart = figures.compare_figure(compared, metric)
            stem = folder / f"compare_{metric}"
            written += figures.save(chart, stem, figures.compare_data(compared, metric), formats)
    write_record(record, folder / "record.yaml")
    written.append(folder / "record.yaml")
    index = folder / "index.md"
    records_compared = {name: record, **others} if others else {}
    page = index_page(record, runs, found, [path.name for path in written], records_compared)
    index.write_text(page, encoding="utf-8")
    return [index, *written]


def _merged(records: Sequence[Record | Path | str]) -> Record:
    return merge([one if isinstance(one, Record) else read_record(Path(one)) for one in records])


def _write_tables(record: Record, runs: Sequence[RunCurve], folder: Path) -> list[Path]:
    found, remarks = tables(runs), notes(runs, unfinished(record))
    texts = {
        "tables.md": to_markdown(found, remarks),
        "tables.tex": to_latex(found, remarks),
        "tables.csv": csv(to_frame(found)),
    }
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    return [folder / file for file in texts]


def _write_statistics(found: Statistics, folder: Path) -> list[Path]:
    frames = {
        "means.csv": found.means,
        "differences.csv": found.differences,
        "mean_differences.csv": found.mean_differences,
        "labels_saved.csv": found.labels_saved,
        **({"calibration.csv": found.calibration} if len(found.calibration) else {}),
    }
    for file, frame in frames.items():
        (folder / file).write_text(csv(frame), encoding="utf-8")
    return [folder / file for file in frames]


def _write_calibration(
    record: Record, runs: Sequence[RunCurve], folder: Path, formats: tuple[str, ...]
) -> list[Path]:
    written, full = [], bounds(record)
    for metric in CALIBRATION:
        if any(run.points(metric) for run in runs):
            data = figures.bands_data(runs, full, metric)
            chart = figures.bands_figure(runs, full, metric)
            written += figures.save(chart, folder / f"calibration_{metric}", data, formats)
    return written


def _write_figures(
    record: Record,
    runs: Sequence[RunCurve],
    saved: pd.DataFrame,
    folder: Path,
    dataset: figures.LabelledImages | None,
    formats: tuple[str, ...],
) -> list[Path]:
    full = bounds(record)
    random = by_function(runs).get("random", [])
    charts: dict[str, tuple[Any, pd.DataFrame]] = {}
    if dataset is not None:
        charts["figure1"] = figures.examples_figure(dataset), figures.examples_data(dataset)
    metrics: dict[str, Metric] = {"figure2": "accuracy", "figure3": "mutual_information"}
    for name, metric in metrics.items():
        data = figures.bands_data(runs, full, metric)
        charts[name] = figures.bands_figure(runs, full, metric), data
    if random:
        charts["figure4"] = figures.crossings_figure(random), figures.crossings_data(random)
    for name, relative in (("figure5", False), ("figure6", True)):
        data = figures.needed_data(runs, relative)
        charts[name] = figures.needed_figure(runs, relative, published=True), data
    if len(saved):
        charts["mean_labels_saved"] = figures.savings_figure(saved), saved
    return [
        path
        for name, (chart, data) in charts.items()
        for path in figures.save(chart, folder / name, data, formats)
    ]
