"""The lock of a run: one holder at a time, and a killed holder releases it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dal_core.store import run_lock as locks
from dal_core.store.home import default_home, run_dir
from dal_core.store.run_lock import LOCK_FILE, RunBusy, is_locked, run_lock
from tests.store_kit import line_of, python

HOLD = """
import sys, time
from pathlib import Path
from dal_core.store.run_lock import run_lock
with run_lock(Path(sys.argv[1]), "run-1"):
    print("held")
    time.sleep(60)
"""


def test_a_run_is_locked_only_inside_the_with(tmp_path: Path) -> None:
    assert not is_locked(tmp_path, "run-1")
    with run_lock(tmp_path, "run-1"):
        assert is_locked(tmp_path, "run-1")
        assert not is_locked(tmp_path, "run-2")
    assert not is_locked(tmp_path, "run-1")


def test_asking_whether_a_run_is_locked_creates_nothing(tmp_path: Path) -> None:
    assert not is_locked(tmp_path, "run-1")
    assert list(tmp_path.iterdir()) == []


def test_a_second_holder_in_the_same_process_gets_an_error_with_the_holder(tmp_path: Path) -> None:
    with (
        run_lock(tmp_path, "run-1"),
        pytest.raises(RunBusy, match=r"^run run-1 is being worked on \(process \d+\)$"),
        run_lock(tmp_path, "run-1"),
    ):
        pass


def test_an_error_inside_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyError), run_lock(tmp_path, "run-1"):
        raise KeyError
    with run_lock(tmp_path, "run-1"):
        pass


def test_the_death_of_the_holder_releases_the_lock(tmp_path: Path) -> None:
    with python(HOLD, tmp_path) as holder:
        try:
            assert line_of(holder) == "held"
            assert is_locked(tmp_path, "run-1")
            with (
                pytest.raises(RunBusy, match=f"process {holder.pid}"),
                run_lock(tmp_path, "run-1"),
            ):
                pass
        finally:
            holder.kill()
    assert not is_locked(tmp_path, "run-1")
    with run_lock(tmp_path, "run-1"):
        assert is_locked(tmp_path, "run-1")


def test_checking_the_lock_does_not_keep_a_worker_from_taking_it(tmp_path: Path) -> None:
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            is_locked(tmp_path, "run-1")

    with run_lock(tmp_path, "run-1"):
        pass
    onlooker = threading.Thread(target=look)
    onlooker.start()
    try:
        for _ in range(200):
            with run_lock(tmp_path, "run-1"):
                pass
    finally:
        stop.set()
        onlooker.join()


def test_a_lock_file_deleted_under_its_holder_locks_nothing_for_the_next(tmp_path: Path) -> None:
    with run_lock(tmp_path, "run-1"):
        (run_dir(tmp_path, "run-1") / LOCK_FILE).unlink()
        with run_lock(tmp_path, "run-1"):
            assert is_locked(tmp_path, "run-1")


def test_a_lock_file_deleted_while_it_was_being_taken_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run_dir(tmp_path, "run-1") / LOCK_FILE
    take = locks._try_lock
    deleted: list[Path] = []

    def delete_then_take(descriptor: int, operation: int) -> bool:
        if not deleted:  # as a deletion of the run does, between our opening and locking
            path.unlink()
            deleted.append(path)
        return take(descriptor, operation)

    monkeypatch.setattr(locks, "_try_lock", delete_then_take)
    with run_lock(tmp_path, "run-1"):
        assert deleted
        assert is_locked(tmp_path, "run-1")


def test_the_home_is_named_by_the_environment_or_is_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAL_HOME", "/somewhere/else")
    assert default_home() == Path("/somewhere/else")
    monkeypatch.setenv("DAL_HOME", "")
    assert default_home() == Path("runs")
