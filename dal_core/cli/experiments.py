"""`dal experiments`, and the JSON of experiments for other commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from dal_core.cli import results, values
from dal_core.cli.errors import WrongUse
from dal_core.cli.tables import print_table
from dal_core.experiments.status import ExperimentStatus, is_bound, status
from dal_core.limits.text import visible
from dal_core.protocol.presets import describe_protocol
from dal_core.record_file.sync import FILE_NAME, experiment_dir
from dal_core.results.titles import noise_name
from dal_core.store.base import Store
from dal_core.store.experiments import DamagedExperiment, ExperimentRow
from dal_core.store.home import default_home
from dal_core.store.opening import has_store


def show_all(home: Path | None, as_json: bool) -> None:
    """Print all experiments, newest first."""
    found: list[dict[str, Any]] = []
    damaged: list[DamagedExperiment] = []
    if home is not None or has_store(default_home()):
        store = values.open_store(home, create=False)
        ids = [row.experiment_id for row in store.experiments.all()]
        found = [_as_object(store, status(store, one)) for one in ids]
        damaged = store.experiments.damaged()
    if as_json:
        objects = [*found, *({"id": one.experiment_id, "damaged": one.why} for one in damaged)]
        print(json.dumps(objects, indent=1))
    elif not found and not damaged:
        where = visible(str(home or default_home()))
        print(f"There are no experiments yet in {where}; `dal reproduce` creates one.")
    else:
        columns = ("id", "title", "protocol", "functions", "seeds", "steps", "state", "created")
        spare = ("created", "functions", "protocol", "seeds", "title")
        print_table(columns, [_row(one) for one in found], right=("steps",), spare=spare)
    for broken in damaged:
        why = f"{broken.why}; `dal delete {broken.experiment_id}` removes it"
        print(f"dal: {visible(why)}", file=sys.stderr)


def show(store: Store, experiment_id: str, as_json: bool) -> None:
    """Print an experiment and its runs."""
    now = status(store, experiment_id)
    facts = _as_object(store, now)
    runs = [*runs_as_objects(now), *bounds_as_objects(now)]
    if as_json:
        print(json.dumps({**facts, "runs": runs_as_objects(now), "bounds": bounds_as_objects(now)}))
        return
    for name, value in facts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        print(f"{name.replace('_', ' '):<13} {visible(text)}")
    print()
    columns = ("run", "function", "seed", "steps", "accuracy")
    rows = [
        [
            run["id"],
            run.get("acquisition", "full data"),
            str(run["seed"]),
            str(run.get("steps", "")),
            results.measure(run["accuracy"]),
        ]
        for run in runs
    ]
    print_table(columns, rows, right=columns[2:], spare=("steps", "seed"))


def find(store: Store, text: str, option: str) -> ExperimentRow:
    """The experiment whose id is `text` or the only one that starts with it.

    Raises:
        WrongUse: there is no such experiment.
        ExperimentDamaged: the experiment cannot be read.
    """
    found = find_id(store, text, option)
    if found is None:
        ids = ", ".join(_ids(store)[:5]) or "none yet"
        raise WrongUse(f"{option} is {text!r}; allowed: an experiment in {store.home} ({ids})")
    return store.experiments.get(found)


def find_id(store: Store, text: str, option: str) -> str | None:
    """The id of the experiment that `text` names, which may be damaged; None if there is none.

    Raises:
        WrongUse: several ids start with it.
    """
    return values.by_start(option, text, _ids(store), "experiments")


def _ids(store: Store) -> list[str]:
    damaged = [one.experiment_id for one in store.experiments.damaged()]
    return [*(row.experiment_id for row in store.experiments.all()), *damaged]


def runs_as_objects(now: ExperimentStatus) -> list[dict[str, Any]]:
    """The runs without bounds; `steps` is the number of measured steps, `accuracy` the newest."""
    return [
        {
            "id": run.log.run.run_id,
            "acquisition": run.log.run.spec.acquisition,
            "seed": run.log.run.spec.seed,
            "steps": run.n_done,
            "accuracy": None if run.accuracy is None else results.number(run.accuracy),
        }
        for run in now.runs
        if not is_bound(run.log.run)
    ]


def bounds_as_objects(now: ExperimentStatus) -> list[dict[str, Any]]:
    """The full-data bounds; values are None until they are measured."""
    bounds = []
    for run in now.runs:
        if is_bound(run.log.run):
            step = run.log.steps[-1] if run.log.steps else None
            bounds.append(
                {
                    "id": run.log.run.run_id,
                    "seed": run.log.run.spec.seed,
                    "accuracy": results.number(step.accuracy) if step else None,
                    "mutual_information": results.number(step.mutual_information) if step else None,
                }
            )
    return bounds


def _as_object(store: Store, now: ExperimentStatus) -> dict[str, Any]:
    row = now.experiment
    return {
        "id": row.experiment_id,
        "title": row.title,
        "protocol": describe_protocol(row.protocol),
        "dataset": row.protocol.dataset,
        "acquisitions": list(row.acquisitions),
        "seeds": list(row.seeds),
        "full_data": row.full_data,
        **results.noise_of(row.noise),
        "state": now.state.value,
        "n_done": now.n_done,
        "n_steps": now.n_steps,
        "created_at": row.created_at,
        "record": str(experiment_dir(store.home, row.experiment_id) / FILE_NAME),
    }


def _row(one: dict[str, Any]) -> list[str]:
    functions = [*one["acquisitions"], *(["full data"] if one["full_data"] else [])]
    return [
        one["id"],
        one["title"],
        ", ".join(filter(None, (one["protocol"], noise_name(one.get("noise", 0.0))))),
        ", ".join(functions),
        ", ".join(map(str, one["seeds"])),
        f"{one['n_done']}/{one['n_steps']}",
        one["state"],
        one["created_at"][:16].replace("T", " "),
    ]
