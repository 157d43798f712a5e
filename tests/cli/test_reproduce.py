"""`dal reproduce`, `dal experiments` and `dal report`, as somebody types them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dal_core.cli import main
from dal_core.cli.table_of_runs import LiveTable, doing, whole
from dal_core.data.base import ImageDataset
from dal_core.experiments import control
from dal_core.experiments.status import status
from dal_core.record_file.io import read_record, write_record
from dal_core.run.rows import Progress
from dal_core.store.opening import open_store
from dal_core.store.run_lock import is_locked, run_lock
from tests.cli import test_cli
from tests.experiment_kit import FAST, numbers, protocol, until
from tests.report_record import report_record
from tests.store_kit import reseal

SETTINGS = [f"--set={key}={value}" for key, value in {**FAST, "n_epochs": 40}.items()]
WANTED = ["--protocol", "quick", "--acquisitions", "bald,random", "--seeds", "1", *SETTINGS]


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """`dal reproduce` with one worker, so that there is time to disturb it."""
    common = ["--home", str(home), "--workers", "1", "--json"]
    return test_cli.start("reproduce", *arguments, *common)


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The object it printed last, once it has ended well."""
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    last: dict[str, Any] = json.loads(out.splitlines()[-1])
    return last


def lines_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """Its lines on standard error up to the first one that holds `text`."""
    lines = []
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line.strip())
        if text in line:
            return lines
    raise AssertionError(f"no line holds {text!r}: {lines}")


