"""The `dal` command: what it prints where, and that a run survives its death."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dal_core import __version__
from dal_core.acquisition import registry
from dal_core.cli import main, serving
from dal_core.cli.commands import command
from dal_core.protocol.parameters import dataset_names
from dal_core.protocol.presets import PRESETS
from dal_core.run.environment import Environment
from dal_core.store.opening import open_store
from dal_core.store.run_lock import run_lock
from dal_ui.server import hosts
from tests.store_kit import ask, give, new_query, new_result, new_run

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("--set", "n_epochs=40", "--set", "num_mc_samples=4", "--set", "n_acquisition_steps=3")
NO_TIME = {"train": 0.0, "evaluate": 0.0, "score": 0.0}


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """`dal` in a process of its own, on which Ctrl-C works whoever started the tests."""
    return subprocess.Popen(
        [sys.executable, "-m", "dal_core.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def dal(*arguments: str | Path) -> tuple[str, str]:
    """Standard output and error of a `dal` that succeeds."""
    process = start(*arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, err


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    pytest.fail(f"{text!r} was not said")


def only_run(home: Path) -> str:
    store = open_store(home, create=False)
    (run,) = store.runs()
    store.close()
    return run.run_id


class Whole(NamedTuple):
    """A run that nothing interrupted: its home, its `--json` object, and standard error."""

    home: Path
    result: dict[str, Any]
    err: str


def measured(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of a `--json` result without their times."""
    return [{**step, "seconds": NO_TIME} for step in result["steps"]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    home = tmp_path_factory.mktemp("whole")
    out, err = dal("run", "--acquisition", "bald", "--seed", "1", *SHORT, "--home", home, "--json")
    (line,) = out.splitlines()
    return Whole(home, json.loads(line), err)


# -- running ---------------------------------------------------------------------------------------


def test_json_is_one_line_of_exactly_the_promised_form(
    whole: Whole,
) -> None:
    home, result = whole.home, whole.result
    keys = ["id", "protocol", "dataset", "acquisition", "seed", "steps"]
    assert list(result) == keys
    assert result["id"] == only_run(home)
    assert result["protocol"].startswith("quick with ")
    assert (result["dataset"], result["acquisition"], result["seed"]) == ("mnist5k", "bald", 1)
    assert [step["n_labelled"] for step in result["steps"]] == [20, 30, 40, 50]
    for number, step in enumerate(result["steps"]):
        keys = ["step", "n_labelled", "accuracy", "mutual_information", "nll", "brier", "ece"]
        assert list(step) == [*keys, "seconds"] and step["step"] == number
        assert list(step["seconds"]) == ["train", "evaluate", "score"]
        assert 0 <= step["accuracy"] <= 1 and step["seconds"]["train"] > 0
    scored = [step["seconds"]["score"] > 0 for step in result["steps"]]
    assert scored == [True, True, True, False]


def test_progress_and_the_id_go_to_standard_error_with_json(
    whole: Whole,
) -> None:
    result, err = whole.result, whole.err
    lines = err.splitlines()
    assert lines[0] == result["id"]
    assert [line.split("  ")[0] for line in lines[1:5]] == [f"step {k}/3" for k in range(4)]
    assert "left" in lines[1]


def test_a_run_killed_in_the_middle_goes_on_to_the_same_bits(whole: Whole, tmp_path: Path) -> None:
    process = start("run", "--seed", "1", *SHORT, "--home", tmp_path)
    read_until(process, "step 1/3")
    process.kill()
    process.communicate()
    killed = only_run(tmp_path)
    assert len(open_store(tmp_path).log(killed).steps) < len(whole.result["steps"])
    out, _ = dal("run", "--resume", killed[:8], "--home", tmp_path, "--json")
    resumed = json.loads(out)
    assert resumed["id"] == killed
    assert measured(resumed) == measured(whole.result)
    assert labels(tmp_path, killed) == labels(whole.home, whole.result["id"])


def labels(home: Path, run_id: str) -> list[tuple[int, int]]:
    store = open_store(home, create=False)
    found = store.log(run_id).labels()
    store.close()
    return found


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    process = start("run", "--set", "n_epochs=100000", "--home", tmp_path)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()  # the id is the first thing printed
    store = open_store(tmp_path)
    for _ in range(600):  # until it trains
        progress = store.progress(run_id)
        if progress is not None and progress.part == "train":
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"stopped at 20 labels; `dal run --resume {run_id} --home {tmp_path}` continues" in err
    assert "Traceback" not in err
    with run_lock(tmp_path, run_id):  # nobody holds it any more
        progress = store.progress(run_id)
    assert progress is not None and progress.part == "idle"
    store.close()


def test_a_label_budget_ends_a_run_and_a_larger_one_goes_on(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tiny = ("--set", "n_epochs=1", "--set", "num_mc_samples=1")
    home = ("--home", tmp_path)
    out, err = dal("run", "--acquisition", "random", *tiny, "--until-labels", "35", *home)
    first, last = out.splitlines()
    assert first == only_run(tmp_path)
    pattern = r"30 labels, test accuracy 0\.\d{4}, test mutual information 0\.\d{4}"
    assert re.fullmatch(pattern, last)
    assert "the label budget of 35 is used" in err

    out, err = dal("run", "--resume", first, "--until-labels", "40", *home)
    assert out.splitlines()[-1].startswith("40 labels, ")

    code = main(["run", "--resume", first, "--json", "--home", str(tmp_path)])  # nothing to do
    out, err = capfd.readouterr()
    assert code == 0
    assert [step["n_labelled"] for step in json.loads(out)["steps"]] == [20, 30, 40]
    assert all(step["seconds"]["score"] == 0 for step in json.loads(out)["steps"])
    assert "step" not in err


def test_going_on_under_other_versions_is_said(
    whole: Whole, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dal_core.cli.resuming.current_versions", lambda device: {"torch": "9.9"})
    assert main(["run", "--resume", whole.result["id"], "--home", str(whole.home)]) == 0
    err = capsys.readouterr().err
    assert "started with other versions" in err and "9.9 now" in err


def test_another_data_set_is_said_not_to_be_the_reports_procedure(tmp_path: Path) -> None:
    tiny = ("--set", "n_epochs=1", "--set", "num_mc_samples=1", "--set", "n_acquisition_steps=0")
    other = ("--protocol", "released", "--dataset", "mnist5k")
    _, err = dal("run", *other, *tiny, "--until-accuracy", "0.01", "--home", tmp_path)
    assert err.count("released on mnist5k instead of mnist: not the report's procedure") == 1


def test_the_process_exits_with_2_and_shows_no_traceback(dal_home: Path) -> None:
    process = start("run", "--seed", "-1")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.splitlines() == ["dal: --seed is '-1'; allowed: a whole number from 0 to 4294967295"]


def test_a_run_that_is_being_worked_on_is_left_alone(
    whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    home, result = whole.home, whole.result
    with run_lock(home, result["id"]):
        assert main(["run", "--resume", result["id"], "--home", str(home)]) == 1
        assert main(["delete", result["id"], "--yes", "--home", str(home)]) == 1
    assert capsys.readouterr().err.count("is being worked on") == 2


# -- looking ---------------------------------------------------------------------------------------


def test_runs_and_show_tell_what_there_is(whole: Whole, capsys: pytest.CaptureFixture[str]) -> None:
    home, result = whole.home, whole.result
    at_home = ["--home", str(home)]
    assert main(["runs", "--json", *at_home]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["id"] == result["id"]
    assert listed["accuracy"] == result["steps"][-1]["accuracy"]
    assert listed["annotators"] == ["oracle"]

    assert main(["show", result["id"][:6], "--json", *at_home]) == 0  # how it begins is enough
    shown = json.loads(capsys.readouterr().out)
    assert {key: shown[key] for key in result} == result
    assert shown["finished"] == "all 3 acquisition steps are done"
    assert shown["parameters"]["n_epochs"] == 40

    for line in (["runs"], ["show", result["id"]]):
        assert main([*line, *at_home]) == 0
        out = capsys.readouterr().out
        assert result["id"] in out and f"{listed['accuracy']:.4f}" in out


def test_show_tells_where_a_run_was_computed_and_from_when_on_elsewhere(
    dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, here = open_store(dal_home), Environment(torch="2.13.0", device="cpu")
    run_id = new_run(store, kind="person").run_id
    give(store, ask(store, run_id, range(20)))
    after = store.log(run_id).after
    store.add_step(run_id, replace(new_result(), environment=here))
    assert main(["show", run_id]) == 0
    assert "elsewhere" not in capsys.readouterr().out
    there = replace(here, torch="2.14.0")
    store.add_step(run_id, replace(new_result(30, after), environment=there))
    assert main(["show", run_id, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["environments"] == [here.facts(), there.facts()]
    changed = ["torch 2.13.0 then, 2.14.0 now"]
    assert shown["computed_elsewhere"] == [{"n_labelled": 30, "changed": changed}]
    assert main(["show", run_id]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "elsewhere, so bits may differ; from 30 labels on: torch 2.13.0 then, 2.14.0 now" in out


def test_show_prints_calibration_and_a_dash_for_steps_of_earlier_versions(
    dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(dal_home)
    run_id = new_run(store, kind="person").run_id
    store.add_step(run_id, new_result())
    give(store, ask(store, run_id, range(20, 60)))
    result = new_result(30, store.log(run_id).after)
    store.add_step(run_id, replace(result, nll=1.25, brier=0.5, ece=0.125))
    assert main(["show", run_id]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[-4:] if line.strip()]
    assert [row[4:7] for row in rows[-2:]] == [["–"] * 3, ["1.2500", "0.5000", "0.1250"]]
    assert main(["show", run_id, "--json"]) == 0
    earlier, now = json.loads(capsys.readouterr().out)["steps"]
    assert "nll" not in earlier and (now["nll"], now["brier"], now["ece"]) == (1.25, 0.5, 0.125)


def test_show_and_runs_tell_the_mode_the_corrections_and_what_was_measured_before_them(
    dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(dal_home)
    run_id = new_run(store, kind="person", mode="continuous").run_id
    store.add_ranking(run_id, new_query(), None)
    query = store.log(run_id).open_query
    assert query is not None
    give(store, query)
    for n_labelled, state in ((20, 0), (30, store.log(run_id).after)):
        store.add_step(run_id, new_result(n_labelled, state))
    store.correct(run_id, 3, None, annotator="bea")
    assert main(["show", run_id, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["mode"], shown["measured_before_a_correction"]) == ("continuous", [30])
    (made,) = shown["corrections"]
    assert (made["image_id"], made["from"], made["to"], made["annotator"]) == (3, 3, None, "bea")
    assert main(["show", run_id]) == 0
    out = capsys.readouterr().out
    assert "continuous: queries come from the newest finished model" in out
    assert "1 labels corrected" in out
    (line,) = (line for line in out.splitlines() if "before a correction" in line)
    assert line.split()[:2] == ["1", "30"]
    assert main(["runs", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["mode"], listed["n_corrections"]) == ("continuous", 1)


def test_no_runs_yet_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    assert main(["runs", "--json"]) == 0
    said, listed = capsys.readouterr().out.splitlines()
    assert "no runs yet" in said and listed == "[]"


def test_a_beginning_that_fits_two_runs_is_refused(
    dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(dal_home)
    ids = {new_run(store).run_id, new_run(store).run_id}
    assert main(["show", "bald"]) == 2
    err = capsys.readouterr().err
    assert "2 runs start with it" in err and all(run_id in err for run_id in ids)
    assert main(["show", "bold"]) == 2
    assert "RUN is 'bold'" in capsys.readouterr().err


def test_a_run_without_a_result_can_be_looked_at(
    dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(dal_home)
    run_id = new_run(store, kind="person", title="[bold]Mine").run_id
    store.add_query(run_id, new_query(), None)
    for line in ("runs", f"show {run_id}", f"show {run_id} --json", "runs --json"):
        assert main(line.split()) == 0
        assert "[bold]Mine" in capsys.readouterr().out  # a title is text, not markup


def test_a_run_is_deleted_only_when_that_is_confirmed(
    dal_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(dal_home)
    run_id = new_run(store).run_id
    assert main(["delete", run_id]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert main(["delete", run_id, "--yes"]) == 0
    assert store.runs() == []


# -- exporting -------------------------------------------------------------------------------------


def test_labels_are_written_once_and_replaced_only_on_request(
    whole: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, result = whole.home, whole.result
    file = tmp_path / "labels.csv"
    line = ["export", result["id"], "--format", "csv", "--out", str(file), "--home", str(home)]
    assert main(line) == 0
    rows = list(csv.DictReader(file.open()))
    assert [(int(row["image_id"]), int(row["label"])) for row in rows] == labels(home, result["id"])

    file.write_text("mine")
    assert main(line) == 2
    assert "which exists" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert main([*line, "--force"]) == 0
    assert list(csv.DictReader(file.open())) == rows
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


@pytest.mark.parametrize("form", ["jsonl", "yaml"])
def test_a_dash_exports_to_standard_output_alone(
    form: str, whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    home, result = whole.home, whole.result
    assert main(["export", result["id"], "--format", form, "--out", "-", "--home", str(home)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    if form == "jsonl":
        assert [json.loads(line)["source"] for line in out.splitlines()] == ["oracle"] * 30
    else:
        assert out == (home / result["id"] / "record.yaml").read_text()


# -- the command itself ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "heavy"),
    [("--help", ["torch", "numpy", "pydantic", "sqlalchemy", "rich"]), ("runs", ["torch"])],
)
def test_what_a_command_does_not_need_is_not_imported(
    line: str, heavy: list[str], dal_home: Path
) -> None:
    new_run(open_store(dal_home))
    code = (
        "import sys; from dal_core.cli import main; code = main(sys.argv[1:]); "
        f"print('heavy:', [name for name in {heavy} if name in sys.modules], code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *line.split()],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.splitlines()[-1] == "heavy: [] 0", done.stderr


def test_the_help_names_every_protocol_function_and_data_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "--help"]) == 0
    words = set(re.findall(r"\w+", capsys.readouterr().out))
    assert words >= {*PRESETS, *registry.names(), *dataset_names()}


@pytest.mark.parametrize(
    ("line", "first"),
    [("", "Usage: dal "), ("data", "Usage: dal data "), ("--version", f"dal {__version__}")],
)
def test_dal_alone_tells_what_it_can_do(
    line: str, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 0
    assert capsys.readouterr().out.startswith(first)


def test_every_command_explains_itself() -> None:
    commands = {**command().commands, **command().commands["data"].commands}
    assert {"run", "runs", "show", "export", "data", "app"} <= set(commands)
    assert all(one.help for one in commands.values())


def test_data_list_and_verify_say_what_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    assert main(["data", "verify", "mnist5k"]) == 0
    assert main(["data", "fetch", "mnist5k"]) == 0  # there already: nothing is downloaded
    out = capsys.readouterr().out
    assert "MNIST 5k (5,000 images, built in)" in out and "mnist5k: 5,000 images in" in out


def test_the_app_is_served_to_this_machine_from_wherever_dal_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[Any] = []
    monkeypatch.setattr(serving, "APP", tmp_path / "app.py")
    monkeypatch.setattr("os.execve", lambda *given: called.extend(given))
    assert main(["app"]) == 1  # there is none yet
    (tmp_path / "app.py").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["app", "--port", "8599", "--home", "mine"]) == 0
    program, arguments, environment = called
    assert program == sys.executable
    assert arguments[1:5] == ["-m", "streamlit", "run", str(tmp_path / "app.py")]
    assert "--server.address=localhost" in arguments and "--server.port=8599" in arguments
    assert environment["DAL_HOME"] == str(tmp_path / "mine")


def test_the_app_is_shared_with_the_network_only_when_asked_and_with_a_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[Any] = []
    monkeypatch.setattr("os.execve", lambda *given: called.extend(given))
    monkeypatch.setattr(serving, "network_address", lambda: "10.1.2.3")
    monkeypatch.setenv("DAL_SHARE_CODE", "left over")
    assert main(["app", "--port", "8599", "--home", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""
    assert main(["app", "--port", "8599", "--home", str(tmp_path), "--share"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = re.fullmatch(
        r"Shared: http://10\.1\.2\.3:8599 with the code (\w{5}-\w{5}) - whoever has .*", line
    )
    assert found is not None
    alone, shared = called[1], called[4]
    assert "--server.address=localhost" in alone and "--server.address=0.0.0.0" not in alone
    assert "--server.address=0.0.0.0" in shared and "--server.address=localhost" not in shared
    assert "--browser.serverAddress=10.1.2.3" in shared  # it need not ask anybody for it
    assert "--server.allowedHosts=10.1.2.3" in shared
    assert "DAL_SHARE_CODE" not in called[2]
    assert called[5]["DAL_SHARE_CODE"] == found[1] and found[1] not in shared


def test_each_shared_server_has_a_code_of_its_own() -> None:
    codes = {serving.new_code() for _ in range(50)}
    assert len(codes) == 50 and all(len(code) == 11 for code in codes)


def test_the_app_answers_to_further_names_only_when_they_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[Any] = []
    monkeypatch.setattr("os.execve", lambda *given: called.extend(given))
    named = ["--allow-host", "label.example.org", "--allow-host", "*.lab.org"]
    assert main(["app", "--home", str(tmp_path), *named]) == 0
    allowed = [a.partition("=")[2] for a in called[1] if a.startswith("--server.allowedHosts=")]
    assert allowed == ["localhost", "127.0.0.1", "::1", "label.example.org", "*.lab.org"]
    for wrong in ("http://label.example.org", "label.example.org:80", "", "a b", "a,b"):
        assert main(["app", "--home", str(tmp_path), "--allow-host", wrong]) == 2
        assert "--allow-host is" in capsys.readouterr().err


def test_make_run_answers_to_this_machine_s_names_only() -> None:
    settings = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())
    assert tuple(settings["server"]["allowedHosts"]) == serving.LOOPBACK == hosts.LOOPBACK
    assert settings["client"]["showErrorDetails"] == "none"


def test_make_run_and_the_settings_listen_on_this_machine_only() -> None:
    settings = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())
    assert settings["server"]["address"] == "localhost"
    assert "server.address" not in (ROOT / "Makefile").read_text()
