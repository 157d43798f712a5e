"""What the Runs page does, without drawing: list every run, delete one."""

from __future__ import annotations

from dal_core.results.run_rows import RunLine, run_line
from dal_core.results.titles import display_name
from dal_core.run.rows import DamagedRun, RunInUse, RunNotFound, RunRow
from dal_core.store.base import Store
from dal_core.store.run_lock import RunBusy
from dal_ui.shared.markdown import plain


def run_lines(store: Store) -> tuple[list[RunLine], list[DamagedRun]]:
    """Every run in the store, newest first, and the runs that cannot be read."""
    found = store.survey()
    return [run_line(one) for one in found.runs], found.damaged


def name(run: RunRow) -> str:
    """The run in Markdown: its title, if it has one, and its id."""
    return f"**{plain(run.title)}** · `{run.run_id}`" if run.title else f"`{run.run_id}`"


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
    except RunBusy:
        return f"Run {run_id} is in use: wait until its work is done. Nothing was deleted."
    except RunInUse:
        names = ", ".join(store.experiments.of_run(run_id))
        return (
            f"Run {run_id} belongs to experiment {names}. Forget the experiment on the Reproduce "
            "page first; its runs stay and can then be deleted. Nothing was deleted."
        )
    except RunNotFound as error:
        return str(error)
    return None
