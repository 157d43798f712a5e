# mypy: ignore-errors
"""Makes the home and the record that `tests/test_old_home.py` reads, with the code of aeee030.

It belongs to commit aeee030 and is kept to show how the files came about: do not adapt it to code
of today, nor run it with that, for then the files would prove nothing. To make them again:

    git worktree add --detach /tmp/base aeee030 && cd /tmp/base
    PYTHONPATH=/tmp/base OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 python .../tests/old_home/make_home.py

It takes a minute or two and replaces `home/`, `expected.json`, `old_record.yaml` and
`old_tables.md` beside it. Ids and clocks are made up, so that the same machine makes the same
files again (but for the version and the platform that runs record).
"""

from __future__ import annotations

import itertools
import json
import random
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import telling
import torch
from dal_core.agenda import agenda
from dal_core.beliefs import load_beliefs
from dal_core.record import read_record
from dal_core.records import Answer
from dal_core.worker import Workbench, advance

import dal_core
from dal_core import experiment, worker
from dal_core.cli import main, reproduce
from dal_core.protocol import PRESETS, RunSpec, override
from dal_core.store import Progress, Store, rows

COMMIT = "aeee030"
HERE = Path(__file__).resolve().parent
SIZES = {"val_size": 100, "test_size": 200, "pool_subset_size": 300, "test_subset_size": 100}
TINY = {**SIZES, "n_epochs": 15, "num_mc_samples": 4, "n_acquisition_steps": 4}
# Enough labels and epochs for 10% error to be reached by some, so that the tables hold numbers.
EXPERIMENT = (
    *("reproduce", "--protocol", "report", "--dataset", "mnist5k", "--acquisitions", "bald,random"),
    *("--seeds", "1,2", "--full-data", "--workers", "1", "--title", "bald beside random"),
    *("--set", "train_size=200", "--set", "n_samples_to_acquire=40"),
    *("--set", "n_acquisition_steps=3", "--set", "n_epochs=30", "--set", "learning_rate=0.003"),
    *("--set", "num_mc_samples=4", "--set", "val_size=100", "--set", "test_size=300"),
    *("--set", "pool_subset_size=300", "--set", "test_subset_size=200"),
)
WITH_WEIGHTS = ("killed",)  # the others' models can be fitted again
EXPORTED = ("strict", "continuous", "noisy", "fork", "replay", "killed", "paused")

DAL = telling.Dal(
    main,
    Store,
    Answer,
    Workbench,
    advance,
    agenda,
    load_beliefs,
    read_record,
    lambda protocol: protocol.describe(),
)


class Killed(Exception):
    """Stands for the death of the process."""


class Clock(datetime):
    """A second passes whenever it is looked at."""

    ticks = itertools.count()

    @classmethod
    def now(cls, tz: object = None) -> datetime:
        return datetime(2026, 1, 5, 9, tzinfo=UTC) + timedelta(seconds=next(cls.ticks))


def make_up_ids_and_times() -> None:
    drawn, seconds = random.Random(2026), itertools.count()
    uuid.uuid4 = lambda: uuid.UUID(int=drawn.getrandbits(128), version=4)
    secrets.token_hex = lambda n: drawn.randbytes(n).hex()
    rows.datetime = Clock
    time.perf_counter = lambda: next(seconds) / 1000


def in_this_process(_n_workers: int, _device: str):
    """In place of worker processes, whose ids and clocks would be real."""

    def work(store: Store, experiment_id: str) -> None:
        bench = Workbench(store)
        while experiment.status(store, experiment_id).has_work:
            for run in store.experiments.runs(experiment_id):
                list(advance(bench, run.run_id, max_steps=1))

    return work


