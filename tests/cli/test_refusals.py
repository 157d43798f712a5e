"""What `dal` refuses: one line with the option, the value and what is allowed; nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from dal_core.cli import main
from dal_core.store.opening import open_store
from tests.store_kit import new_run

WRONG = {
    "run --protocol foo": "--protocol is 'foo'; allowed: report, released, gal2017, quick",
    "run --acquisition foo": "--acquisition is 'foo'; allowed: max_entropy, bald,",
    "run --dataset foo": "--dataset is 'foo'; allowed: mnist5k, mnist",
    "run --seed -1": "--seed is '-1'; allowed: a whole number from 0 to 4294967295",
    "run --seed abc": "--seed is 'abc'; allowed: a whole number",
    "run --seed 1.0": "--seed is '1.0'; allowed: a whole number",
    "run --seed=": "--seed is ''; allowed: a whole number",
    "run --protocol=": "--protocol is ''; allowed: report",
    "run --seed 4294967296": "--seed is '4294967296'; allowed: a whole number",
    "run --seed": "'--seed' requires an argument",
    "run --set n_epochs": "--set: parameter 'n_epochs'; allowed: KEY=VALUE",
    "run --set n_epochs=1 --set n_epochs=2": "--set: parameter 'n_epochs' is set twice",
    "run --set foo=1": "--set: parameter 'foo' is unknown; allowed: dataset,",
    "run --set n_epochs=abc": "--set: n_epochs is 'abc'; ",
    "run --set n_epochs=0": "--set: n_epochs is 0; ",
    "run --set n_epochs=[": "--set: n_epochs is '['; ",
    "run --set val_size=5000": "--set: ",
    "run --until-labels 5": "--until-labels is '5'; allowed: a whole number from 20 to 320",
    "run --until-labels many": "--until-labels is 'many'; allowed: a whole number from 20 to 320",
    "run --until-accuracy 1.5": "--until-accuracy is '1.5'; allowed: a number above 0, at most 1",
    "run --until-accuracy nan": "--until-accuracy is 'nan'; allowed: a number above 0",
    "run --until-accuracy 95%": "--until-accuracy is '95%'; allowed: a number above 0",
    "run --resume foo": "holds no runs",
    "run --resume foo --seed 3": "--seed is '3' but a resumed run keeps its own; allowed with",
    "run --resume foo --set a=1": "--set is 'a=1' but a resumed run keeps its own",
    "run --home /dev/null/x": "--home: /dev/null/x cannot be used as a home: Not a directory",
    "run --bogus 3": "No such option: --bogus",
    "run extra": "unexpected extra argument",
    "show": "Missing argument 'RUN'",
    "show foo": "holds no runs",
    "runs --home /nonexistent": "--home: /nonexistent holds no runs",
    "export foo --format xml --out -": "--format is 'xml'; allowed: csv, jsonl, yaml",
    "export foo --format csv --out /nonexistent/x": "--out is '/nonexistent/x'; allowed: a file",
    "export foo --format csv --out /": "--out is '/', a folder; allowed: a file",
    "export foo --format csv": "Missing option '--out'",
    "delete foo --yes": "holds no runs",
    "data verify foo": "NAME is 'foo'; allowed: mnist5k, mnist",
    "app --port 0": "--port is '0'; allowed: a whole number from 1 to 65535",
    "rum": "No such command 'rum'. Did you mean 'run'?",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_value_is_one_line_and_writes_nothing(
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DAL_HOME", str(tmp_path / "home"))
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1 and err.endswith("\n")
    assert WRONG[line] in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("title", ["a\x1b[2Jb", "x" * 201, "a\nb"])
def test_a_title_that_breaks_the_rule_is_one_line_and_writes_nothing(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAL_HOME", str(tmp_path / "home"))
    labels = tmp_path / "labels.csv"
    labels.touch()
    for command in ("reproduce --protocol quick", f"replay {labels}"):
        assert main([*command.split(), "--title", title]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and err[:-1].isprintable()
        assert err.startswith("dal: --title ")
    assert list(tmp_path.iterdir()) == [labels]


def test_report_without_mnist_names_the_two_ways_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dal_core.data.mnist.default_dir", lambda: tmp_path / "data")
    monkeypatch.delenv("DAL_DATA", raising=False)
    monkeypatch.setenv("DAL_HOME", str(tmp_path / "home"))
    assert main(["run", "--protocol", "report"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "dal data fetch mnist" in err and "DAL_DATA" in err
    assert list(tmp_path.iterdir()) == []


def test_an_unforeseen_failure_is_one_line_and_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of\ncheese")

    monkeypatch.setattr("dal_core.cli.listing.runs", fail)
    assert main(["runs"]) == 1
    line = "dal: failed: RuntimeError: out of cheese (DAL_DEBUG=1 shows where)\n"
    assert capsys.readouterr().err == line
    monkeypatch.setenv("DAL_DEBUG", "1")
    assert main(["runs"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_persons_run_is_not_taken_over(
    dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(dal_home)
    run_id = new_run(store, kind="person").run_id
    assert main(["run", "--resume", run_id]) == 2
    assert "a run that a person labels" in capsys.readouterr().err
    assert store.run(run_id).oracle_until is None


def test_a_run_on_other_data_is_not_resumed(
    dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Its fingerprint is of no data set.
    run_id = new_run(open_store(dal_home), kind="oracle").run_id
    assert main(["run", "--resume", run_id]) == 2
    assert "a run on another mnist5k than the one found here" in capsys.readouterr().err
