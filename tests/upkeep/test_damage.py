"""Random damage to the files of a home: every command ends in words, and nothing else breaks."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from dal_core.cli import main
from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.store.opening import open_store
from tests import fast
from tests.experiment_kit import new_run

SHORT, LONG = 8, 600


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, mnist5k: ImageDataset) -> Path:
    """A finished run with its weights and record, and a finished experiment of two runs."""
    folder = tmp_path_factory.mktemp("home")
    store = open_store(folder)
    protocol = fast.protocol(n_epochs=1, n_acquisition_steps=1)
    experiment = control.create_experiment(
        store, mnist5k, protocol, ["bald", "random"], [1], full_data=False, title="small"
    )
    single = new_run(store, mnist5k, n_epochs=1, n_acquisition_steps=1)
    bench = Workbench(store)
    for run in [*store.experiments.runs(experiment.experiment_id), single]:
        for _ in advance(bench, run.run_id):
            pass
    bench.records.write_all()
    store.close()
    return folder


def damage(path: Path, draws: random.Random) -> str:
    """Change the file in one of the ways that disks and people do; says which."""
    content = bytearray(path.read_bytes())
    kind = draws.choice(["bits", "zeros", "cut", "longer", "empty", "missing"])
    place = draws.randrange(max(1, len(content)))
    if kind == "bits" and content:
        for _ in range(draws.choice([1, 1, 8])):
            content[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
    elif kind == "zeros":
        content[place : place + 4096] = bytes(len(content[place : place + 4096]))
    elif kind == "cut":
        del content[place:]
    elif kind == "longer":
        content += draws.randbytes(draws.randrange(1, 5000))
    elif kind == "empty":
        content.clear()
    if kind == "missing":
        path.unlink()
    else:
        path.write_bytes(content)
    return kind


def commands(home: Path, out: Path) -> list[list[str]]:
    """What a person would try with such a home."""
    (experiment,) = (one.name for one in (home / "experiments").iterdir() if one.is_dir())
    run = next(one.name for one in sorted(home.iterdir()) if (one / "record.yaml").is_file())
    return [
        ["runs"],
        ["experiments"],
        ["show", run],
        ["export", run, "--format", "csv", "--out", str(out / "labels.csv"), "--force"],
        ["export", run, "--format", "safetensors", "--out", str(out / "m.safetensors"), "--force"],
        ["export", run, "--format", "yaml", "--out", str(out / "record.yaml"), "--force"],
        ["show", experiment],
        ["doctor"],
        ["doctor", "--fix"],
        ["runs"],
    ]


def trial(home: Path, folder: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> Counter[str]:
    """Damage one file of a copy of the home and try every command; counts what they said."""
    draws = random.Random(seed)
    copy, out = folder / "home", folder / "out"
    shutil.copytree(home, copy)
    out.mkdir()
    tried = commands(copy, out)
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    database = [path for path in files if path.name == "dal.db"]
    path = draws.choice(database if draws.random() < 0.5 else files)
    kind = damage(path, draws)
    found = Counter[str]()
    for arguments in tried:
        capsys.readouterr()
        code = main([*arguments, "--home", str(copy)])
        said = capsys.readouterr()
        where = f"seed {seed}: {kind} in {path.relative_to(copy)}, dal {arguments[0]}"
        assert code in (0, 1, 2), where
        assert "Traceback" not in said.out + said.err, where
        if code:
            assert (said.out + said.err).strip(), where
        found["works" if code == 0 else "refused in words"] += 1
    shutil.rmtree(folder)
    return found


@pytest.mark.parametrize(
    "n_trials", [SHORT, pytest.param(LONG, marks=[pytest.mark.slow, pytest.mark.timeout(3000)])]
)
def test_whatever_is_damaged_every_command_ends_in_words(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], n_trials: int
) -> None:
    found = Counter[str]()
    for seed in range(n_trials):
        folder = tmp_path / str(seed)
        folder.mkdir()
        found += trial(home, folder, seed, capsys)
    print(dict(found))
    assert found["works"] > found["refused in words"] > 0
