"""`dal fork`, `dal demo` and `--noise`: what they make, print and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dal_core.cli import main
from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import demo
from dal_core.record_file.io import read_record
from dal_core.record_file.sync import experiment_dir
from dal_core.run.rows import RunRow
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from tests import experiment_kit
from tests.experiment_kit import FAST
from tests.store_kit import as_in_earlier_versions

SETTINGS = [f"--set={key}={value}" for key, value in FAST.items()]


@pytest.fixture
def store(dal_home: Path) -> Store:
    return open_store(dal_home)


@pytest.fixture
def origin(store: Store, mnist5k: ImageDataset) -> RunRow:
    run = experiment_kit.new_run(store, mnist5k)
    list(advance(Workbench(store), run.run_id))
    return run


def test_a_fork_is_made_and_brought_to_its_end(
    store: Store, origin: RunRow, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fork", origin.run_id, "--at", "30", "--acquisition", "random", "--noise", "0.25"]
    assert main([*command, "--title", "what if", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["forked_from"] == {"id": origin.run_id, "n_labelled": 30}
    assert made["noise"] == 0.25 and made["acquisition"] == "random"
    assert [step["n_labelled"] for step in made["steps"]] == [20, 30, 40]
    theirs = store.log(origin.run_id).steps
    assert [s["accuracy"] for s in made["steps"][:2]] == [s.accuracy for s in theirs[:2]]
    assert main(["runs"]) == 0
    out = "".join(capsys.readouterr().out.split())
    assert "forkat30" in out and "25%wronganswers" in out
    assert main(["show", made["id"]]) == 0
    assert f"{origin.run_id}, at 30 labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--at", "35"], "--at is '35'; allowed: 20, 30, 40, the labels at a step of the run"),
        (["--at", "40"], "a fork at 40 labels has nothing left to ask"),
        (["--at", "30", "--noise", "2"], "--noise is '2'; allowed: a probability from 0 to 1"),
        (["--at", "30", "--noise", "nan"], "--noise is 'nan'; allowed"),
        (["--at", "30", "--set", "val_size=60"], "val_size is 60 in the fork; allowed: 50"),
        (["--at", "30", "--acquisition", "best"], "--acquisition is 'best'; allowed: max_entropy"),
        (["--at", "30", "--protocol", "released"], "in the fork; allowed"),
    ],
)
def test_a_fork_that_cannot_be_is_one_line_and_writes_nothing(
    store: Store,
    origin: RunRow,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    assert main(["fork", origin.run_id, *options]) == 2
    out, err = capsys.readouterr()
    assert said in err and len(err.splitlines()) == 1 and out == ""
    assert len(store.runs()) == 1


def test_a_noisy_run_says_its_noise_and_its_record_carries_it(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *SETTINGS, "--noise", "0.5", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["noise"] == 0.5
    record = read_record(store.run_dir(made["id"]) / "record.yaml")
    assert record.params["exp"]["noise"] == 0.5
    spec = store.run(made["id"]).spec
    assert store.find_oracle_run(spec) is not None and spec.noise == 0.5
    assert main(["run", *SETTINGS, "--resume", made["id"], "--noise", "0"]) == 2


def test_a_noisy_experiment_keeps_its_runs_from_clean_ones(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["reproduce", "--protocol=quick", *SETTINGS, "--seeds=1", "--acquisitions=random"]
    ids = []
    for noise in ("0", "0.5"):
        assert main([*command, "--noise", noise, "--workers=1", "--json"]) == 0
        ids.append(json.loads(capsys.readouterr().out)["id"])
    runs = [{r.run_id: r for r in store.experiments.runs(one)} for one in ids]
    shared = set(runs[0]) & set(runs[1])
    assert [runs[0][one].spec.acquisition for one in shared] == ["full_data"]
    record = read_record(experiment_dir(store.home, ids[1]) / "record.yaml")
    assert record.params["exp"]["noise"] == 0.5
    assert main(["experiments"]) == 0
    assert "50%wronganswers" in "".join(capsys.readouterr().out.split())


def test_the_demo_is_made_shared_and_made_once(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "protocol", experiment_kit.protocol)
    for _ in range(2):
        assert main(["demo", "--workers", "1", "--json"]) == 0
        made = json.loads(capsys.readouterr().out)
        assert made["complete"] and len(made["runs"]) == 2
    assert len(store.experiments.all()) == 1 and len(store.runs()) == 2


def test_the_demo_is_made_anew_where_a_person_corrected_one_of_its_runs(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "protocol", experiment_kit.protocol)
    first = demo.create(store, mnist5k)
    touched, kept = store.experiments.runs(first.experiment_id)
    list(advance(Workbench(store), touched.run_id))
    image_id, label = store.log(touched.run_id).labels()[0]
    with as_in_earlier_versions():
        store.correct(touched.run_id, image_id, (label + 1) % 10, annotator="ann")
    assert demo.find(store, mnist5k) is None
    again = demo.create(store, mnist5k)
    found = demo.find(store, mnist5k)
    assert found is not None and found.random.run == kept
    assert found.bald.run.run_id != touched.run_id
    assert demo.create(store, mnist5k) == again != first