class Maker:
    def __init__(self, home: Path) -> None:
        self.home, self.store, self.names = home, Store(home), {}
        self.bench = Workbench(self.store)
        self.data = self.bench.dataset("mnist5k")

    def new(self, name: str, acquisition: str, *, seed: int = 1, noise: float = 0.0, **settings):
        changes = {key: settings.pop(key) for key in list(settings) if key in dir(PRESETS["quick"])}
        protocol = override(PRESETS["quick"], {**TINY, **changes})
        spec = RunSpec(self.data.fingerprint, protocol, acquisition, seed, noise)
        run = experiment.create_run(self.store, self.data, spec, **{"title": name, **settings})
        if run.kind == "oracle":
            self.store.set_directives(run.run_id, oracle_until=spec.max_labels)
        self.names[name] = run.run_id
        return run.run_id

    def go(self, run_id: str, max_steps: int | None = None) -> None:
        list(advance(self.bench, run_id, max_steps=max_steps))

    def answer(self, run_id: str, annotator: str, **how: int) -> None:
        DAL.answer(self.store, self.bench, run_id, annotator, **how)

    def correct(self, run_id: str, submission: int, place: int, change: int | None) -> None:
        one = self.store.log(run_id).submissions[submission]
        image_id, label = list(one.labels.items())[place]
        label = None if change is None else (label + change) % 10
        self.store.correct(run_id, image_id, label, annotator="=cy")

    def strict(self) -> None:
        """Two submissions stand, one was taken back, an image skipped, two labels corrected."""
        run_id = self.new("strict", "bald", person=True)
        self.go(run_id)
        self.answer(run_id, "ann", skip=1, wrong=1)
        self.go(run_id)
        self.answer(run_id, "ann")
        self.store.undo(run_id)
        self.answer(run_id, "béa", wrong=2)
        self.correct(run_id, 0, 0, -1)
        self.go(run_id)  # trained on the correction
        self.correct(run_id, 1, 3, None)  # measured before this one

    def continuous(self) -> None:
        """The newest ranking is of an older model than the labels; the next fit is to come."""
        run_id = self.new(
            "continuous", "variation_ratios", person=True, mode="continuous", until_labels=60
        )
        self.go(run_id)
        self.answer(run_id, "ann")
        self.go(run_id)
        self.answer(run_id, "ann", skip=2)

    def killed(self) -> None:
        """Two steps are measured; the third model is on disk but the process died measuring it."""
        run_id = self.new("killed", "max_entropy", weights="best")
        self.go(run_id, max_steps=2)
        calls = itertools.count(1)

        def wait() -> None:
            if next(calls) > TINY["n_epochs"]:
                raise Killed

        settle, worker.settle = worker.settle, lambda *_: None
        try:
            list(advance(Workbench(self.store), run_id, wait))
        except Killed:
            worker.settle = settle
        else:
            raise AssertionError("it lived")

    def paused(self) -> None:
        run_id = self.new("paused", "mean_std", seed=7)
        self.go(run_id, max_steps=2)
        self.store.set_directives(run_id, paused=True)

    def whole(self) -> None:
        self.go(self.new("noisy", "bald", noise=0.3, n_acquisition_steps=3))
        self.go(self.new("baseline", "random", baseline=True))

    def failed(self) -> None:
        run_id = self.new("failed", "bald", seed=3)
        self.go(run_id, max_steps=1)
        self.store.set_progress(run_id, Progress.ended("RuntimeError: the disk is full"))

    def of_strict(self) -> None:
        said = DAL.says(
            *(self.home, "fork", self.names["strict"], "--at", "30", "--title", "fork"),
            *("--acquisition", "variation_ratios_mean", "--set", "n_acquisition_steps=3"),
        )
        self.names["fork"] = said.splitlines()[0]
        said = DAL.says(self.home, "replay", self.names["strict"])
        self.names["replay"] = said.splitlines()[0]

    def experiment(self) -> None:
        reproduce.with_workers = in_this_process
        self.names["experiment"] = DAL.says(self.home, *EXPERIMENT).splitlines()[0]

    def close(self) -> None:
        """Only what is wanted stays, and the database is one file."""
        self.store.close()
        for path in [*self.home.glob("*/lock"), *self.home.glob("experiments/*/lock")]:
            path.unlink()
        kept = {self.names[name] for name in WITH_WEIGHTS}
        for path in self.home.glob("*/weights.safetensors"):
            if path.parent.name not in kept:
                path.unlink()
        with sqlite3.connect(self.home / "dal.db") as connection:
            connection.execute("VACUUM")
            checkpoint = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert checkpoint.fetchone() == (0, 0, 0)  # all is in dal.db
        connection.close()


