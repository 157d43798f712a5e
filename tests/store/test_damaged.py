"""One damaged run or experiment never blocks the others: it is listed, and can be deleted."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from dal_core.experiments import control
from dal_core.protocol.presets import preset
from dal_core.run.rows import RunDamaged, RunNotFound, StoreDamaged, StoreError
from dal_core.store.base import Store
from dal_core.store.experiments import ExperimentDamaged
from dal_core.store.opening import open_store
from tests.store_kit import ask, give, new_result, new_run

# Each damages one run; all other runs have to stay as they are.
DAMAGES = {
    "a parameter out of range": "UPDATE runs SET protocol = json_set(protocol, '$.n_epochs', 0)",
    "a protocol cut off": "UPDATE runs SET protocol = substr(protocol, 1, 20)",
    "an unknown function": "UPDATE runs SET acquisition = 'nonsense'",
    "a text that is not UTF-8": "UPDATE runs SET title = CAST(x'ff41fe' AS TEXT)",
    "a list in place of an object": "UPDATE runs SET protocol = '[1, 2]'",
    "a step's times cut off": "UPDATE steps SET seconds = '{\"train\": 1'",
    "a step without times": "UPDATE steps SET seconds = 'null'",
    "an accuracy that is text": "UPDATE steps SET accuracy = 'high'",
    "an accuracy above one": "UPDATE steps SET accuracy = 1.5",
    "a number of labels that is text": "UPDATE steps SET n_labelled = 'many'",
}
# These show only when the whole log is read.
DEEP = {
    "a ranking cut off": "UPDATE queries SET ranking = '[1, 2'",
    "scores missing": "UPDATE queries SET scores = '[]'",
    "a label that is text": "UPDATE answers SET label = 'seven'",
    "a label out of range": "UPDATE answers SET label = 77",
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def labelled_run(store: Store, title: str = "") -> str:
    run_id = new_run(store, title=title).run_id
    give(store, ask(store, run_id, range(100)))
    log = store.log(run_id)
    assert store.add_step(run_id, new_result(30, log.after))
    return run_id


def damage(store: Store, sql: str, run_id: str) -> None:
    """Damage the rows of one run, past the store."""
    with sqlite3.connect(store.home / "dal.db") as connection:
        if sql.startswith("UPDATE answers"):
            where = "submission_id IN (SELECT number FROM submissions WHERE run_id = ?)"
        else:
            where = "run_id = ?"
        changed = connection.execute(f"{sql} WHERE {where}", [run_id]).rowcount
    connection.close()
    assert changed > 0
    store.close()


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_run_is_listed_with_why_and_the_others_work(store: Store, what: str) -> None:
    good, bad = labelled_run(store), labelled_run(store)
    before = open_store(store.home).log(good)
    damage(store, DAMAGES[what], bad)
    fresh = open_store(store.home)
    found = fresh.survey()
    assert [one.run.run_id for one in found.runs] == [good]
    assert [one.run_id for one in found.damaged] == [bad]
    assert found.damaged[0].why.startswith(f"run {bad} is damaged: ")
    assert "\n" not in found.damaged[0].why
    assert fresh.log(good) == before
    assert [one.run.run_id for one in fresh.summaries([bad, good])] == [good]
    assert fresh.run_ids() == [bad, good]
    with pytest.raises(RunDamaged, match=f"run {bad} is damaged"):
        fresh.log(bad)


@pytest.mark.parametrize("what", [*DAMAGES, *DEEP])
def test_a_damaged_run_can_be_deleted_and_fails_to_open_with_one_line(
    store: Store, what: str
) -> None:
    good, bad = labelled_run(store), labelled_run(store)
    damage(store, (DAMAGES | DEEP)[what], bad)
    fresh = open_store(store.home)
    with pytest.raises(RunDamaged, match=f"run {bad} is damaged"):
        fresh.log(bad)
    fresh.add_failure(bad, "a worker fell over it")  # what a pool does with it
    fresh.delete_run(bad)
    assert fresh.run_ids() == [good]
    assert fresh.survey().damaged == []
    with pytest.raises(RunNotFound):
        fresh.log(bad)


def test_a_new_run_and_a_label_work_beside_a_damaged_run(store: Store) -> None:
    bad = labelled_run(store)
    damage(store, DAMAGES["a parameter out of range"], bad)
    fresh = open_store(store.home)
    good = labelled_run(fresh)
    assert fresh.log(good).n_labelled == 30
    assert fresh.find_oracle_run(fresh.run(good).spec) is None


def experiment(store: Store, runs: list[str]) -> str:
    protocol = preset("quick")
    made = store.experiments.create("pair", protocol, ["bald"], [1, 2], False, runs)
    return made.experiment_id


def test_an_experiment_goes_on_without_its_damaged_run(store: Store) -> None:
    good, bad = labelled_run(store), labelled_run(store)
    name = experiment(store, [bad, good])
    damage(store, DAMAGES["a parameter out of range"], bad)
    fresh = open_store(store.home)
    assert [one.run.run_id for one, _ in fresh.experiments.summaries(name)] == [good]
    assert [run.run_id for run in fresh.experiments.runs(name)] == [good]
    control.forget(fresh, name)
    fresh.delete_run(bad)
    assert fresh.run_ids() == [good]


def test_a_damaged_experiment_is_listed_and_can_be_forgotten(store: Store) -> None:
    run_id = labelled_run(store)
    store.set_directives(run_id, oracle_until=100)
    bad, good = experiment(store, [run_id]), experiment(store, [labelled_run(store)])
    with sqlite3.connect(store.home / "dal.db") as connection:
        connection.execute("UPDATE experiments SET protocol = '{' WHERE experiment_id = ?", [bad])
    connection.close()
    fresh = open_store(store.home)
    assert [row.experiment_id for row in fresh.experiments.all()] == [good]
    assert [one.experiment_id for one in fresh.experiments.damaged()] == [bad]
    with pytest.raises(ExperimentDamaged, match=f"experiment {bad} is damaged"):
        fresh.experiments.get(bad)
    control.forget(fresh, bad)
    assert fresh.experiments.damaged() == []
    assert fresh.run(run_id).oracle_until is None, "the work that only it wanted stops"


def test_a_page_of_zeros_is_damage_in_one_line_and_other_runs_are_read(store: Store) -> None:
    """The rows of `queries` are lost; what does not need them still works."""
    bad = labelled_run(store)
    good = new_run(store).run_id
    assert store.damage is None
    store.close()
    path = store.home / "dal.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'queries'"
        ).fetchone()
    connection.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = bytes(size)
    path.write_bytes(content)
    fresh = open_store(store.home)
    assert fresh.damage is not None and len(fresh.damage.splitlines()) == 1
    assert re.match(rf"{re.escape(str(path))} is damaged \(.+\); `dal doctor` says", fresh.damage)
    with pytest.raises(RunDamaged, match="cannot be read"):
        fresh.log(bad)
    assert fresh.run(good).run_id == good
    assert {run.run_id for run in fresh.runs()} == {good, bad}
    with pytest.raises(StoreDamaged, match="dal doctor"):
        fresh.delete_run(bad)


def test_two_schema_rows_are_one_line(store: Store) -> None:
    store.close()
    with sqlite3.connect(store.home / "dal.db") as connection:
        connection.execute("INSERT INTO schema_version VALUES (99)")
    connection.close()
    with pytest.raises(StoreError, match="several rows"):
        open_store(store.home)
