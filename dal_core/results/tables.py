"""The report's tables 2-5: labels needed to reach 10% and 5% error, absolute and against Random.

Our values are shown beside those of the report and of Gal et al. (2017). `formats` prints them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dal_core.results.alignment import common_labels
from dal_core.results.crossings import (
    StepAverage,
    average_labels,
    average_step,
    by_function,
    normalise,
    step_average,
)
from dal_core.results.curves import RunCurve
from dal_core.results.published import LABELS_NEEDED, LabelsNeeded
from dal_core.results.titles import in_order

ERRORS = (0.10, 0.05)


@dataclass(frozen=True)
class Cells:
    """Labels that one function needed, counted one way, or their share of Random's.

    Attributes:
        runs: one value per run; None if it never reached the error.
        mean, std: Step-Average with its population standard deviation; None unless all runs
            reached the error.
        average_step: Average-Step; None if the averaged curve never reached the error.
        defined, average_step_defined: False if there is no value of Random to divide by, or no
            averaged curve because the runs were never measured at the same number of labels. The
            cell then shows a dash instead of a number or "never".
    """

    runs: tuple[float | None, ...]
    mean: float | None
    std: float | None
    average_step: float | None
    defined: bool = True
    average_step_defined: bool = True


@dataclass(frozen=True)
class Row:
    """One acquisition function: its first and sustained crossings, and the published values."""

    acquisition: str
    first: Cells
    sustained: Cells
    report: Cells | None
    gal: float | None


@dataclass(frozen=True)
class Table:
    """One of the report's tables.

    Attributes:
        number: 2 to 5, as in the report.
        error: the test error to reach, 0.10 or 0.05.
        relative: whether values are shares of Random's (tables 4 and 5) or labels (2 and 3).
    """

    number: int
    error: float
    relative: bool
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """The table's heading."""
        kind = "Labels needed, relative to Random," if self.relative else "Labels needed"
        return f"Table {self.number}: {kind} to reach {self.error:.0%} test error"


def tables(runs: Sequence[RunCurve]) -> list[Table]:
    """Tables 2, 3, 4 and 5 of the runs."""
    groups = by_function(runs)
    absolute = [
        Table(
            number, error, False, tuple(_row(n, groups[n], error) for n in in_order(list(groups)))
        )
        for number, error in zip((2, 3), ERRORS, strict=True)
    ]
    return absolute + [_relative(table) for table in absolute]


def _row(acquisition: str, runs: Sequence[RunCurve], error: float) -> Row:
    published = LABELS_NEEDED[error].get(acquisition)
    averaged = len(common_labels(run.n_labelled for run in runs)) > 0
    first, sustained = (
        replace(
            _cells(step_average(runs, error, last), average_step(runs, error, last)),
            average_step_defined=averaged,
        )
        for last in (False, True)
    )
    return Row(
        acquisition,
        first=first,
        sustained=sustained,
        report=None if published is None else _published_cells(published),
        gal=None if published is None else published.gal,
    )


def _cells(average: StepAverage, average_step: int | None) -> Cells:
    return Cells(average.labels, average.mean, average.std, average_step)


def _published_cells(published: LabelsNeeded) -> Cells:
    return _cells(average_labels(published.runs), published.average_step)


def _relative(table: Table) -> Table:
    """The same table divided by Random's values: its mean for runs and Step-Average."""
    random = next((row for row in table.rows if row.acquisition == "random"), None)
    published = LABELS_NEEDED[table.error]["random"]
    report = _published_cells(published)
    rows = tuple(
        Row(
            row.acquisition,
            _share(row.first, random.first if random else None),
            _share(row.sustained, random.sustained if random else None),
            None if row.report is None else _share(row.report, report),
            normalise(row.gal, published.gal),
        )
        for row in table.rows
    )
    return Table(table.number + 2, table.error, True, rows)


def _share(cells: Cells, random: Cells | None) -> Cells:
    mean = random.mean if random else None
    step = random.average_step if random else None
    return Cells(
        tuple(normalise(run, mean) for run in cells.runs),
        normalise(cells.mean, mean),
        normalise(cells.std, mean),
        normalise(cells.average_step, step),
        defined=mean is not None,
        average_step_defined=cells.average_step_defined and step is not None,
    )
