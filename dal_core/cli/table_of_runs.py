"""Progress of an experiment on standard error: a live table, or one line per step in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from dal_core.cli.results import measure
from dal_core.cli.tables import table
from dal_core.cli.watching import accuracy
from dal_core.experiments.forecast import duration
from dal_core.experiments.status import ExperimentStatus, RunStatus, is_bound
from dal_core.store.run_lock import is_locked

COLUMNS = ("function", "seed", "step", "labels", "accuracy", "doing", "left")
AROUND = 5  # terminal lines for the table's header and the summary line


class Lines:
    """Prints one line per measured step, for a log file or a pipe."""

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers
        self._shown: dict[str, int] | None = None

    def show(self, now: ExperimentStatus) -> None:
        """Print the steps measured since the last call."""
        before, self._shown = self._shown, {run.log.run.run_id: run.n_done for run in now.runs}
        if before is None:
            print(whole(now, self._n_workers), file=sys.stderr, flush=True)
            return
        for run in now.runs:
            for number in range(before.get(run.log.run.run_id, 0), run.n_done):
                line = f"{step_line(run, number)}  ({whole(now, self._n_workers)})"
                print(line, file=sys.stderr, flush=True)


class LiveTable:
    """A row per run, as many as fit into the terminal, and a summary line."""

    def __init__(self, home: Path, n_workers: int, live: Live) -> None:
        self._home, self._n_workers, self._live = home, n_workers, live

    def show(self, now: ExperimentStatus) -> None:
        """Redraw the table."""
        shown = table(COLUMNS, right=("seed", "step", "labels", "accuracy", "left"))
        for run in _that_fit(now.runs, self._live.console.height - AROUND):
            shown.add_row(*self._row(run))
        line = Text(whole(now, self._n_workers))
        self._live.update(Group(shown, line), refresh=True)

    def _row(self, run: RunStatus) -> list[str]:
        spec = run.log.run.spec
        return [
            _name(run),
            str(spec.seed),
            f"{run.n_done}/{run.n_steps}",
            f"{run.log.n_labelled:,}",
            measure(run.accuracy),
            doing(run, is_locked(self._home, run.log.run.run_id)),
            "" if run.is_complete else duration(run.seconds_left) or "–",
        ]


@contextmanager
def watching(home: Path, n_workers: int) -> Iterator[Lines | LiveTable]:
    """Show the progress of an experiment while the block runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(n_workers)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield LiveTable(home, n_workers, live)


def whole(now: ExperimentStatus, n_workers: int) -> str:
    """Summary of the experiment: steps done, time left, and when it will be done."""
    line = f"{now.n_done} of {now.n_steps} steps"
    if not now.has_work:
        return line
    seconds = now.seconds_left(n_workers)
    if seconds is None:
        return line
    end = datetime.now() + timedelta(seconds=seconds)
    day = "" if end.date() == datetime.now().date() else f"{end:%a %d %b} "
    return f"{line}, {duration(seconds)} left, done at {day}{end:%H:%M}"


def step_line(run: RunStatus, number: int) -> str:
    """One measured step of a run as a line."""
    step = run.log.steps[number]
    place = f"{_name(run)} seed {run.log.run.spec.seed}  step {number}/{run.n_steps - 1}"
    return f"{place}  {step.n_labelled} labels{accuracy(step)}"


def doing(run: RunStatus, is_worked_on: bool) -> str:
    """What is done for the run now; of a failed run, why it failed.

    Args:
        is_worked_on: whether a process holds the run's lock.
    """
    return run.doing(is_worked_on) if run.failure is None else f"failed: {run.failure}"


def _name(run: RunStatus) -> str:
    return "full data" if is_bound(run.log.run) else run.log.run.spec.acquisition


def _that_fit(runs: Sequence[RunStatus], height: int) -> Sequence[RunStatus]:
    """All runs, or as many of the incomplete ones as fit."""
    if len(runs) <= height:
        return runs
    return [run for run in runs if not run.is_complete][: max(height, 1)]
