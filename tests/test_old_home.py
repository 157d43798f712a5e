"""A home written by commit aeee030 opens, tells the same, and its runs go on to the same bits.

`tests/old_home/` holds the home, what that commit said of it (`expected.json`), a record it wrote
and the tables it made of it; `make_home.py` there made them all, and none is ever made anew: files
of today's code would prove nothing. What is compared is `telling`'s; only the names below are the
present code's, so this is the one place that moves with them.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dal_core.cli import main
from dal_core.execution.job import Workbench, advance
from dal_core.execution.predictions import load_predictions
from dal_core.protocol.presets import describe_protocol
from dal_core.record_file.io import read_record
from dal_core.run.events import Answer
from dal_core.run.next_task import next_task
from dal_core.store.opening import open_store
from tests.old_home.telling import Dal, differences, machine

DAL = Dal(
    main,
    open_store,
    Answer,
    Workbench,
    advance,
    next_task,
    load_predictions,
    read_record,
    describe_protocol,
)
FILES = Path(__file__).resolve().parent / "old_home"
EXPECTED: dict[str, Any] = json.loads((FILES / "expected.json").read_text(encoding="utf-8"))
TOLD: dict[str, Any] = EXPECTED["told"]
NAMES: dict[str, str] = EXPECTED["names"]
LABELS = {name: NAMES[name] for name in TOLD["csv"]}

GoOn = Callable[[Path], dict[str, Any]]
GOES_ON: dict[str, GoOn] = {
    "killed": lambda home: DAL.anew(home, "run", "--resume", NAMES["killed"]),
    "paused": lambda home: DAL.anew(home, "run", "--resume", NAMES["paused"]),
    "strict": lambda home: DAL.go_on(home, NAMES["strict"], answers=2),
    "continuous": lambda home: DAL.go_on(home, NAMES["continuous"], answers=1),
    "fork of strict": lambda home: DAL.anew(
        home, "fork", NAMES["strict"], "--at", "39", "--noise", "0.2"
    ),
    "random fork of strict": lambda home: DAL.anew(
        home, "fork", NAMES["strict"], "--at", "20", "--acquisition", "random"
    ),
    "replay of strict": lambda home: DAL.anew(home, "replay", NAMES["strict"], "--title", "anew"),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the old home, to be opened and changed."""
    return Path(shutil.copytree(FILES / "home", tmp_path / "home"))


def check(expected: Any, found: Any) -> None:
    assert list(differences(expected, found))[:20] == []


# -- what is there ---------------------------------------------------------------------------------


def test_the_old_home_lists_its_runs_and_experiments(home: Path) -> None:
    check(TOLD["runs"], DAL.says_json(home, "runs"))
    check(TOLD["experiments"], DAL.says_json(home, "experiments"))


@pytest.mark.parametrize("run_id", TOLD["store"])
def test_every_old_run_says_the_same(home: Path, run_id: str) -> None:
    check(TOLD["show"][run_id], DAL.says_json(home, "show", run_id))
    check(TOLD["store"][run_id], DAL.run(home, run_id))


@pytest.mark.parametrize("name", LABELS)
def test_old_labels_are_exported_to_the_same_file(home: Path, name: str) -> None:
    found = DAL.says(home, "export", LABELS[name], "--format", "csv", "--out", "-")
    expected = TOLD["csv"][name]
    n_columns = len(expected.splitlines()[0].split(","))
    # New at the end of a row: by whom, and when, a label was corrected, and what it was before.
    kept = io.StringIO()
    writer = csv.writer(kept, lineterminator="\n")
    writer.writerows(row[:n_columns] for row in csv.reader(io.StringIO(found)))
    assert kept.getvalue() == expected
    is_corrected = any(line.endswith(",True") for line in expected.splitlines())
    assert (found == expected) == (not is_corrected)


@pytest.mark.parametrize("name", TOLD["models"])
def test_old_weights_are_exported_as_they_are(home: Path, name: str) -> None:
    check(TOLD["models"][name], DAL.model(home, NAMES[name]))


# -- going on --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOES_ON)
def test_old_runs_go_on_to_the_same_bits(home: Path, name: str) -> None:
    """Equal to the last bit, where what decides the bits is as it was; elsewhere only as far.

    Torch picks its kernels by the processor. With others the last digits differ after a single
    fit, then two images of nearly the same score change places, and from there on it is another
    run: no tolerance would hold. So there is nothing between all and the counts, and a test that
    could only count says so by being skipped.
    """
    expected, found = dict(EXPECTED["resumed"][name]), GOES_ON[name](home)
    timed, times = expected.pop("train_seconds"), found.pop("train_seconds")
    if name == "killed":  # its third model was read from its file, not fitted a second time
        assert times[:3] == timed[:3]
    check(counted(expected), counted(found))
    if machine() != EXPECTED["made"]["with"]:
        pytest.skip(f"only counted, since the bits are those of {EXPECTED['made']['with']}")
    check(expected, found)


def counted(outcome: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on any number that a model gave."""
    return {
        **{key: outcome[key] for key in ("n_labelled", "task", "finished")},
        "steps": [step["n_labelled"] for step in outcome["steps"]],
        "queries": [[one["n_labelled"], one["asked_by"]] for one in outcome["queries"]],
        "n_labels": len(outcome["labels"]),
    }


def test_a_replay_that_was_made_is_found_again(home: Path) -> None:
    n_runs = len(TOLD["runs"])
    assert DAL.says(home, "replay", NAMES["strict"]) == EXPECTED["same"]["replay"]
    assert len(DAL.says_json(home, "runs")) == n_runs


def test_an_experiment_asked_for_again_shares_the_old_runs(home: Path) -> None:
    found = DAL.says_json(home, *EXPECTED["made"]["experiment"])
    check(EXPECTED["same"]["experiment"], {**found, "id": None, "record": None})


# -- records ---------------------------------------------------------------------------------------


def test_an_old_record_gives_the_same_tables(home: Path) -> None:
    folder = home.with_name("report")
    DAL.says(home, "report", str(FILES / "old_record.yaml"), "--out", str(folder))
    expected = (FILES / "old_tables.md").read_text(encoding="utf-8")
    written = (folder / "tables.md").read_text(encoding="utf-8")
    assert without_notes(written) == without_notes(expected)
    assert any(line.startswith("| BALD |") for line in without_notes(written))


def without_notes(tables: str) -> list[str]:
    """The tables with their titles; the notes below them are prose, which may be worded better."""
    return [line for line in tables.splitlines() if not line.startswith("- ")]


def test_an_old_record_holds_the_same_numbers(home: Path) -> None:
    check(TOLD["record"], DAL.record(FILES / "old_record.yaml"))
    check(TOLD["record"], DAL.record(home / "experiments" / NAMES["experiment"] / "record.yaml"))


def test_the_record_of_an_old_run_is_exported_to_the_same_file(home: Path) -> None:
    found = DAL.says(home, "export", NAMES["noisy"], "--format", "yaml", "--out", "-")
    then, added, provenance = found.partition("provenance:\n")
    assert f"{then}...\n" == (home / NAMES["noisy"] / "record.yaml").read_text(encoding="utf-8")
    # The one thing that is new: whose answers it holds. Where they were computed is not known.
    assert added and yaml.safe_load(added + provenance)["provenance"] == {
        "runs": [{"function": "mutual_information", "seed": 1, "answered_by": ["oracle"]}]
    }
