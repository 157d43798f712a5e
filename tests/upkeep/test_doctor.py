"""The doctor finds what is wrong in a home, and mends what the log can rebuild."""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dal_core.cli import main
from dal_core.protocol.presets import preset
from dal_core.record_file.io import read_record
from dal_core.record_file.sync import write_run_record
from dal_core.store import artefacts
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_core.upkeep.doctor import examine
from dal_core.upkeep.leftovers import leftovers, remove_leftovers
from tests.store_kit import ask, give, new_result, new_run, reseal


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def labelled_run(store: Store, **settings: object) -> str:
    """A run with weights and a record."""
    run_id = new_run(store, **settings).run_id
    query = ask(store, run_id, range(100))
    store.add_step(run_id, new_result(20))
    give(store, query)
    store.add_step(run_id, new_result(30, store.log(run_id).after))
    weights = store.run_dir(run_id) / "weights.safetensors"
    artefacts.save(weights, {"w": np.arange(1000.0)}, {"after": 0})
    write_run_record(store, run_id)
    return run_id


def areas(home: Path, fix: bool = False) -> Counter[str]:
    """What is found by area; data and space depend on the machine."""
    found = [one for one in examine(home, fix) if one.area not in ("data", "space")]
    assert all("\n" not in one.what for one in found)
    if fix:
        assert all(one.done for one in found), found
    return Counter(one.area for one in found)


def test_a_sound_home_is_in_order(store: Store) -> None:
    labelled_run(store)
    assert not areas(store.home)


def test_damaged_files_cut_records_and_leftovers_are_found_and_mended(store: Store) -> None:
    run_id = labelled_run(store)
    folder = store.run_dir(run_id)
    weights, record = folder / "weights.safetensors", folder / "record.yaml"
    content = bytearray(weights.read_bytes())
    content[-100] ^= 1
    weights.write_bytes(content)
    record.write_text(record.read_text()[:200])
    left = folder / ".record.yaml.0123abcd.tmp"
    left.write_text("partial")
    os.utime(left, (time.time() - 7200,) * 2)
    assert areas(store.home) == {"file": 1, "record": 1, "leftover": 1}
    assert weights.exists() and left.exists(), "nothing is changed without --fix"
    assert areas(store.home, fix=True) == {"file": 1, "record": 1, "leftover": 1}
    assert not areas(store.home)
    assert not weights.exists() and not left.exists()
    assert read_record(record)


def test_a_log_that_contradicts_itself_and_a_damaged_run_are_reported(store: Store) -> None:
    wrong, bad = labelled_run(store), labelled_run(store)
    with sqlite3.connect(store.home / "dal.db") as connection:
        connection.execute(
            "UPDATE steps SET n_labelled = 31 WHERE run_id = ? AND step = 1", [wrong]
        )
    reseal(store.home)
    with sqlite3.connect(store.home / "dal.db") as connection:
        connection.execute("UPDATE runs SET seed = 'x' WHERE run_id = ?", [bad])
    connection.close()
    found = [one for one in examine(store.home) if one.area == "run"]
    assert "step 1 has 31 labels; its submissions give 30" in found[1].what + found[0].what
    assert any(f"run {bad} is damaged" in one.what for one in found)


def test_a_persons_labels_in_a_run_of_an_experiment_are_flagged(store: Store) -> None:
    run_id = labelled_run(store)
    store.experiments.create("", preset("quick"), ["bald"], [1], False, [run_id])
    (found,) = (one for one in examine(store.home) if one.area == "answers")
    assert "by people (ann)" in found.what


def test_a_folder_without_a_run_is_an_orphan(store: Store) -> None:
    folder = store.home / "bald-s1-000000"
    artefacts.save(folder / "weights.safetensors", {"w": np.arange(3.0)}, {})
    assert areas(store.home) == {"orphan": 1}
    assert folder.exists()


def test_a_damaged_database_is_rebuilt_from_the_rows_that_can_be_read(store: Store) -> None:
    runs = [labelled_run(store) for _ in range(6)]
    logs = {run_id: store.log(run_id) for run_id in runs}
    store.close()
    path = store.home / "dal.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        sql = "SELECT pageno FROM dbstat WHERE name = 'query_probs' OR name = 'steps'"
        try:
            page = connection.execute(sql).fetchone()[0]
        except sqlite3.OperationalError:  # built without dbstat
            page = connection.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = 'steps'"
            ).fetchone()[0]
    connection.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = bytes(4096)
    path.write_bytes(content)
    assert areas(store.home)["database"] == 1
    found = list(examine(store.home, fix=True))
    assert found[0].area == "database" and found[0].done.startswith("saved ")
    fresh = open_store(store.home, create=False)
    assert set(fresh.run_ids()) == set(runs)
    for run_id in runs:
        assert fresh.log(run_id).submissions == logs[run_id].submissions, "no label is lost"
    fresh.close()
    assert "database" not in areas(store.home)
    assert list(store.home.glob("dal.db.damaged-*")), "the damaged file is kept"


def test_only_old_temporary_files_are_leftovers(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    names = [".weights.safetensors.0123abcd.tmp", ".record.yaml.x1y2", "record.yaml", ".hidden"]
    for name in names:
        (folder / name).write_text("x")
        os.utime(folder / name, (time.time() - 7200,) * 2)
    young = folder / ".record.yaml.89abcdef.tmp"
    young.write_text("x")
    assert [path.name for path in leftovers(tmp_path)] == sorted(names[:2], reverse=True)[::-1]
    assert remove_leftovers(tmp_path) == 2
    assert {path.name for path in folder.iterdir()} == {"record.yaml", ".hidden", young.name}


def test_the_command_says_what_is_left(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dal_core.upkeep import doctor

    monkeypatch.setattr(doctor, "_data", lambda store: iter(()))
    monkeypatch.setattr(doctor, "LEAST_SPACE", 0)
    run_id = labelled_run(store)
    home = str(store.home)
    assert main(["doctor", "--home", home]) == 0
    assert "everything is in order" in capsys.readouterr().out
    (store.run_dir(run_id) / "weights.safetensors").write_bytes(b"cut")
    assert main(["doctor", "--home", home]) == 1
    assert "`dal doctor --fix` removes it" in capsys.readouterr().out
    assert main(["doctor", "--fix", "--home", home]) == 0
    assert "1 mended, nothing is left" in capsys.readouterr().out
    assert main(["doctor", "--home", home + "x"]) == 2
