"""A run as one row of a list, as `dal runs` and the Runs page show it."""

from __future__ import annotations

from dataclasses import dataclass

from dal_core.protocol.presets import describe_protocol
from dal_core.results.titles import noise_name
from dal_core.run.rows import RunRow
from dal_core.run.state import RunState
from dal_core.run.summary import RunSummary


@dataclass(frozen=True)
class RunLine:
    """One run for a list.

    Attributes:
        accuracy: test accuracy of the newest step, a fraction; None before the first.
        annotators: names of those who gave labels, in the order of their first label.
        person_labels: number of labels that people gave.
    """

    run: RunRow
    n_labelled: int
    accuracy: float | None
    annotators: tuple[str, ...]
    person_labels: int
    n_corrections: int

    @property
    def protocol(self) -> str:
        """The protocol; for a fork also the number of labels at the fork."""
        fork = "" if self.run.forked_from is None else f", fork at {self.run.forked_labels}"
        return describe_protocol(self.run.spec.protocol) + fork

    @property
    def answered_by(self) -> str:
        """Who gave labels; before the first label, who will give them."""
        return answered_by(self.run, self.annotators or (self.run.kind,))


def run_line(log: RunState | RunSummary) -> RunLine:
    """The row of a run."""
    return RunLine(
        run=log.run,
        n_labelled=log.n_labelled,
        accuracy=log.steps[-1].accuracy if log.steps else None,
        annotators=log.annotators,
        person_labels=log.n_person_labels,
        n_corrections=log.n_corrections,
    )


def answered_by(run: RunRow, names: tuple[str, ...]) -> str:
    """The names, followed by the oracle's noise if the run has any."""
    noise = noise_name(run.spec.noise)
    return ", ".join(names) + (f" ({noise})" if noise else "")
