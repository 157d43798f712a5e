"""`dal show`: everything stored about a run except its labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dal_core.cli import experiments, results, values
from dal_core.cli.tables import console, print_table
from dal_core.limits.text import visible
from dal_core.results.curves import CALIBRATION
from dal_core.results.run_history import resumed_elsewhere
from dal_core.results.run_rows import answered_by
from dal_core.run.environment import changes
from dal_core.run.state import RunState
from dal_core.run.stop_rules import finished

MODES = {
    "strict": "strict: each query waits for a model fitted to all labels",
    "continuous": "continuous: queries come from the newest finished model",
}


def show(text: str, home: Path | None, as_json: bool) -> None:
    """Print a run, or an experiment. Raises WrongUse if there is neither."""
    store = values.open_store(home, create=False)
    is_run = any(run_id.startswith(text) for run_id in store.run_ids())
    if not is_run and experiments.find_id(store, text, "RUN") is not None:
        experiments.show(store, experiments.find(store, text, "RUN").experiment_id, as_json)
        return
    log = store.log(values.find_run(store, text).run_id)
    if as_json:
        print(json.dumps(_as_object(log), indent=1))
        return
    out = console()
    for name, value in _facts(log).items():
        out.print(f"{name:<12} {visible(value)}")
    _print_steps(log)


def _print_steps(log: RunState) -> None:
    """One row for each step; a measure that a step does not have is a dash."""
    measures = results.MEASURES if log.run.has_test_set else ()
    headings = [results.HEADINGS[part] for part in measures]
    right = ("step", "labels", *headings, *results.PARTS)
    notes = ("measured",) if log.corrections else ()
    before = _as_object(log)["measured_before_a_correction"]
    rows = []
    for step in results.as_object(log)["steps"]:
        seconds = [f"{step['seconds'][part]:.1f} s" for part in results.PARTS]
        measured = [results.measure(step.get(part)) for part in measures]
        row = [str(step["step"]), str(step["n_labelled"]), *measured, *seconds]
        if log.corrections:
            row.append("before a correction" if step["n_labelled"] in before else "")
        rows.append(row)
    calibration = [results.HEADINGS[name] for name in CALIBRATION] if measures else []
    print_table((*right, *notes), rows, right=right, spare=calibration[::-1])


def _as_object(log: RunState) -> dict[str, Any]:
    run, spec = log.run, log.run.spec
    before = [step.n_labelled for step in log.steps if log.is_before_correction(step)]
    return {
        **results.as_object(log),
        "mode": run.mode,
        "title": run.title,
        "kind": run.kind,
        "created_at": run.created_at,
        "n_labelled": log.n_labelled,
        "finished": finished(log),
        "skipped": sorted(log.skipped),
        "n_retracted": log.n_retracted,
        "corrections": [
            {"image_id": one.image_id, "from": one.before, "to": one.label}
            | {"annotator": one.annotator, "at": one.at}
            for one in log.corrections
        ],
        "measured_before_a_correction": before,  # labels of those steps
        "noise": spec.noise,
        "annotators": list(log.annotators),
        "parameters": spec.protocol.model_dump(mode="json"),
        "fingerprint": spec.fingerprint,
        "split_sizes": dict(run.split_sizes),
        "versions": dict(run.versions),
        "environments": [
            None if step.environment is None else step.environment.facts() for step in log.steps
        ],
        "computed_elsewhere": [
            {"n_labelled": log.steps[place].n_labelled, "changed": what}
            for place, what in changes(step.environment for step in log.steps)
        ],
    }


def _facts(log: RunState) -> dict[str, str]:
    run = _as_object(log)
    data = f"{run['dataset']}, SHA-256 {run['fingerprint'][:12]}"
    return {
        "run": run["id"] + (f" ({run['title']})" if run["title"] else ""),
        **_fork(log),
        "protocol": run["protocol"],
        "function": run["acquisition"],
        "seed": str(run["seed"]),
        "data": f"{data}, {_pairs(run['split_sizes'])}",
        "labels": f"{log.n_labelled}, {len(log.skipped)} images skipped, "
        f"{log.n_retracted} submissions undone, {len(log.corrections)} labels corrected",
        "mode": MODES[log.run.mode],
        "labelled by": answered_by(log.run, log.annotators or ("nobody yet",)),
        "state": run["finished"] or "unfinished",
        "created": run["created_at"],
        "versions": _pairs(run["versions"]),
        **_elsewhere(log),
        "parameters": _pairs(run["parameters"]),
    }


def _fork(log: RunState) -> dict[str, str]:
    run = log.run
    if run.forked_from is None:
        return {}
    return {"forked from": f"{run.forked_from}, at {run.forked_labels} labels"}


def _elsewhere(log: RunState) -> dict[str, str]:
    told = resumed_elsewhere(log)
    return {"resumed": told} if told else {}


def _pairs(values_by_name: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values_by_name.items())
