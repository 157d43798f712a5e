"""Progress of a run on standard error: a live bar, or one line per step in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from dal_core.experiments.forecast import duration, seconds_left
from dal_core.experiments.status import PARTS
from dal_core.run.events import StepResult
from dal_core.run.state import RunState
from dal_core.store.base import Store

TICK_SECONDS = 0.2


def accuracy(step: StepResult) -> str:
    """The accuracy as text, such as `  accuracy 0.9134`; empty without a test set."""
    return "" if step.accuracy is None else f"  accuracy {step.accuracy:.4f}"


class Lines:
    """Prints one line per measured step, for a log file or a pipe."""

    def __init__(self, store: Store, run_id: str, sizes: list[int] | None = None) -> None:
        log = store.log(run_id)
        self.steps = list(log.steps)
        known = sizes_ahead(log, store.control(run_id).until_labels) if sizes is None else sizes
        self._ahead = known

    def step(self, step: StepResult) -> None:
        """Print a measured step."""
        self.steps.append(step)
        print(self.line(), file=sys.stderr, flush=True)

    def tick(self) -> None:
        """Called between epochs and chunks of images; does nothing here."""

    def line(self) -> str:
        """The progress of the run and the time left."""
        ahead = self.ahead()
        n_all = len(self.steps) + len(ahead) - 1
        if not self.steps:
            return f"step 0/{n_all}"
        last = self.steps[-1]
        text = f"step {len(self.steps) - 1}/{n_all}  {last.n_labelled} labels"
        left = duration(self._seconds_left(ahead))
        return f"{text}{accuracy(last)}" + (f"  {left} left" if left else "")

    def _seconds_left(self, ahead: list[int]) -> float | None:
        points = [(step.n_labelled, sum(step.seconds.values())) for step in self.steps]
        return seconds_left(points, ahead)

    def ahead(self) -> list[int]:
        """Numbers of labels of the steps that are not measured yet."""
        last = self.steps[-1].n_labelled if self.steps else -1
        return [n for n in self._ahead if n > last]


class Bar(Lines):
    """A live bar with the steps done and the progress of the current step."""

    def __init__(
        self, store: Store, run_id: str, sizes: list[int] | None, progress: Progress
    ) -> None:
        super().__init__(store, run_id, sizes)
        self._store, self._run_id, self._progress = store, run_id, progress
        total = len(self.steps) + len(self.ahead())
        self._task: TaskID = progress.add_task(self.line(), total=total, part="starting")
        self._ticked = 0.0

    def step(self, step: StepResult) -> None:
        """Show a measured step."""
        self.steps.append(step)
        self._show(0.0, "")

    def tick(self) -> None:
        """Show the progress of the current step, a few times a second."""
        if time.monotonic() - self._ticked < TICK_SECONDS:
            return
        self._ticked = time.monotonic()
        now = self._store.progress(self._run_id)
        if now is None or now.part not in PARTS or not now.n_epochs:
            return
        done = (now.epoch or 0) / now.n_epochs
        # Training takes most of a step, so the bar ignores scoring and measuring.
        self._show(done if now.part == "train" else 1.0, f"{PARTS[now.part]} {done:.0%}")

    def _show(self, part_done: float, part: str) -> None:
        done = len(self.steps) + min(part_done, 0.99) if self.ahead() else len(self.steps)
        self._progress.update(self._task, completed=done, description=self.line(), part=part)


@contextmanager
def watching(store: Store, run_id: str, sizes: list[int] | None = None) -> Iterator[Lines]:
    """Show the progress of a run while the block runs.

    Args:
        sizes: numbers of labels at all steps of the run; None: those of its protocol.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(store, run_id, sizes)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[part]}"))
    with Progress(*columns, console=console) as progress:
        yield Bar(store, run_id, sizes, progress)


def sizes_ahead(log: RunState, until_labels: int | None) -> list[int]:
    """Numbers of labels of the steps that the run has not measured, within its label budget."""
    spec, measured = log.run.spec, {step.after for step in log.steps}
    most = min(log.run.max_labels, until_labels or log.run.max_labels)
    first = log.n_labelled + (spec.protocol.n_samples_to_acquire if log.after in measured else 0)
    return list(range(first, most + 1, spec.protocol.n_samples_to_acquire))
