"""What the Runs page does, without drawing: list every run, delete one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dal_core.protocol.presets import describe_protocol
from dal_core.results.titles import display_name, noise_name
from dal_core.run.rows import RunInUse, RunNotFound, RunRow
from dal_core.run.state import RunState
from dal_core.store.run_lock import RunBusy
from dal_core.store.store import Store
from dal_ui.shared.markdown import plain


@dataclass(frozen=True)
class RunLine:
    """One run as a row of the table.

    `title` may be empty; `accuracy` is a fraction, None before the first measurement and without
    test images; `person_labels` counts the labels that people gave.
    """

    run_id: str
    title: str
    dataset: str
    function: str
    protocol: str
    seed: int
    labels: int
    accuracy: float | None
    answered_by: str
    created: datetime
    person_labels: int

    @property
    def name(self) -> str:
        """The run in Markdown: its title, if it has one, and its id."""
        return f"**{plain(self.title)}** · `{self.run_id}`" if self.title else f"`{self.run_id}`"


def run_lines(store: Store) -> list[RunLine]:
    """Every run on disk, newest first."""
    return [run_line(store.log(run.run_id)) for run in store.runs()]


def run_line(log: RunState) -> RunLine:
    """One run as a row of the table."""
    run, spec = log.run, log.run.spec
    return RunLine(
        run_id=run.run_id,
        title=run.title,
        dataset=spec.protocol.dataset,
        function=display_name(spec.acquisition),
        protocol=describe_protocol(spec.protocol) + fork_of(run),
        seed=spec.seed,
        labels=log.n_labelled,
        accuracy=log.steps[-1].accuracy if log.steps else None,
        answered_by=_answered_by(log),
        created=datetime.fromisoformat(run.created_at),
        person_labels=sum(len(s.labels) for s in log.submissions if s.source == "person"),
    )


def fork_of(run: RunRow) -> str:
    """Where a fork begins, as an addition to its protocol; empty for any other run."""
    return "" if run.forked_from is None else f", fork at {run.forked_labels}"


def describe(run: RunRow, n_labelled: int) -> str:
    """A run as an option in a list, one line of Markdown."""
    function = display_name(run.spec.acquisition)
    return (
        f"{plain(run.title or run.run_id)}: {function}, {n_labelled} labels, {run.created_at[:10]}"
    )


def delete_run(store: Store, run_id: str) -> str | None:
    """Delete a run permanently; returns None, or one line on why it was not deleted."""
    try:
        store.delete_run(run_id)
    except (RunBusy, RunInUse):
        return f"Run {run_id} is in use: wait until its work is done. Nothing was deleted."
    except RunNotFound as error:
        return str(error)
    return None


def _answered_by(log: RunState) -> str:
    sources = {submission.source for submission in log.submissions} or {log.run.kind}
    who = " and ".join(source for source in ("person", "oracle") if source in sources)
    noise = noise_name(log.run.spec.noise)
    return f"{who} ({noise})" if noise else who
