"""`dal runs` and `dal delete`: the runs of a home."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dal_core.cli import experiments, results, values
from dal_core.cli.errors import WrongUse
from dal_core.cli.tables import console, table
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_core.store.home import default_home
from dal_core.store.sqlite.schema import DATABASE_FILE


def runs(home: Path | None, as_json: bool) -> None:
    """Print all runs, newest first. Nobody has to have a run, but a `--home` has to be one."""
    logs: list[RunState] = []
    if home is not None or (default_home() / DATABASE_FILE).exists():
        store = values.open_store(home, create=False)
        logs = [store.log(run.run_id) for run in store.runs()]
    if as_json:
        print(json.dumps([_as_object(log) for log in logs], indent=1))
    elif not logs:
        print("There are no runs yet; `dal run` makes one.")
    else:
        columns = ("id", "title", "protocol", "function", "seed", "labels", "accuracy", "who")
        shown = table((*columns, "mode", "created"), right=("seed", "labels", "accuracy"))
        for log in logs:
            shown.add_row(*_row(log))
        console().print(shown)


def delete(text: str, *, yes: bool, home: Path | None) -> None:
    """Delete a run, or forget an experiment.

    Raises:
        WrongUse: there is none, or `--yes` is missing.
        RunBusy: the run is being worked on, or an experiment has it.
    """
    store = values.open_store(home, create=False)
    if any(text and one.experiment_id.startswith(text) for one in store.experiments.all()):
        _delete_experiment(store, experiments.find(store, text, "RUN").experiment_id, yes)
        return
    run_id = values.find_run(store, text).run_id
    if not yes:
        raise WrongUse(f"run {run_id} would be deleted for good; add --yes to do it")
    store.delete_run(run_id)
    print(f"deleted {run_id}")


def _delete_experiment(store: Store, experiment_id: str, yes: bool) -> None:
    if not yes:
        raise WrongUse(f"experiment {experiment_id} would be forgotten; add --yes to do it")
    store.experiments.delete(experiment_id)
    print(f"deleted {experiment_id}; its runs and its record stay")


def _as_object(log: RunState) -> dict[str, Any]:
    run = results.as_object(log)
    run.pop("steps")
    return {
        **run,
        "title": log.run.title,
        "kind": log.run.kind,
        "mode": log.run.mode,
        "n_labelled": log.n_labelled,
        "accuracy": results.number(log.steps[-1].accuracy) if log.steps else None,
        "annotators": results.annotators(log),
        "n_corrections": len(log.corrections),
        "created_at": log.run.created_at,
    }


def _row(log: RunState) -> list[str]:
    run = _as_object(log)
    return [
        run["id"],
        run["title"],
        run["protocol"] + (f", fork at {log.run.forked_labels}" if log.run.forked_from else ""),
        run["acquisition"],
        str(run["seed"]),
        str(run["n_labelled"]),
        "–" if run["accuracy"] is None else f"{run['accuracy']:.4f}",
        results.answered_by(log) or run["kind"],
        run["mode"] + (f", {run['n_corrections']} corrected" if run["n_corrections"] else ""),
        run["created_at"][:16].replace("T", " "),
    ]
