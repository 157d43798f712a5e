"""Kills at random moments: no label is lost or stored twice, and the curve is an undisturbed run's.

A server process owns the pool, and its person answers each query after a while, as the Label page
does. Meanwhile the server, its worker, or both are killed, and the server is started again.

    python -m tests.kill_trial KILLS SEED

prints the counts of a long trial.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from dal_core.data import catalogue
from dal_core.execution.pool import Workers
from dal_core.record_file.sync import run_record
from dal_core.run.events import Answer
from dal_core.run.next_task import Task, next_task, person_waits
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from tests.store_kit import ROOT

KINDS = ("server", "worker", "server and worker")
DELAYS = (0.0, 0.1, 0.5)  # seconds to an answer: at once, during the measurement, after it
SIZES: dict[str, Any] = {"n_epochs": 40, "n_acquisition_steps": 6, "test_size": 500}
SOON, LONGEST = 1.5, 5.0  # seconds to a kill, after work was seen and otherwise
AT_ANY_TIME = 0.15  # share of the kills that do not wait for work
START = 60.0  # seconds that a server and its worker need at most to start, on a busy machine
UNEQUAL: dict[str, Any] = {"seconds": {}, "after": 0}  # times, and ids that all runs share
PATIENCE = 240.0  # seconds for a run to end once nothing is killed any more


def trial(home: Path, n_kills: int, seed: int) -> Counter[str]:
    """Kill `n_kills` times, over as many runs as that takes, and compare each with the reference.

    Returns:
        The kills by kind, `runs`, and the measurements that were `made up`.
    """
    rng, counts = random.Random(seed), Counter[str]()
    expected = story(*undisturbed(home.with_name(home.name + "-reference")))
    store = open_store(home)
    while sum(counts[kind] for kind in KINDS) < n_kills:
        run_id = a_run(store)
        delay = DELAYS[counts["runs"] % len(DELAYS)]
        disturb(store, run_id, delay, n_kills, rng, counts)
        assert story(store, run_id) == expected, f"{run_id} differs; seed {seed}, {counts}"
        counts["runs"] += 1
        counts["made up"] += n_made_up(home, run_id)
    store.close()
    return counts


def a_run(store: Store) -> str:
    from tests.experiment_kit import new_run  # imports torch, which a server does without

    return new_run(store, catalogue.load("mnist5k"), person=True, **SIZES).run_id


def undisturbed(home: Path) -> tuple[Store, str]:
    """A run whose person waits for each measurement, in this process."""
    from dal_core.execution.job import Workbench, advance

    store = open_store(home)
    run_id, bench = a_run(store), Workbench(store)
    while next_task(store.log(run_id)).finished is None:
        list(advance(bench, run_id))
        answer(store, run_id)
    list(advance(bench, run_id))
    return store, run_id


def answer(store: Store, run_id: str) -> None:
    """Label each image with its id's last digit, if a query is open."""
    query = store.log(run_id).open_query
    if query is not None:
        answers = [Answer(image_id, image_id % 10) for image_id in query.shown()]
        store.submit(query.query_id, answers, annotator="ann", source="person", nonce="page")


def story(store: Store, run_id: str) -> dict[str, Any]:
    """What must be equal: labels, asked images with scores, curve and record; times left out."""
    log = store.log(run_id)
    asked = [log.queries[one.query_id] for one in log.submissions]
    record = run_record(log)
    results = {
        name: {key: value for key, value in entry.items() if key not in ("time", "run_seconds")}
        for name, entry in record.results["acq"].items()
    }
    return {
        "labels": log.labels(),
        "retracted": log.n_retracted,
        "asked": [(one.ranking, one.scores) for one in asked],
        "curve": [replace(step, **UNEQUAL) for step in log.steps],
        "record": (record.params, results),
        "lacking": log.unmeasured,
        "failure": log.failure,
    }


def n_made_up(home: Path, run_id: str) -> int:
    """Measurements that were stored after one of a later state."""
    store = open_store(home)
    with store._reading.connect() as connection:  # type: ignore[attr-defined]
        query = "SELECT n_labelled FROM steps WHERE run_id = ? ORDER BY number"
        sizes = [n for (n,) in connection.exec_driver_sql(query, (run_id,))]
    store.close()
    return sum(n < max(sizes[:place]) for place, n in enumerate(sizes) if place)


# -- the killing -----------------------------------------------------------------------------------


def disturb(
    store: Store, run_id: str, delay: float, n_kills: int, rng: random.Random, counts: Counter[str]
) -> None:
    """Bring the run to its end, killing on the way."""
    server = start(store.home, run_id, delay)
    try:
        while not is_done(store, run_id, moment(store, run_id, rng)):
            if sum(counts[kind] for kind in KINDS) >= n_kills:
                assert is_done(store, run_id, PATIENCE), f"{run_id} does not end"
                return
            kind = rng.choice(KINDS)
            pids = [server.pid] if kind != "worker" else []
            if kind != "server":
                pids += children(server.pid)
            if not pids:  # its worker is not there yet
                continue
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            counts[kind] += 1
            if kind != "worker":
                server.wait()
                server = start(store.home, run_id, delay)
    finally:
        server.kill()
        server.wait()


def moment(store: Store, run_id: str, rng: random.Random) -> float:
    """Seconds until the next kill: mostly soon after work was seen, sometimes at any time."""
    if rng.random() < AT_ANY_TIME:
        return rng.uniform(0, LONGEST)
    seen, until = store.progress(run_id), time.monotonic() + START
    while store.progress(run_id) == seen and time.monotonic() < until:
        time.sleep(0.02)
        if is_done(store, run_id, 0.01):
            return 0.1
    return rng.uniform(0, SOON)


def is_done(store: Store, run_id: str, seconds: float) -> bool:
    """Whether the run needs nothing more, within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        log = store.log(run_id)
        if next_task(log).task is Task.NOTHING and log.failure is None:
            return True
        time.sleep(0.05)
    return False


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def start(home: Path, run_id: str, delay: float) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "tests.kill_trial", str(home), run_id, str(delay)]
    return subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def serve(home: str, run_id: str, delay: str) -> None:
    """The server, its page and its person, until it is killed."""
    store, pool = open_store(Path(home)), Workers(Path(home), 1, Path(home) / "workers.log")
    shown: dict[str, float] = {}
    while True:
        log = store.log(run_id)
        if log.failure is not None:
            store.retry(run_id)  # after three kills in a row the person presses "Try again"
        if log.open_query is not None:
            since = shown.setdefault(log.open_query.query_id, time.monotonic())
            if time.monotonic() - since >= float(delay):
                answer(store, run_id)
        if next_task(log).has_work:
            pool.ask(run_id, person_waits=person_waits(log))
        time.sleep(0.005)


def main(n_kills: str, seed: str) -> None:
    """A trial in a folder of its own."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        print(dict(trial(Path(folder) / "home", int(n_kills), int(seed))))
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) == 3 else serve(*sys.argv[1:])
