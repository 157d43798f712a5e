"""The pool of worker processes: real ones, also when they are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dal_core.data.base import ImageDataset
from dal_core.execution import pool as workers
from dal_core.execution import worker_handle
from dal_core.execution.job import Workbench, advance
from dal_core.execution.pool import Workers
from dal_core.execution.recompute import step_weights
from dal_core.execution.worker_handle import QueuedJob, WorkerHandle
from dal_core.run.next_task import next_task
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_core.store.run_lock import run_lock
from tests.experiment_kit import FOR_EVER, measures, new_run, until
from tests.store_kit import line_of, python

PARENT = """
import sys, time
from pathlib import Path
from dal_core.execution.pool import Workers
pool = Workers(Path(sys.argv[1]))
pool.ask(sys.argv[2], person_waits=False)
print(pool._background[0].process.pid)
time.sleep(300)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


@pytest.fixture
def pool(store: Store) -> Iterator[Workers]:
    made = Workers(store.home, 1)
    yield made
    made.close()


def epoch(store: Store, run_id: str) -> int | None:
    """The epoch that the run is at, None while it is not trained."""
    now = store.progress(run_id)
    return now.epoch if now is not None and now.part == "train" else None


def process_of(pool: Workers) -> int:
    process = pool._background[0].process
    assert process is not None
    return process.pid


def test_a_run_is_brought_to_its_end_and_a_busy_one_left_alone(
    store: Store, pool: Workers, mnist5k: ImageDataset
) -> None:
    run_id, busy = (new_run(store, mnist5k, seed=seed).run_id for seed in (1, 2))
    with run_lock(store.home, busy):
        pool.ask(busy, person_waits=False)
        pool.ask(run_id, person_waits=False)
        until(lambda: not pool.is_active(run_id) and not pool.is_active(busy))
    assert [step.n_labelled for step in store.log(run_id).steps] == [20, 30, 40]
    assert store.log(busy).steps == ()
    pool.ask(busy, person_waits=False)  # asked again after a moment, it is free
    until(lambda: not pool.is_active(busy))
    assert len(store.log(busy).steps) == 3


def test_a_killed_worker_costs_the_fit_and_not_the_run(
    store: Store, pool: Workers, mnist5k: ImageDataset
) -> None:
    run_id = new_run(store, mnist5k, n_epochs=200).run_id
    pool.ask(run_id, person_waits=False)
    until(lambda: epoch(store, run_id))
    first = process_of(pool)
    os.kill(first, signal.SIGKILL)
    until(lambda: not pool.is_active(run_id))
    assert process_of(pool) != first
    whole = new_run(store, mnist5k, n_epochs=200).run_id
    list(advance(Workbench(store), whole))
    assert measures(store, run_id) == measures(store, whole)


def test_a_run_whose_workers_keep_dying_is_marked_as_failed_and_left_alone(
    store: Store, pool: Workers, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "MAX_DEATHS", 1)
    run_id = new_run(store, mnist5k, n_epochs=FOR_EVER).run_id
    pool.ask(run_id, person_waits=False)
    until(lambda: epoch(store, run_id))
    os.kill(process_of(pool), signal.SIGKILL)
    until(lambda: not pool.is_active(run_id))
    failure = until(lambda: store.log(run_id).failure)
    assert failure.reason == "its worker process was ended from outside 1 times"
    now = store.progress(run_id)
    assert now is not None and now.part == "idle"
    assert not next_task(store.log(run_id)).has_work


def test_background_work_holds_while_a_person_waits_and_all_ends_with_the_pool(
    store: Store, pool: Workers, mnist5k: ImageDataset
) -> None:
    behind = new_run(store, mnist5k, n_epochs=FOR_EVER).run_id
    person = new_run(store, mnist5k, n_epochs=FOR_EVER, person=True).run_id
    pool.ask(behind, person_waits=False)
    until(lambda: epoch(store, behind))
    pool.ask(person, person_waits=True)
    until(lambda: epoch(store, person))
    held_at, person_at = epoch(store, behind), epoch(store, person)
    until(lambda: (epoch(store, person) or 0) > (person_at or 0))
    assert epoch(store, behind) == held_at
    store.set_directives(person, paused=True)
    until(lambda: (epoch(store, behind) or 0) > (held_at or 0))
    processes = [worker.process for worker in pool._all()]
    pool.close()
    assert [process.poll() is not None for process in processes if process] == [True, True]