def workers_of(pid: int) -> list[int]:
    """The process's children that are workers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if parent == str(pid) and "dal_core.execution.worker_process" in command:
            found.append(int(folder.name))
    return found


def is_gone(pid: int) -> bool:
    try:
        return "dal_core.execution.worker_process" not in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return True


@dataclass
class Done:
    """An experiment that nobody disturbed."""

    home: Path
    said: dict[str, Any]
    numbers: dict[str, Any]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    home = tmp_path_factory.mktemp("undisturbed")
    said = finish(start(home, *WANTED))
    return Done(home, said, numbers(Path(said["record"])))


def test_the_last_line_tells_the_runs_the_bounds_and_the_record(done: Done) -> None:
    said = done.said
    assert said["complete"] is True
    runs = [(run["acquisition"], run["seed"], run["steps"]) for run in said["runs"]]
    assert runs == [("bald", 1, 3), ("random", 1, 3)]
    assert [bound["seed"] for bound in said["bounds"]] == [1]
    record = read_record(Path(said["record"]))
    accuracies = record.results["acq"]["mutual_information"]["test_acc"]
    assert said["runs"][0]["accuracy"] == accuracies[0][-1]
    assert Path(said["record"]) == done.home / "experiments" / said["id"] / "record.yaml"


def test_a_killed_worker_and_a_killed_parent_change_nothing_in_the_end(
    done: Done, tmp_path: Path
) -> None:
    process = start(tmp_path, *WANTED)
    (name,) = [line for line in lines_until(process, "of 7 steps") if line.startswith("quick-")]
    lines_until(process, "20 labels")
    (worker,) = workers_of(process.pid)
    os.kill(worker, signal.SIGKILL)
    until(lambda: set(workers_of(process.pid)) - {worker})
    store = open_store(tmp_path)
    runs = store.experiments.runs(name)
    until(lambda: any(is_locked(tmp_path, run.run_id) for run in runs))  # the new one is at work
    (worker,) = workers_of(process.pid)
    process.kill()
    process.communicate()
    until(lambda: is_gone(worker))
    assert status(store, name).n_done < 7
    said = finish(start(tmp_path, "--resume", name))
    assert said["id"] == name and said["complete"]
    assert numbers(Path(said["record"])) == done.numbers


def test_ctrl_c_stops_at_once_pauses_and_says_how_to_go_on(done: Done, tmp_path: Path) -> None:
    process = start(tmp_path, *WANTED)
    lines_until(process, "of 7 steps")
    store = open_store(tmp_path)
    (row,) = store.experiments.all()
    random = store.experiments.runs(row.experiment_id)[1]
    with run_lock(tmp_path, random.run_id):  # so it cannot be over before it is stopped
        lines_until(process, "20 labels")
        (worker,) = workers_of(process.pid)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"`dal reproduce --resume {row.experiment_id} --home {tmp_path}` continues" in err
    assert is_gone(worker)
    now = status(store, row.experiment_id)
    assert now.is_paused and not now.has_work  # an app opened later does not go on by itself
    said = finish(start(tmp_path, "--resume", "quick"))
    assert numbers(Path(said["record"])) == done.numbers


def test_a_finished_experiment_is_only_printed(
    done: Done, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "conduct", lambda *_: pytest.fail("there is nothing to do"))
    assert main(["reproduce", "--resume", done.said["id"], "--home", str(done.home)]) == 0
    out = capsys.readouterr().out
    assert "7 of 7 steps measured" in out
    assert f"dal report {done.said['id']} --home {done.home}" in out
    assert main(["experiments", "--home", str(done.home), "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["id"], listed["state"]) == (done.said["id"], "complete")
    assert main(["experiments", "--home", str(done.home)]) == 0
    assert done.said["id"] in capsys.readouterr().out


def test_a_failed_run_is_named_and_the_others_go_on(
    mnist5k: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(tmp_path)
    made = control.create_experiment(
        store, mnist5k, protocol(), ("bald", "random"), (1,), full_data=False
    )
    bald, random = (run.run_id for run in store.experiments.runs(made.experiment_id))
    with sqlite3.connect(tmp_path / "dal.db") as connection:  # the data set has too few images
        larger = (
            "UPDATE runs SET protocol = json_set(protocol, '$.val_size', 4990) WHERE run_id = ?"
        )
        connection.execute(larger, [bald])
    connection.close()
    reseal(tmp_path)
    resume = ["reproduce", "--resume", made.experiment_id, "--home", str(tmp_path), "--workers=1"]
    assert main([*resume, "--json"]) == 1
    printed = capsys.readouterr()
    assert f"run {bald} failed: ProtocolError" in printed.err
    said = json.loads(printed.out.splitlines()[-1])
    assert not said["complete"] and [run["steps"] for run in said["runs"]] == [0, 3]
    assert len(store.log(random).steps) == 3
    log = tmp_path / "experiments" / made.experiment_id / "workers.log"
    assert "Traceback" in log.read_text() and "Traceback" not in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "paper"], "--protocol is 'paper'; allowed: report, released"),
        (["--acquisitions", "bald,bold"], "--acquisitions is 'bold'; allowed: max_entropy"),
        (["--acquisitions", "bald,bald"], "--acquisitions is 'bald,bald', with 'bald' twice"),
        (["--acquisitions", ""], "--acquisitions is '', with an empty place"),
        (["--seeds", "1,,2"], "--seeds has an empty place; allowed: whole numbers"),
        (["--seeds", "1,x"], "--seeds has 'x'; allowed: whole numbers from 0 to 4294967295"),
        (["--workers", "0"], "--workers is '0'; allowed: a whole number from 1 to 256"),
        (["--set", "n_epochs=0"], "--set: n_epochs is 0; allowed"),
        (["--set", "val_size=4990"], "--set: test_size 1000 + val_size 4990"),
        (["--dataset", "cifar"], "--dataset is 'cifar'; allowed: mnist5k, mnist"),
        (["--resume", "quick-1", "--seeds", "1"], "--seeds is '1' but a resumed experiment"),
        (["--resume", "quick-1"], "holds no runs"),
    ],
)
def test_a_wrong_value_is_one_line_and_writes_nothing(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    asked = ["--protocol", "quick"] if "--resume" not in arguments else []
    assert main(["reproduce", *asked, *arguments, "--home", str(home)]) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1
    assert not home.exists()


def test_the_protocol_of_the_report_does_not_fall_back_on_other_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dal_core.data.mnist.roots", lambda _: [tmp_path / "nothing"])
    assert main(["reproduce", "--home", str(tmp_path / "home")]) == 2
    err = capsys.readouterr().err
    assert "dal data fetch mnist" in err and "DAL_DATA" in err
    assert not (tmp_path / "home").exists()


def test_an_unknown_or_ambiguous_experiment_is_refused(
    mnist5k: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(tmp_path)
    for seed in (1, 2):
        control.create_experiment(store, mnist5k, protocol(), ("random",), (seed,), full_data=False)
    for text, message in (("slow", "--resume is 'slow'; allowed"), ("quick", "2 experiments")):
        assert main(["reproduce", "--resume", text, "--home", str(tmp_path)]) == 2
        assert message in capsys.readouterr().err
    (one, *_) = store.experiments.all()
    (run,) = store.experiments.runs(one.experiment_id)
    assert main(["delete", run.run_id, "--yes", "--home", str(tmp_path)]) == 1
    assert "belongs to experiment" in capsys.readouterr().err
    assert main(["delete", one.experiment_id, "--home", str(tmp_path)]) == 2
    assert main(["delete", one.experiment_id, "--yes", "--home", str(tmp_path)]) == 0
    assert len(store.experiments.all()) == 1 and len(store.runs()) == 2


def test_the_table_shows_every_run_and_what_it_is_doing(
    mnist5k: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console
    from rich.live import Live

    store = open_store(tmp_path)
    made = control.create_experiment(
        store, mnist5k, protocol(n_epochs=400), ("bald", "random"), (1,), full_data=True
    )
    run_id = store.experiments.runs(made.experiment_id)[0].run_id
    store.set_progress(run_id, Progress("train", epoch=212, n_epochs=400))
    monkeypatch.setattr("dal_core.cli.table_of_runs.is_locked", lambda _, run: run == run_id)
    now = status(store, made.experiment_id)
    with (tmp_path / "terminal").open("w+") as file:
        console = Console(file=file, width=100, height=30)
        with Live(console=console, auto_refresh=False) as live:
            LiveTable(tmp_path, 2, live).show(now)
        file.seek(0)
        drawn = file.read()
    for text in ("epoch 212 of 400", "waiting", "full data", "0/3", "0 of 7 steps"):
        assert text in drawn
    assert doing(now.runs[1], is_worked_on=True) == "starting"
    assert whole(now, 2) == "0 of 7 steps"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    write_record(report_record(), tmp_path / "published.yaml")
    return tmp_path / "published.yaml"


def report(*arguments: object) -> int:
    return main(["report", *map(str, arguments)])


def test_a_report_is_made_of_an_experiment_and_never_into_a_full_folder(
    done: Done, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    arguments = ("quick", "--home", done.home, "--out", out)
    assert report(*arguments) == 0
    assert str(out / "index.md") in capsys.readouterr().out
    names = {path.name for path in out.iterdir()}
    assert {"tables.md", "tables.csv", "tables.tex", "figure1.svg", "figure6.pdf"} <= names
    assert "BALD" in (out / "tables.md").read_text()
    assert report(*arguments) == 2
    assert "not empty; add --force" in capsys.readouterr().err
    assert report(*arguments, "--force") == 0


def test_two_records_are_compared_in_a_figure(
    done: Done, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = Path(done.said["record"])
    out = tmp_path / "compared"
    assert report(published, ours, "--compare", "--out", out, "--dataset", "mnist5k") == 0
    numbers = (out / "compare_accuracy.csv").read_text()
    assert "released" in numbers and "quick with" in numbers
    assert (out / "compare_accuracy.svg").is_file()
    assert report(published, "--compare", "--out", tmp_path / "one") == 2
    assert "--compare with 1 records; allowed: 2 to 4" in capsys.readouterr().err
    assert report(published, ours, "--out", tmp_path / "merged") == 1  # two protocols
    assert "the records cannot be merged" in capsys.readouterr().err
    assert not (tmp_path / "one").exists() and not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, 2), ("params: {exp: {}}\n", 1), ("params: [\n", 1), ("\x00", 1)],
)
def test_a_record_that_is_none_is_one_line(
    content: str | None, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "record.yaml"
    if content is not None:
        path.write_text(content)
    assert report(path, "--out", tmp_path / "out") == code
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "record" in err.lower()
    assert not (tmp_path / "out").exists()


def test_a_file_cannot_be_the_folder(
    published: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for out in (published, published / "below"):
        assert report(published, "--out", out) == 2
        assert "--out is" in capsys.readouterr().err
