"""Tables 2-5 as Markdown, LaTeX and CSV.

Numbers are rounded as in the report: labels to whole numbers and their mean to one decimal, shares
to two decimals and their standard deviation to three. The lowest value of a column is bold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from dal_core.limits.escaping import latex, markdown, spreadsheet_safe
from dal_core.results.alignment import common_labels
from dal_core.results.crossings import by_function
from dal_core.results.curves import RunCurve
from dal_core.results.tables import Cells, Row, Table
from dal_core.results.titles import display_name

NEVER, UNKNOWN = "never", "–"
_WAYS = (  # prefix of the columns, cells of a row
    ("", lambda row: row.first),
    ("Sustained: ", lambda row: row.sustained),
    ("Report: ", lambda row: row.report),
)
_LATEX_NUMBERS = str.maketrans({"±": r"$\pm$", UNKNOWN: "--"})


def to_markdown(tables: Iterable[Table], notes: Sequence[str] = ()) -> str:
    """All tables as Markdown, followed by the notes."""
    parts = []
    for table in tables:
        header, rows = _grid(table, lambda text: f"**{text}**", markdown)
        lines = [header, ["---"] * len(header), *rows]
        body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts.append(f"## {table.title}\n\n{body}")
    if notes:
        parts.append("\n".join(f"- {markdown(note)}" for note in notes))
    return "\n\n".join(parts) + "\n"


def to_latex(tables: Iterable[Table], notes: Sequence[str] = ()) -> str:
    """One `table` environment each (packages booktabs and graphicx); notes are comments on top."""
    parts = [f"% {note}" for note in notes]
    for table in tables:
        header, rows = _grid(table, lambda text: rf"\textbf{{{text}}}", latex)
        lines = [" & ".join(line).translate(_LATEX_NUMBERS) + r" \\" for line in [header, *rows]]
        parts += [
            "",
            r"\begin{table}",
            rf"\caption{{{latex(table.title.partition(': ')[2])}}}",
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
        ]
    return "\n".join(parts).lstrip("\n") + "\n"


def to_frame(tables: Iterable[Table]) -> pd.DataFrame:
    """One row per table, function and way of counting (first, sustained, report, gal), unrounded.

    A number is missing if the error was never reached. In tables 4 and 5 it is also missing if
    Random never reached the error.
    """
    rows = []
    for table in tables:
        for row in table.rows:
            for way, cells in _ways(row).items():
                rows.append(
                    {
                        "table": table.number,
                        "error": table.error,
                        "relative": table.relative,
                        "acquisition": row.acquisition,
                        "counted": way,
                        "runs": " ".join(
                            NEVER if run is None else f"{run:g}" for run in cells.runs
                        ),
                        "n_runs": len(cells.runs),
                        "n_reached": sum(run is not None for run in cells.runs),
                        "step_average": cells.mean,
                        "step_average_std": cells.std,
                        "average_step": cells.average_step,
                    }
                )
    return pd.DataFrame(rows)


def csv(frame: pd.DataFrame) -> str:
    """The frame as CSV; no text cell can be read as a formula by a spreadsheet."""
    texts = {
        str(name): column.map(spreadsheet_safe)
        for name, column in frame.items()
        if not pd.api.types.is_numeric_dtype(column)
    }
    return frame.assign(**texts).to_csv(index=False)


def printed(table: Table, escape: Callable[[str], str]) -> pd.DataFrame:
    """One table as text for a page, with a row per function; the lowest of a column is in ** **.

    Args:
        escape: applied to the names of functions, which may come from a foreign record.

    Columns: `Acq. func.`; `Runs`, `Step-Average` and `Average-Step`, then the same three with the
    prefixes `Sustained: ` and `Report: `; `Gal et al.`.
    """
    header, rows = _grid(table, lambda text: f"**{text}**", escape)
    return pd.DataFrame(rows, columns=header)


def notes(
    runs: Sequence[RunCurve] = (), unfinished: Sequence[tuple[RunCurve, int]] = ()
) -> list[str]:
    """How to read the tables, and what the means of `runs` leave out and why."""
    known = [
        (
            "Labels are those in the training set at the first step with 1 - accuracy <= error "
            "(compared with a tolerance of 1e-9, so that 2,850 right of 3,000 reach 5%); "
            "sustained: from there on every step has it."
        ),
        (
            "Step-Average: counted for each run, then mean ± population standard deviation. "
            "Average-Step: accuracy averaged over the runs first, where all were measured, then "
            "counted once. Runs are sorted."
        ),
        (
            "never: not reached within the run; a mean is given only where every run reached the "
            "error, else how many did. –: Random's value to divide by is missing, or the runs have "
            "no common number of labels. Bold: the lowest of its column."
        ),
        (
            "Report: Pilz (2025), tables 2-5. Gal et al.: Gal, Islam, Ghahramani (2017), table 1. "
            "The report prints 0.72 for BALD's third run in table 5, a slip: 270 / 480 is 0.56."
        ),
    ]
    if unfinished:
        names = ", ".join(
            f"{display_name(run.acquisition)} seed {run.seed} ({len(run)} of {n_points} points)"
            for run, n_points in unfinished
        )
        known.append(f"Unfinished, counted as far as they are: {names}.")
    return known + gaps(runs)


def gaps(runs: Sequence[RunCurve]) -> list[str]:
    """A sentence for each function whose mean leaves out measurements, and why."""
    found = []
    for name, group in by_function(run for run in runs if len(run)).items():
        common = common_labels(run.n_labelled for run in group)
        measured = {n for run in group for n in run.n_labelled}
        if len(common) < len(measured):
            found.append(
                f"{display_name(name)}: the mean has {len(common)} of {len(measured)} numbers of "
                f"labels, those at which all of its {len(group)} runs were measured."
            )
    return found


def _grid(
    table: Table, bold: Callable[[str], str], escape: Callable[[str], str]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows as text, with escaped names of functions."""
    header = ["Acq. func."]
    texts = [[escape(display_name(row.acquisition)) for row in table.rows]]
    values: list[Sequence[float | None]] = [[None] * len(table.rows)]  # names are never bold
    for prefix, cells_of in _WAYS:
        cells = [cells_of(row) for row in table.rows]
        header += [f"{prefix}Runs", f"{prefix}Step-Average", f"{prefix}Average-Step"]
        texts += [[show(one, table.relative) for one in cells] for show in (_runs, _mean, _step)]
        values += [
            [None] * len(cells),
            [None if one is None else one.mean for one in cells],
            [None if one is None else one.average_step for one in cells],
        ]
    header.append("Gal et al.")
    values.append([row.gal for row in table.rows])
    texts.append([UNKNOWN if v is None else _labels(v, table.relative) for v in values[-1]])
    columns = [_bold(v, column, bold) for v, column in zip(values, texts, strict=True)]
    return header, [list(line) for line in zip(*columns, strict=True)]