def test_workers_end_when_their_parent_is_killed(store: Store, mnist5k: ImageDataset) -> None:
    run_id = new_run(store, mnist5k, n_epochs=FOR_EVER).run_id
    with python(PARENT, store.home, run_id) as parent:
        worker = int(line_of(parent))
        until(lambda: epoch(store, run_id))
        parent.kill()
    until(lambda: not Path(f"/proc/{worker}").exists() or _is_zombie(worker))
    with run_lock(store.home, run_id):  # the run is free again
        time.sleep(0)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_run_that_its_person_no_longer_waits_for_goes_on_in_the_background(
    pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, str]] = []

    def work(worker: WorkerHandle, job: QueuedJob, max_steps: int | None) -> None:
        worker.job = job
        given.append((worker.name, job.run_id))

    monkeypatch.setattr(WorkerHandle, "work", work)
    pool.ask("mine", person_waits=True)
    pool.ask("yours", person_waits=True)
    done = {"event": "done", "run": "mine", "message": "", "more": True, "n_labelled": 30}
    pool.on_event(pool._interactive, {**done, "waits": False})
    assert given == [("interactive", "mine"), ("interactive", "yours"), ("background-0", "mine")]
    pool.on_event(pool._interactive, {**done, "run": "yours", "waits": True})
    assert given[3:] == [("interactive", "yours")]


def test_a_steps_weights_are_computed_by_a_worker_when_asked_for(
    store: Store, pool: Workers, mnist5k: ImageDataset
) -> None:
    run_id = new_run(store, mnist5k).run_id
    for _ in advance(Workbench(store), run_id):
        pass
    before = store.log(run_id)
    after = before.steps[1].after
    assert step_weights(store.home, run_id, after) is None
    pool.ask_weights(run_id, after)
    pool.ask_weights(run_id, after)  # asked twice, done once
    assert pool.weights_active(run_id, after) and not pool.weights_active(run_id, 0)
    until(lambda: not pool.weights_active(run_id, after))
    assert step_weights(store.home, run_id, after) is not None
    assert store.log(run_id) == before
    now = store.progress(run_id)
    assert now is not None and now.part == "idle"
    assert pool.weights_problem(run_id, after) is None
    pool.ask_weights(run_id, 9999)  # as if undone meanwhile: no fault of the run
    until(lambda: not pool.weights_active(run_id, 9999))
    assert (pool.weights_problem(run_id, 9999) or "").startswith("after is 9999")
    now = store.progress(run_id)
    assert now is not None and now.part == "idle"


def test_weights_that_were_refused_say_why_until_they_are_asked_for_again(
    store: Store, pool: Workers, mnist5k: ImageDataset
) -> None:
    run_id = new_run(store, mnist5k).run_id
    for _ in advance(Workbench(store), run_id, max_steps=1):
        pass
    with run_lock(store.home, run_id):  # as `dal run` in another terminal
        pool.ask_weights(run_id, 0)
        until(lambda: not pool.weights_active(run_id, 0))
        assert f"run {run_id} is being worked on" in (pool.weights_problem(run_id, 0) or "")
    pool.ask_weights(run_id, 0)
    assert pool.weights_problem(run_id, 0) is None
    until(lambda: not pool.weights_active(run_id, 0))
    assert pool.weights_problem(run_id, 0) is None
    assert step_weights(store.home, run_id, 0) is not None


def test_a_failure_that_cannot_be_written_does_not_stall_the_pool(
    store: Store, pool: Workers, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "MAX_DEATHS", 1)
    failing = new_run(store, mnist5k, n_epochs=FOR_EVER).run_id
    other = new_run(store, mnist5k, person=True).run_id

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Workers, "_record_failure", full)
        pool.ask(failing, person_waits=True)
        until(lambda: epoch(store, failing))
        assert pool._interactive.process is not None
        os.kill(pool._interactive.process.pid, signal.SIGKILL)
        until(lambda: not pool.is_active(failing))
        assert not pool.person_goes_first()
        pool.ask(other, person_waits=True)  # the slot is free
        until(lambda: store.log(other).is_asked)
        pool.ask(failing, person_waits=True)  # as a page does that is drawn again
        assert not pool.is_active(failing) and store.log(failing).failure is None
    pool.ask(failing, person_waits=True)  # there is space again
    assert not pool.is_active(failing) and store.log(failing).failure is not None
    store.retry(failing)
    pool.ask(failing, person_waits=True)
    assert pool.is_active(failing)


