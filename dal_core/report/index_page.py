"""The first page of a report: a summary of the runs, their comparison with Random, and links."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dal_core.limits.escaping import markdown
from dal_core.record_file.differences import differing, unnamed
from dal_core.record_file.schema import Record, bounds, curves, protocol_params
from dal_core.results.calibration import NAMES, calibration_table
from dal_core.results.crossings import by_function
from dal_core.results.curves import RunCurve
from dal_core.results.formats import gaps
from dal_core.results.intervals import MIN_SEEDS
from dal_core.results.seeds import accuracy_step, differences_between, mean_differences
from dal_core.results.statistics import Statistics
from dal_core.results.titles import display_name, in_order

_EARLY_LABELS = (30, 50, 70, 100, 150)  # where runs of at most 200 labels are compared
_LATE_LABELS = (50, 100, 200, 300, 500, 1000)  # and longer ones
_AT_ACCURACIES = (0.80, 0.90, 0.95)
_TITLES = {
    "figure1": "Figure 1: examples of the images with their labels",
    "figure2": "Figure 2: test accuracy over labels (mean over runs, band of one std)",
    "figure3": "Figure 3: test mutual information over labels (mean over runs, band of one std)",
    "figure4": "Figure 4: Random's runs and where they cross 5% error",
    "figure5": "Figure 5: labels needed for 10% and 5% error",
    "figure6": "Figure 6: the same as a share of Random's",
    "calibration_nll": "Test NLL over labels (mean over runs, band of one std)",
    "calibration_brier": "Test Brier score over labels (mean over runs, band of one std)",
    "calibration_ece": "Test calibration error over labels (mean over runs, band of one std)",
    "mean_labels_saved": "Labels saved against Random at each accuracy",
    "compare_accuracy": "Records compared: test accuracy",
    "compare_mutual_information": "Records compared: test mutual information",
}


def index_page(
    record: Record,
    runs: Sequence[RunCurve],
    statistics: Statistics,
    files: Sequence[str],
    compared: Mapping[str, Record],
) -> str:
    """The page as Markdown.

    Args:
        statistics: the statistics of `runs`.
        files: names of the report's files, all in the folder of the page.
        compared: the records that are compared, by name; none or at least two.
    """
    lines = ["# Report", "", *_what_was_run(record, runs), *_compared(compared)]
    lines += _accuracies(statistics)
    lines += _against_random(statistics)
    lines += _calibration(statistics)
    lines += _against_first(compared)
    lines += ["", "## Tables and numbers", ""]
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
        lines.append(f"- {markdown(display_name(name))}: seeds {seeds}; {points} points a run")
    full = bounds(record)
    if full:
        each = ", ".join(f"{bound.accuracy:.4f}" for bound in full)
        lines.append(f"- Trained on all images: test accuracy {each}")
    params = protocol_params(record)
    params.pop("run_on_full", None)
    parameters = ", ".join(markdown(f"{key} {value}") for key, value in params.items())
    return [*lines, *(f"- {markdown(gap)}" for gap in gaps(runs)), f"- Parameters: {parameters}"]


def _compared(records: Mapping[str, Record]) -> list[str]:
    """In what the parameters of the records differ, and what cannot be compared."""
    if not records:
        return []
    params = {name: protocol_params(record) for name, record in records.items()}
    lines = [f"Records compared: {', '.join(records)}."]
    lines += [
        f"They differ in {key}: {' / '.join(str(value) for value in values.values())}."
        for key, values in differing(params)
    ]
    lines += [
        f"Not compared, because {name} does not name them: {', '.join(keys)}."
        for name, keys in unnamed(params).items()
    ]
    gap_lines = [f"{name}, {gap}" for name, one in records.items() for gap in gaps(curves(one))]
    return [f"- {markdown(line)}" for line in [*lines, *gap_lines]]


def _accuracies(statistics: Statistics) -> list[str]:
    """A table: the mean accuracy of each function at some numbers of labels."""
    means = statistics.means
    at = _at_labels(means)
    lines = ["", "## Accuracy", "", f"Test accuracy in percent {_interval_note(means)}:"]
    lines += _head([f"{n} labels" for n in at])
    for name in in_order(list(means.acquisition)):
        rows = _by(means, name, "n_labelled")
        lines.append(_line(name, [_cell(rows, n, 100, ".1f") for n in at]))
    return lines


def _calibration(statistics: Statistics) -> list[str]:
    """A table for each measure of calibration, at 50, 100 and the last number of labels."""
    means = statistics.calibration
    if means.empty:
        return []
    shown = calibration_table(means, in_order(list(means.acquisition)))
    lines = ["", "## Calibration"]
    for measure, rows in shown.groupby("measure", sort=False):
        lines += ["", f"{NAMES[str(measure)]}, lower is better {_interval_note(means)}:"]
        lines += _head(list(shown.columns[2:]))
        lines += [_line(name, cells) for _, name, *cells in rows.itertuples(index=False)]
    return lines


def _at_labels(frame: pd.DataFrame) -> list[int]:
    """The numbers of labels to show: round ones that were measured, and a short run's last."""
    measured = sorted({int(n) for n in frame.n_labelled})
    if not measured:
        return []
    last = measured[-1]
    shown = _LATE_LABELS if last > 200 else (*_EARLY_LABELS, last)
    return sorted(set(shown) & set(measured))


