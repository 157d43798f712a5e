"""The record's section `provenance`: whose answers each run holds, and where it was computed.

It is a key of our own beside `params` and `results` (docs/method.md, section 10):

    provenance:
      environments:
      - torch: 2.13.0
        device: cpu
      runs:
      - function: mutual_information
        seed: 1
        answered_by: [oracle]
        environment: [0, 0, 0]

`environment` has an index into `environments` for each point of the run, or null where it is not
known; it is left out if none is known. Records without the section are read as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dal_core.limits.text import clean_name, shown
from dal_core.record_file.schema import record_function
from dal_core.record_file.validate import RecordError
from dal_core.run.environment import Environment
from dal_core.run.events import StepResult
from dal_core.run.state import RunState
from dal_core.run.summary import RunSummary

KEY = "provenance"
MOST_FACTS = 50  # of an environment


def provenance(
    runs: Iterable[tuple[RunState | RunSummary, Sequence[StepResult]]],
) -> dict[str, Any]:
    """The section for these runs, by the name of the key; empty if no run has a point.

    Args:
        runs: each run and the steps that are points of its curve.
    """
    return _section([_run(log, points) for log, points in runs if points])


def merged(sections: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The section of a merged record, by the name of the key; of equal runs the first counts."""
    runs: dict[tuple[str, int], dict[str, Any]] = {}
    for section in sections:
        environments = section.get("environments") or []
        for run in section["runs"]:
            known = [
                None if i is None else Environment.from_facts(environments[i])
                for i in run.get("environment") or []
            ]
            runs.setdefault((run["function"], run["seed"]), {**run, "environment": known})
    return _section(list(runs.values()))


def check(section: Any) -> None:
    """Raise RecordError unless the section is valid; the message names the key."""
    section = _mapping(section, KEY)
    environments = _list(section.get("environments", []), f"{KEY}.environments")
    for place, facts in enumerate(environments):
        _check_facts(facts, f"{KEY}.environments[{place}]")
    for place, run in enumerate(_list(section.get("runs"), f"{KEY}.runs")):
        key = f"{KEY}.runs[{place}]"
        run = _mapping(run, key)
        if not isinstance(run.get("function"), str) or type(run.get("seed")) is not int:
            raise RecordError(f"{key} names no function and seed")
        for name in _list(run.get("answered_by"), f"{key}.answered_by"):
            _check_text(name, f"{key}.answered_by")
        for index in _list(run.get("environment", []), f"{key}.environment"):
            allowed = index is None or (type(index) is int and 0 <= index < len(environments))
            if not allowed:
                raise RecordError(
                    f"{key}.environment holds {shown(index)}, there are {len(environments)} "
                    "environments, counted from 0"
                )


def _run(log: RunState | RunSummary, points: Sequence[StepResult]) -> dict[str, Any]:
    """One run, with its environments in place of indices."""
    return {
        "function": record_function(log.run.spec.acquisition),
        "seed": log.run.spec.seed,
        "answered_by": list(log.answerers),
        "environment": [one.environment for one in points],
    }


def _section(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if not runs:
        return {}
    used = [one for run in runs for one in run["environment"] if one is not None]
    distinct = list(dict.fromkeys(used))
    numbers = {one: number for number, one in enumerate(distinct)}
    rows = []
    for run in runs:
        row = {key: value for key, value in run.items() if key != "environment"}
        if any(one is not None for one in run["environment"]):
            row["environment"] = [numbers.get(one) for one in run["environment"]]
        rows.append(row)
    environments = {"environments": [one.facts() for one in distinct]} if distinct else {}
    return {KEY: {**environments, "runs": rows}}


def _check_facts(facts: Any, key: str) -> None:
    facts = _mapping(facts, key)
    if len(facts) > MOST_FACTS:
        raise RecordError(f"{key} has {len(facts)} keys, it may have at most {MOST_FACTS}")
    for name, value in facts.items():
        _check_text(name, key)
        if type(value) is not int:
            _check_text(value, f"{key}.{name}")


def _check_text(value: Any, key: str) -> None:
    try:
        clean_name(value, key)
    except ValueError as error:
        raise RecordError(str(error)) from None


def _mapping(value: Any, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RecordError(f"{key} is {shown(value)}, it must be a mapping")
    return value


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise RecordError(f"{key} is {shown(value)}, it must be a list")
    return value
