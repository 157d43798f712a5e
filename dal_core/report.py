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
    RecordError,
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
        raise RecordError("the record holds no run yet, there is nothing to report")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = _write_tables(record, runs, folder)
    found = statistics(runs)
    written += _write_statistics(found, folder)
    written += _write_figures(record, runs, found.mean_labels_saved, folder, dataset, formats)
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


def _merged(records: Sequence[Record | Path | str]) -> Record:
    return merge([one if isinstance(one, Record) else read_record(Path(one)) for one in records])


def _write_tables(record: Record, runs: Sequence[RunCurve], folder: Path) -> list[Path]:
    found, remarks = tables(runs), notes(unfinished(record))
    texts = {
        "tables.md": to_markdown(found, remarks),
        "tables.tex": to_latex(found, remarks),
        "tables.csv": to_frame(found).to_csv(index=False),
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
    }
    for file, frame in frames.items():
        frame.to_csv(folder / file, index=False)
    return [folder / file for file in frames]


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
        charts["figure1"] = figures.digits_figure(dataset), figures.digits_data(dataset)
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


_TITLES = {
    "figure1": "Figure 1: examples of the images with their labels",
    "figure2": "Figure 2: test accuracy over labels (mean over runs, band of one std)",
    "figure3": "Figure 3: test mutual information over labels (mean over runs, band of one std)",
    "figure4": "Figure 4: Random's runs and where they cross 5% error",
    "figure5": "Figure 5: labels needed for 10% and 5% error",
    "figure6": "Figure 6: the same as a share of Random's",
    "mean_labels_saved": "Labels saved against Random at each accuracy",
    "compare_accuracy": "Records compared: test accuracy",
    "compare_mutual_information": "Records compared: test mutual information",
}


def _index(record: Record, runs: Sequence[RunCurve], written: Sequence[Path], folder: Path) -> str:
    """The page to open first: what was run, where everything is, and the figures."""
    files = [path.relative_to(folder).as_posix() for path in written]
    lines = ["# Report", "", *_what_was_run(record, runs), "", "## Tables and numbers", ""]
    others = [file for file in files if not file.startswith(tuple(_TITLES))]
    lines += [f"- [{file}]({file})" for file in others]
    for stem, title in _TITLES.items():
        own = [file for file in files if Path(file).stem == stem]
        if own:
            shown = next((f for f in own if f.endswith((".svg", ".png"))), None)
            links = ", ".join(f"[{Path(file).suffix[1:]}]({file})" for file in own)
            lines += ["", f"## {title}", "", links]
            lines += ["", f"![{title}]({shown})"] if shown else []
    return "\n".join(lines) + "\n"


def _what_was_run(record: Record, runs: Sequence[RunCurve]) -> list[str]:
    groups = by_function(runs)
    lines = []
    for name in in_order(list(groups)):
        seeds = ", ".join(str(run.seed) for run in groups[name])
        points = " or ".join(str(n) for n in sorted({len(run) for run in groups[name]}))
        lines.append(f"- {display_name(name)}: seeds {seeds}; {points} points a run")
    full = bounds(record)
    if full:
        each = ", ".join(f"{bound.accuracy:.4f}" for bound in full)
        lines.append(f"- Trained on all images: test accuracy {each}")
    params = protocol_params(record)
    params.pop("run_on_full", None)
    parameters = ", ".join(f"{key} {value}" for key, value in params.items())
    return [*lines, f"- Parameters: {parameters}"]