def _against_random(statistics: Statistics) -> list[str]:
    """Two tables: the accuracy gained over Random, and the labels saved up to an accuracy."""
    differences, saved = statistics.mean_differences, statistics.mean_labels_saved
    if differences.empty:
        return []
    at = _at_labels(differences)
    names = in_order(list(differences.acquisition))
    lines = ["", "## Against Random", ""]
    lines += [f"Accuracy above Random's, in points, paired by seed {_interval_note(differences)}:"]
    lines += _head([f"{n} labels" for n in at])
    for name in names:
        rows = _by(differences, name, "n_labelled")
        lines.append(_line(name, [_cell(rows, n, 100, "+.1f") for n in at]))
    lines += ["", f"Labels saved up to an accuracy, paired by seed {_interval_note(saved)}:"]
    lines += _head([f"{accuracy:.0%}" for accuracy in _AT_ACCURACIES])
    for name in names:
        rows = _by(saved, name, "accuracy")
        lines.append(_line(name, [_saved_cell(rows, level) for level in _AT_ACCURACIES]))
    return lines


def _against_first(records: Mapping[str, Record]) -> list[str]:
    """A table for each record but the first: its accuracy above that of the first."""
    lines: list[str] = []
    for name in list(records)[1:]:
        first, base = next(iter(records.items()))
        ours, theirs = curves(records[name]), curves(base)
        found = mean_differences(differences_between(ours, theirs), accuracy_step([*ours, *theirs]))
        if found.empty:
            continue
        at = _at_labels(found)
        title = f"{markdown(name)} against {markdown(first)}"
        lines += ["", f"## {title}", ""]
        note = _interval_note(found)
        lines += [f"Accuracy of {title}, in points, paired by function and seed {note}:"]
        lines += _head([f"{n} labels" for n in at])
        for function in in_order(list(found.acquisition)):
            rows = _by(found, function, "n_labelled")
            lines.append(_line(function, [_cell(rows, n, 100, "+.1f") for n in at]))
    return lines


def _interval_note(frame: pd.DataFrame) -> str:
    if frame.low.notna().any():
        return "(95% t interval of the mean over seeds)"
    return f"(an interval is given from {MIN_SEEDS} seeds on)"


def _head(columns: Sequence[str]) -> list[str]:
    return ["", "| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]


def _line(name: str, cells: Sequence[str]) -> str:
    return f"| {markdown(display_name(name))} | " + " | ".join(cells) + " |"


def _by(frame: pd.DataFrame, acquisition: str, key: str) -> dict[Any, dict[str, Any]]:
    rows = frame[frame.acquisition == acquisition].to_dict("records")
    return {row[key]: {str(column): value for column, value in row.items()} for row in rows}


def _cell(rows: Mapping[Any, Mapping[str, Any]], key: float, factor: float, number: str) -> str:
    if key not in rows:
        return "–"
    mean, low, high = (factor * rows[key][column] for column in ("mean", "low", "high"))
    interval = "" if math.isnan(low) else f" ({low:{number}} to {high:{number}})"
    return f"{mean:{number}}{interval}"


def _saved_cell(rows: Mapping[Any, Mapping[str, Any]], accuracy: float) -> str:
    reached, n_seeds = rows[accuracy]["n_reached"], rows[accuracy]["n_seeds"]
    if reached < n_seeds:
        return f"reached by {reached} of {n_seeds} pairs"
    return _cell(rows, accuracy, 1, "+.0f")