def test_the_pool_answers_while_a_failure_waits_for_the_database(
    store: Store, pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_write, writes = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        writes.set()
        assert may_write.wait(60)

    monkeypatch.setattr(Workers, "_record_failure", slow)
    pool._failed["a-run"] = "OSError: no space"
    asking = threading.Thread(target=pool.ask, args=("a-run",), kwargs={"person_waits": False})
    asking.start()
    assert writes.wait(60)  # the write goes on for as long as it likes
    assert pool.unstored_failure("a-run") == "OSError: no space"
    assert not pool.person_goes_first() and not pool.is_active("a-run")
    pool.ask("a-run", person_waits=False)  # refused at once, without a second write
    may_write.set()
    asking.join()
    assert pool.unstored_failure("a-run") is None


def test_a_worker_that_does_not_start_fails_its_run_and_nothing_else(
    store: Store, pool: Workers, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = new_run(store, mnist5k).run_id

    def fail(_: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(WorkerHandle, "start", fail)
        pool.ask(run_id, person_waits=False)
        pool.ask_weights("another", 3)
    failure = store.log(run_id).failure
    assert failure is not None and "does not start" in failure.reason
    assert "does not start" in (pool.weights_problem("another", 3) or "")
    assert not pool.is_active(run_id) and not pool.weights_active("another", 3)


def test_a_failure_that_a_worker_could_not_record_is_recorded_by_the_pool(
    store: Store, pool: Workers, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = new_run(store, mnist5k).run_id

    def work(worker: WorkerHandle, job: QueuedJob, max_steps: int | None) -> None:
        worker.job = job

    monkeypatch.setattr(WorkerHandle, "work", work)
    pool.ask(run_id, person_waits=True)
    failed = {"event": "failed", "run": run_id, "message": "OSError: no space", "recorded": False}
    pool.on_event(pool._interactive, failed)
    failure = store.log(run_id).failure
    assert failure is not None and failure.reason == "OSError: no space"
    assert not pool.is_active(run_id)


STRAY = """
import os, threading, time
def stray():
    while True:
        os.write(1, b"stray")
        time.sleep(0.02)
threading.Thread(target=stray, daemon=True).start()
"""


def test_what_is_printed_in_a_worker_does_not_reach_its_events(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(STRAY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    run_id = new_run(store, mnist5k).run_id
    pool = Workers(store.home, 1, log=tmp_path / "log")
    try:
        pool.ask(run_id, person_waits=False)
        until(lambda: not pool.is_active(run_id))
    finally:
        pool.close()
    assert len(store.log(run_id).steps) == 3
    assert "straystray" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("line", ["a stray print", "[]", '{"event": "other"}', "{" * 9999, '"', ""])
def test_a_line_that_is_no_event_is_passed_over(pool: Workers, line: str) -> None:
    pool._interactive._hear(line + "\n")
    assert not pool.person_goes_first()


@pytest.mark.parametrize("end", ["", "import os, time; os.close(1); time.sleep(300)"])
def test_a_reader_ends_with_its_worker_whatever_that_prints(
    pool: Workers, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(worker_handle, "JOIN_SECONDS", 0.1)
    heard: list[str] = []

    def hear(event: dict[str, str]) -> None:
        heard.append(event["event"])
        raise RuntimeError("no event may end the reader")

    monkeypatch.setattr(pool, "on_event", lambda _worker, event: hear(event))
    ready = '{"event": "ready"}'
    code = f"""import sys
sys.stdout.buffer.write(b"\\xff\\n")
print('{ready}'); print('nonsense'); print('{ready}', flush=True)
{end}"""
    arguments = [sys.executable, "-c", code]
    worker = pool._background[0]
    worker.process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, text=True, errors="replace"
    )
    worker._read(worker.process)
    assert heard == ["ready", "ready"] and worker.process is None