def made(home: Path) -> dict[str, str]:
    maker = Maker(home)
    maker.strict()
    maker.continuous()
    maker.killed()
    maker.paused()
    maker.whole()
    maker.failed()
    maker.of_strict()
    maker.experiment()
    maker.close()
    return maker.names


def told(home: Path, names: dict[str, str]) -> dict[str, object]:
    """What the home says; it is not changed by being asked."""
    ids = [one["id"] for one in DAL.says_json(home, "runs")]
    return {
        "runs": DAL.says_json(home, "runs"),
        "experiments": DAL.says_json(home, "experiments"),
        "show": {one: DAL.says_json(home, "show", one) for one in ids},
        "store": {one: DAL.run(home, one) for one in ids},
        "csv": {
            name: DAL.says(home, "export", names[name], "--format", "csv", "--out", "-")
            for name in EXPORTED
        },
        "models": {name: DAL.model(home, names[name]) for name in WITH_WEIGHTS},
        "record": DAL.record(home / "experiments" / names["experiment"] / "record.yaml"),
    }


def resumed(home: Path, names: dict[str, str], at: Path) -> dict[str, object]:
    """What becomes of runs when they go on, each in a copy of the home."""

    def copy() -> Path:
        shutil.rmtree(at, ignore_errors=True)
        return shutil.copytree(home, at)

    found = {}
    for name in ("killed", "paused"):
        found[name] = DAL.anew(copy(), "run", "--resume", names[name])
    found["strict"] = DAL.go_on(copy(), names["strict"], answers=2)
    found["continuous"] = DAL.go_on(copy(), names["continuous"], answers=1)
    fork = ("fork", names["strict"], "--at", "39", "--noise", "0.2")
    found["fork of strict"] = DAL.anew(copy(), *fork)
    fork = ("fork", names["strict"], "--at", "20", "--acquisition", "random")
    found["random fork of strict"] = DAL.anew(copy(), *fork)
    found["replay of strict"] = DAL.anew(copy(), "replay", names["strict"], "--title", "anew")
    return found


def write(path: Path, content: dict[str, object]) -> None:
    """JSON with a line for every value two levels deep."""
    parts = []
    for key, section in content.items():
        lines = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in section.items()]
        parts.append(f" {json.dumps(key)}: {{\n" + ",\n".join(lines) + "\n }")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def run() -> None:
    base = Path(dal_core.__file__).resolve().parent.parent
    line = ["git", "-C", str(base), "rev-parse", "HEAD"]
    head = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    if not head.startswith(COMMIT):
        sys.exit(f"{base} is at {head[:7]}, and this is for {COMMIT} only")
    torch.set_num_threads(1)
    make_up_ids_and_times()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        names = made(Path(folder, "making"))
        shutil.copytree(Path(folder, "making"), home, ignore=shutil.ignore_patterns("dal.db-*"))
        shutil.rmtree(HERE / "home", ignore_errors=True)
        shutil.copytree(home, HERE / "home")
        copy = shutil.copytree(home, Path(folder, "copy"))
        record = HERE / "old_record.yaml"
        shutil.copy(copy / "experiments" / names["experiment"] / "record.yaml", record)
        about = {"commit": COMMIT, "with": telling.machine(), "experiment": EXPERIMENT}
        content = {"made": about, "names": names}
        content["told"] = told(copy, names)
        content["resumed"] = resumed(home, names, Path(folder, "other"))
        again = shutil.copytree(home, Path(folder, "again"))
        content["same"] = {
            "experiment": {**DAL.says_json(again, *EXPERIMENT), "id": None, "record": None},
            "replay": DAL.says(again, "replay", names["strict"]),
        }
        DAL.says(copy, "report", str(record), "--out", str(Path(folder, "report")))
        shutil.copy(Path(folder, "report", "tables.md"), HERE / "old_tables.md")
        write(HERE / "expected.json", content)


if __name__ == "__main__":
    run()
