"""Paths from the command line and the environment: `~` is a home, and blank is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from dal_core.cli import main
from dal_core.limits.paths import given_path
from dal_core.limits.refused import Refused
from dal_core.store.home import default_home
from dal_core.store.opening import open_store
from tests.store_kit import new_run


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the person who works, and another folder to work in."""
    home, here = tmp_path / "person", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    return home


def test_a_tilde_is_the_persons_home(
    at_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = new_run(open_store(at_home / "runs")).run_id
    for home in (["--home", "~/runs"], ["--home=~/runs"]):
        assert main(["show", run_id, *home]) == 0
    monkeypatch.setenv("DAL_HOME", "~/runs")
    assert main(["show", run_id]) == 0
    assert main(["export", run_id, "--format", "yaml", "--out", "~/record.yaml"]) == 0
    assert (at_home / "record.yaml").is_file()
    assert main(["report", "~/record.yaml", "--out", "~/record.yaml"]) == 2
    assert "which is a file" in capsys.readouterr().err
    assert list(Path.cwd().iterdir()) == []


BLANK = {
    "runs --home|": "--home is ''; allowed: a path that is not blank",
    "runs --home| ": "--home is ' '; allowed: a path that is not blank",
    "run --home|a\0b": r"--home is 'a\x00b'; allowed: a path",
    "runs --home|~nobody-here/x": "--home is '~nobody-here/x'; there is no such user",
    "export x --format csv --out|": "--out is ''; allowed: a path that is not blank",
    "replay| ": "LABELS is ' '; allowed: a path that is not blank",
    "report --out x|": "RECORD is ''; allowed: a path that is not blank",
    "report x --out| ": "--out is ' '; allowed: a path that is not blank",
}


@pytest.mark.parametrize("line", BLANK)
def test_a_path_that_is_none_is_one_line_and_makes_no_folder(
    line: str, at_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, path = line.split("|")
    assert main([*words.split(), path]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"dal: {BLANK[line]}") and err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == [] and list(at_home.iterdir()) == []


@pytest.mark.parametrize("command", ["runs", "experiments", "run --protocol quick", "app"])
def test_a_blank_home_in_the_environment_is_one_line(
    command: str,
    at_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DAL_HOME", "  ")
    assert main(command.split()) == 2
    err = capsys.readouterr().err
    assert "DAL_HOME is ' " in err and err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAL_HOME", "")
    assert default_home() == Path("runs")


def test_a_data_folder_of_nobody_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in (" ", "~nobody-here/mnist"):
        monkeypatch.setenv("DAL_DATA", value)
        assert main(["run", "--protocol", "report"]) == 2
        err = capsys.readouterr().err
        assert "DAL_DATA is " in err and err.count("\n") == 1


def test_a_path_is_expanded_and_otherwise_kept(at_home: Path) -> None:
    assert given_path("~/a", "x") == at_home / "a"
    assert given_path(" a~ ", "x") == Path(" a~ ")
    with pytest.raises(Refused):
        given_path("\t", "x")
