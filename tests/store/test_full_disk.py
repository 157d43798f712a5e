"""A full disk at every write: one line, nothing half-written, and all works once there is space."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dal_core.atomic import write_atomically
from dal_core.execution.predictions import Predictions, save_predictions
from dal_core.record_file.sync import write_run_record
from dal_core.run.rows import Progress, StoreFailed
from dal_core.store import artefacts
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from tests.store_kit import answers_to, ask, new_query, new_result, new_run

SIZE = "2m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB; needs the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk to the last byte."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        size = 1 << 16
        while size:
            try:
                file.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC
                size //= 2
    return filler


def writes(store: Store, run_id: str) -> dict[str, Callable[[], Any]]:
    """Every kind of write on a run that has an open query."""
    log = store.log(run_id)
    query, folder = log.open_query, store.run_dir(run_id)
    assert query is not None
    passes = np.zeros((32, 40, 10), dtype=np.float32)
    big = {"w": np.arange(30_000.0)}
    facts = Predictions(np.arange(9_000), np.ones((9_000, 10)), 20, 0, 0)
    return {
        "a run": lambda: new_run(store),
        "labels": lambda: store.submit(
            query.query_id, answers_to(query), annotator="ann", source="person"
        ),
        "a query": lambda: store.add_query(
            new_run(store).run_id,
            new_query(),
            passes,  # of a new run: this one has a query
        ),
        "a step": lambda: store.add_step(run_id, new_result(20)),
        "a directive": lambda: store.set_directives(run_id, oracle_until=50),
        "a failure": lambda: store.add_failure(run_id, "x" * 2_000),
        "an experiment": lambda: store.experiments.create(
            "", log.run.spec.protocol, ["bald"], [1], False, [run_id]
        ),
        "weights": lambda: artefacts.save(folder / "weights.safetensors", big, {}),
        "predictions": lambda: save_predictions(folder, facts),
        "a record": lambda: write_run_record(store, run_id),
    }


def asked_run(store: Store) -> str:
    run_id = new_run(store).run_id
    ask(store, run_id, range(100))
    store.add_step(run_id, new_result(20, accuracy=0.25))
    store.run_dir(run_id).mkdir()
    return run_id


def test_a_full_disk_fails_every_write_in_one_line_and_loses_nothing(small_disk: Path) -> None:
    store = open_store(small_disk)
    run_id = asked_run(store)
    store.checkpoint()
    filler = fill(small_disk)
    failed = []
    for name, write in writes(store, run_id).items():
        before = store.log(run_id)
        try:
            write()
        except (StoreFailed, OSError) as error:
            failed.append(name)
            assert "\n" not in str(error)
            assert store.log(run_id) == before, name
            if isinstance(error, StoreFailed):
                assert "full" in str(error), str(error)
            else:
                assert error.errno == errno.ENOSPC
    assert {"labels", "weights", "predictions", "a record", "a query"} <= set(failed)
    store.set_progress(run_id, Progress("train"))  # dropped: it must not end a fit
    assert not list(small_disk.rglob("*.tmp")), "nothing half-written holds the space"
    filler.unlink()
    store = open_store(small_disk)  # also for another process
    for name, write in writes(store, run_id).items():
        write()
        assert name
    assert store.log(run_id).n_labelled == 30
    assert not store.survey().damaged
    store.close()


@pytest.fixture
def cramped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes the disk full without a mount: SQLite may not grow, and files may not be written."""
    from dal_core.store.sqlite import connections

    limit: dict[str, bool] = {"full": False}

    def checkout(connection: Any, _record: Any, _proxy: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        most = pages if limit["full"] else 1_000_000
        connection.execute(f"PRAGMA max_page_count={most}")

    make = connections.make_engine

    def make_engine(*arguments: Any, **more: Any) -> Any:
        from sqlalchemy import event

        engine = make(*arguments, **more)
        event.listen(engine, "checkout", checkout)
        return engine

    sync = os.fsync

    def fsync(handle: int) -> None:
        if limit["full"]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(connections, "make_engine", make_engine)
    monkeypatch.setattr(os, "fsync", fsync)

    def set_full(full: bool) -> None:
        limit["full"] = full

    return set_full


def test_no_space_for_the_database_or_a_file_is_one_line_and_changes_nothing(
    tmp_path: Path, cramped: Callable[[bool], None]
) -> None:
    store = open_store(tmp_path)
    run_id = asked_run(store)
    cramped(True)
    failed = []
    for name, write in writes(store, run_id).items():
        before = store.log(run_id)
        try:
            for _ in range(20):  # a page may have room for a few more rows
                write()
                before = store.log(run_id)
        except (StoreFailed, OSError) as error:
            failed.append(name)
            assert "\n" not in str(error) and store.log(run_id) == before
    assert {"a run", "a query", "weights", "predictions", "a record"} <= set(failed)
    assert not list(tmp_path.rglob("*.tmp"))
    cramped(False)
    other = asked_run(store)
    for write in writes(store, other).values():
        write()
    assert store.log(other).n_labelled == 30


def test_a_file_that_cannot_be_written_keeps_its_old_content(
    tmp_path: Path, cramped: Callable[[bool], None]
) -> None:
    path = tmp_path / "record.yaml"
    write_atomically(path, b"old")
    cramped(True)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["record.yaml"]