def _bold(
    values: Sequence[float | None], texts: Sequence[str], bold: Callable[[str], str]
) -> list[str]:
    lowest = min((value for value in values if value is not None), default=None)
    return [
        bold(text) if value is not None and value == lowest else text
        for value, text in zip(values, texts, strict=True)
    ]


def _runs(cells: Cells | None, relative: bool) -> str:
    if cells is None or not cells.defined:
        return UNKNOWN
    known = sorted(run for run in cells.runs if run is not None)
    texts = [_labels(run, relative) for run in known] + [NEVER] * (len(cells.runs) - len(known))
    return f"[{', '.join(texts)}]"


def _mean(cells: Cells | None, relative: bool) -> str:
    if cells is None or not cells.defined:
        return UNKNOWN
    if cells.mean is None or cells.std is None:
        reached = sum(run is not None for run in cells.runs)
        return NEVER + (f" ({reached} of {len(cells.runs)} did)" if reached else "")
    if relative:
        return f"{cells.mean:.2f} ± {cells.std:.3f}"
    return f"{cells.mean:.1f} ± {cells.std:.1f}"


def _step(cells: Cells | None, relative: bool) -> str:
    if cells is None or not cells.average_step_defined:
        return UNKNOWN
    return NEVER if cells.average_step is None else _labels(cells.average_step, relative)


def _labels(value: float, relative: bool) -> str:
    return f"{value:.2f}" if relative else f"{value:.0f}"


def _ways(row: Row) -> dict[str, Cells]:
    ways = {"first": row.first, "sustained": row.sustained}
    if row.report is not None:
        ways["report"] = row.report
    if row.gal is not None:
        ways["gal"] = Cells((), None, None, row.gal)
    return ways
