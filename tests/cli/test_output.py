"""What `dal` prints: at any width, in any encoding, and never an escape sequence from outside."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dal_core.cli import main, tables
from dal_core.store.opening import open_store
from tests.store_kit import ROOT, new_query, new_run, reseal, spec

COLUMNS = ("id", "title", "protocol", "accuracy")
ROWS = [
    ["random-s1-b2c555", "my first run", "quick with " + "n_epochs=50, " * 20, "0.9050"],
    ["variation-ratios-mean-s1-b7a177", "", "quick", "0.5"],
]


def printed_at(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What a terminal of this width shows."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for name, value in (("COLUMNS", str(width)), ("TERM", "xterm"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    tables.print_table(COLUMNS, ROWS, right=("accuracy",), spare=("protocol", "title"))
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [50, 60, 80, 120])
def test_a_table_is_never_wider_than_the_terminal_and_ids_stay_whole(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed_at(width, monkeypatch, capsys)
    lines = [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in out.splitlines()]
    assert max(map(len, lines)) <= width
    assert all(any(row[0] in line for line in lines) for row in ROWS)
    assert ("Too narrow for: protocol" in out) == (width < 120)


def test_where_no_table_fits_each_row_is_a_block(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed_at(40, monkeypatch, capsys).splitlines()
    assert lines[:2] == ["random-s1-b2c555", "  title     my first run"]
    assert lines[-3:] == [
        "variation-ratios-mean-s1-b7a177",
        "  protocol  quick",
        "  accuracy  0.5",
    ]


def test_a_pipe_gets_every_cell_whole_and_each_row_on_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables.print_table(COLUMNS, ROWS, spare=("protocol",))
    lines = capsys.readouterr().out.splitlines()
    assert any(all(cell.strip() in line for cell in ROWS[0]) for line in lines)


@pytest.fixture
def hostile(dal_home: Path) -> str:
    """A home of an earlier version, in which a title and a name hold escape sequences."""
    store = open_store(dal_home)
    run_id = new_run(store, title="title", kind="person").run_id
    store.experiments.create("experiment", spec().protocol, ["bald"], [1], False, [run_id])
    query = new_query()
    store.add_query(run_id, query, None)
    store.close()
    with sqlite3.connect(dal_home / "dal.db") as database:
        for table in ("runs", "experiments"):
            database.execute(f"UPDATE {table} SET title = ?", ("a\x1b[2J\x07é\nb",))
    database.close()
    reseal(dal_home)
    return run_id


def test_no_command_prints_an_escape_sequence_of_a_title(
    hostile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = ["runs", "experiments", f"show {hostile}", "show quick", "runs --json"]
    commands += [f"show {hostile} --json", "experiments --json", "show \x1b[2J", "delete \x1b[2J"]
    commands += ["\x1b[2J", "runs --\x1b[2J", "run --seed \x1b[2J"]
    for command in commands:
        main(command.split(" "))
        out, err = capsys.readouterr()
        assert "\x1b" not in out + err and "\x07" not in out + err, command
        assert out or err.count("\n") == 1


def test_output_that_cannot_hold_a_character_shows_its_code(hostile: str, dal_home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dal_core.cli", "runs"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"a\x1b[2J\x07\xe9\nb" in done.stdout


def test_an_empty_list_says_where_it_looked(
    dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("runs", "experiments"):
        assert main([command]) == 0
        assert f"There are no {command} yet in {dal_home};" in capsys.readouterr().out


def test_show_takes_the_id_of_an_experiment(
    hostile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (experiment,) = open_store(Path(os.environ["DAL_HOME"])).experiments.all()
    for text in (experiment.experiment_id, experiment.experiment_id[:7]):
        assert main(["show", text]) == 0
        out = capsys.readouterr().out
        assert experiment.experiment_id in out and hostile in out
    assert main(["show", experiment.experiment_id, "--json"]) == 0
    assert f'"runs": [{{"id": "{hostile}"' in capsys.readouterr().out
