"""The command line in a damaged home: one line for what is damaged, and the rest works."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from dal_core.cli import main
from dal_core.protocol.presets import preset
from dal_core.store.opening import open_store
from tests.store_kit import ask, give, new_result, new_run


@pytest.fixture
def ids(tmp_path: Path) -> tuple[str, str, str]:
    """A good run, a damaged run and a damaged experiment."""
    store = open_store(tmp_path)
    runs = []
    for _ in range(2):
        run_id = new_run(store).run_id
        give(store, ask(store, run_id, range(100)))
        store.add_step(run_id, new_result(30, store.log(run_id).after))
        runs.append(run_id)
    made = store.experiments.create("", preset("quick"), ["bald"], [1], False, runs[:1])
    store.close()
    broken = "json_set(protocol, '$.n_epochs', 0)"
    with sqlite3.connect(tmp_path / "dal.db") as connection:
        connection.execute(f"UPDATE runs SET protocol = {broken} WHERE run_id = ?", [runs[1]])
        connection.execute(f"UPDATE experiments SET protocol = {broken}")
    connection.close()
    return (*runs, made.experiment_id)  # type: ignore[return-value]


def dal(home: Path, *arguments: str) -> int:
    return main([*arguments, "--home", str(home)])


def test_lists_name_the_damaged_on_standard_error(
    tmp_path: Path, ids: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, experiment = ids
    assert dal(tmp_path, "runs", "--json") == 0
    listed = {one["id"]: one for one in json.loads(capsys.readouterr().out)}
    assert "n_epochs is 0" in listed[bad]["damaged"] and "damaged" not in listed[good]
    assert dal(tmp_path, "runs") == 0
    assert f"run {bad} is damaged" in capsys.readouterr().err
    assert dal(tmp_path, "experiments") == 0
    assert f"experiment {experiment} is damaged" in capsys.readouterr().err


def test_commands_say_that_the_database_itself_is_damaged(
    tmp_path: Path, ids: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dal.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        where = "SELECT rootpage FROM sqlite_master WHERE name = 'retractions'"
        (page,) = connection.execute(where).fetchone()
    connection.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = bytes(size)
    path.write_bytes(content)
    dal(tmp_path, "runs")
    assert f"dal: {path} is damaged (" in capsys.readouterr().err


def test_the_damaged_are_one_line_to_show_and_can_be_deleted(
    tmp_path: Path, ids: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, experiment = ids
    assert dal(tmp_path, "show", good) == 0
    capsys.readouterr()
    assert dal(tmp_path, "show", bad[:-1]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"dal: run {bad} is damaged: ")
    assert dal(tmp_path, "report", experiment, "--out", str(tmp_path / "out")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"dal: experiment {experiment} is damaged: ")
    assert dal(tmp_path, "delete", bad, "--yes") == 0
    assert dal(tmp_path, "delete", experiment, "--yes") == 0
    capsys.readouterr()
    assert dal(tmp_path, "runs") == dal(tmp_path, "experiments") == 0
    assert "damaged" not in capsys.readouterr().err


def test_an_experiment_deleted_here_leaves_no_work_for_the_next_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dal_core.experiments.control import resume
    from dal_core.run.next_task import next_task

    store = open_store(tmp_path)
    run_id = new_run(store).run_id
    made = store.experiments.create("", preset("quick"), ["bald"], [1], False, [run_id])
    resume(store, made.experiment_id)
    assert next_task(store.log(run_id)).has_work
    assert dal(tmp_path, "delete", made.experiment_id, "--yes") == 0
    assert not next_task(store.log(run_id)).has_work
