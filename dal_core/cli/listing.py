"""`dal runs` and `dal delete`: list runs, and delete a run or forget an experiment."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from dal_core.cli import experiments, results, values
from dal_core.cli.errors import WrongUse
from dal_core.cli.tables import print_table
from dal_core.experiments import control
from dal_core.limits.text import visible
from dal_core.results.run_rows import RunLine, run_line
from dal_core.store.base import Store, Survey
from dal_core.store.home import default_home
from dal_core.store.opening import has_store


def runs(home: Path | None, as_json: bool) -> None:
    """Print all runs, newest first. Raises WrongUse if `home` is given and has no store."""
    found = Survey([], [])
    if home is not None or has_store(default_home()):
        found = values.open_store(home, create=False).survey()
    lines = [run_line(one) for one in found.runs]
    if as_json:
        objects = [_as_object(line) for line in lines]
        objects += [{"id": one.run_id, "damaged": one.why} for one in found.damaged]
        print(json.dumps(objects, indent=1))
    elif not lines and not found.damaged:
        where = visible(str(home or default_home()))
        print(f"There are no runs yet in {where}; `dal run` creates one.")
    else:
        columns = ("id", "title", "protocol", "function", "seed", "labels", "accuracy", "who")
        print_table(
            (*columns, "mode", "created"),
            [_row(line) for line in lines],
            right=("seed", "labels", "accuracy"),
            spare=("created", "mode", "protocol", "who", "seed", "title", "function"),
        )
    for one in found.damaged:
        print(
            f"dal: {visible(f'{one.why}; `dal delete {one.run_id}` removes it')}", file=sys.stderr
        )


def delete(text: str, *, yes: bool, home: Path | None) -> None:
    """Delete a run, or forget an experiment.

    Raises:
        WrongUse: there is no such run or experiment, or `--yes` is missing.
        RunBusy: a process is working on the run.
        RunInUse: an experiment needs the run.
    """
    store = values.open_store(home, create=False)
    experiment_id = experiments.find_id(store, text, "RUN")
    if experiment_id is not None:
        _delete_experiment(store, experiment_id, yes)
        return
    run_id = values.find_run_id(store, text)
    if not yes:
        raise WrongUse(f"run {run_id} would be deleted permanently; add --yes to confirm")
    store.delete_run(run_id)
    print(f"deleted {run_id}")


def _delete_experiment(store: Store, experiment_id: str, yes: bool) -> None:
    if not yes:
        raise WrongUse(f"experiment {experiment_id} would be forgotten; add --yes to confirm")
    control.forget(store, experiment_id)
    print(f"deleted {experiment_id}; its runs and record are kept, unfinished runs stop")


def _as_object(line: RunLine) -> dict[str, Any]:
    return {
        **results.spec_as_object(line.run),
        "title": line.run.title,
        "kind": line.run.kind,
        "mode": line.run.mode,
        "n_labelled": line.n_labelled,
        "accuracy": results.number(line.accuracy),
        "annotators": list(line.annotators),
        "n_corrections": line.n_corrections,
        "created_at": line.run.created_at,
    }


def _row(line: RunLine) -> list[str]:
    run = line.run
    return [
        run.run_id,
        run.title,
        line.protocol,
        run.spec.acquisition,
        str(run.spec.seed),
        str(line.n_labelled),
        results.measure(line.accuracy),
        line.answered_by,
        run.mode + (f", {line.n_corrections} corrected" if line.n_corrections else ""),
        run.created_at[:16].replace("T", " "),
    ]
