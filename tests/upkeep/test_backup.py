"""A backup is one state of a home, made while others use it, and gives the home back."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dal_core.cli import main
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_core.upkeep.backup import BackupError, copy_home
from tests.store_kit import ask, give, new_run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "home")
    yield opened
    opened.close()


def labelled_run(store: Store) -> str:
    run_id = new_run(store).run_id
    give(store, ask(store, run_id, range(100)))
    (store.run_dir(run_id)).mkdir(exist_ok=True)
    (store.run_dir(run_id) / "weights.safetensors").write_bytes(b"weights")
    return run_id


def test_a_backup_of_a_home_in_use_holds_every_label_in_dal_db_alone(
    store: Store, tmp_path: Path
) -> None:
    run_id = labelled_run(store)
    assert (store.home / "dal.db-wal").stat().st_size > 0, "most of it is in the -wal file"
    copy_home(store.home, tmp_path / "backup")
    files = {str(p.relative_to(tmp_path / "backup")) for p in (tmp_path / "backup").rglob("*")}
    assert files == {"dal.db", run_id, f"{run_id}/weights.safetensors"}
    copied = open_store(tmp_path / "backup", create=False)
    assert copied.log(run_id) == store.log(run_id)
    copied.close()


def test_backups_made_while_labels_are_written_are_whole(store: Store, tmp_path: Path) -> None:
    stop = threading.Event()
    saved: list[str] = []

    def label() -> None:
        while not stop.is_set():
            saved.append(labelled_run(store))

    writer = threading.Thread(target=label)
    writer.start()
    try:
        for number in range(5):
            before = list(saved)
            copy_home(store.home, tmp_path / f"backup-{number}")
            copied = open_store(tmp_path / f"backup-{number}", create=False)
            found = copied.survey()
            copied.close()
            assert not found.damaged
            assert set(before) <= {one.run.run_id for one in found.runs}, "saved before, copied"
            assert all(one.n_labelled in (20, 30) for one in found.runs)
    finally:
        stop.set()
        writer.join()


def test_a_restored_home_is_the_home(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = labelled_run(store)
    home, copy, again = (str(tmp_path / name) for name in ("home", "backup", "again"))
    assert main(["backup", copy, "--home", home]) == 0
    assert main(["restore", copy, "--home", again]) == 0
    restored = open_store(tmp_path / "again", create=False)
    assert restored.log(run_id) == store.log(run_id)
    give(restored, ask(restored, run_id, range(10, 90)))
    restored.close()
    capsys.readouterr()
    assert main(["restore", copy, "--home", again]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "exists already" in line
    assert main(["restore", home + "x", "--home", str(tmp_path / "other")]) == 2
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_copied_leaves_nothing(store: Store, tmp_path: Path) -> None:
    labelled_run(store)
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").write_text("mine")
    for target in (full, store.home / "inside", full / "file" / "below"):
        with pytest.raises(BackupError):
            copy_home(store.home, target)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full", "home"]
    assert [p.name for p in full.iterdir()] == ["file"]


def test_a_damaged_database_is_not_taken_for_a_backup(store: Store, tmp_path: Path) -> None:
    labelled_run(store)
    store.close()
    path = store.home / "dal.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 5] = bytes(8192)
    path.write_bytes(content)
    with pytest.raises(BackupError, match="dal doctor"):
        copy_home(store.home, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
