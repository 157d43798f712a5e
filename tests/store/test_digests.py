"""A changed bit in a stored answer, result or parameter is noticed; what was written is intact."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dal_core.protocol.presets import preset
from dal_core.run.environment import Environment
from dal_core.run.events import AnsweredBatch
from dal_core.run.rows import RunDamaged
from dal_core.run.rules import AnswerError
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_core.store.sqlite import connections, digests, schema
from dal_core.store.sqlite.copying import problems
from dal_core.store.sqlite.salvage import rebuild
from dal_core.upkeep.doctor import examine
from tests.store.test_migration import back_to_version_4
from tests.store_kit import answers_to, ask, give, new_query, new_result, new_run, spec

RUN_TABLES = [one.name for one in digests.TABLES if one is not schema.experiments]
KEYS = ("run_id", "experiment_id")  # a row that belongs to nobody is the database's problem


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which every command that writes was used; the first run has rows in all tables."""
    home = tmp_path_factory.mktemp("written")
    with closing(open_store(home)) as store:
        write_everything(store)
        store.checkpoint()
    return home


def write_everything(store: Store) -> None:
    run_id = new_run(store, mode="continuous", title="Ann's").run_id
    where = Environment(torch="2.13.0", device="cpu")
    store.add_ranking(run_id, new_query(range(100)), None)
    for _ in range(2):  # the next query is opened by the submission
        query = store.log(run_id).open_query
        assert query is not None
        assert give(store, query).status == "saved"
    store.correct(run_id, 0, 7, annotator="Ann")
    store.undo(run_id)
    log = store.log(run_id)
    result = new_result(30, log.submissions[0].submission_id, corrected=log.corrected)
    values = vars(result) | {"environment": where, "confusion": ((3, 1), (0, 4))}
    store.add_step(run_id, type(result)(**values | {"nll": 0.5, "brier": 0.25, "ece": 0.125}))
    strict = new_run(store).run_id
    give(store, ask(store, strict, range(20, 60)))
    store.set_directives(strict, paused=True, until_labels=90, until_accuracy=0.9)
    after = store.log(strict).after
    fork = store.fork_run(strict, after, spec=spec(acquisition="random"))
    batch = AnsweredBatch("Ann", "person", None, tuple(answers_to(new_query(range(10)))))
    begun = new_run(store, answered=[batch], nonce="n")
    ids = [run_id, fork.run_id, begun.run_id]
    store.experiments.create("all", preset("quick"), ["bald"], [1, 2], False, ids)


@pytest.fixture
def home(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "home"))


@pytest.fixture
def database(home: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(home / "dal.db", isolation_level=None)) as connection:
        yield connection


def damaged(home: Path) -> list[str]:
    """Ids of what a home lists as damaged."""
    with closing(open_store(home, create=False)) as store:
        found = [one.run_id for one in store.survey().damaged]
        return found + [one.experiment_id for one in store.experiments.damaged()]


def flipped(value: Any) -> Any:
    """The value with one bit changed, of the kind that leaves it valid where there is one."""
    if isinstance(value, int):
        return value ^ 64
    if isinstance(value, float):
        (bits,) = struct.unpack("<q", struct.pack("<d", value))
        return struct.unpack("<d", struct.pack("<q", bits ^ 1))[0]
    raw = bytearray(value.encode())
    digits = [place for place, byte in enumerate(raw) if chr(byte).isdigit()]
    raw[digits[-1] if digits else -1] ^= 1
    return raw.decode()


def flips(database: sqlite3.Connection, table: str) -> Iterator[str]:
    """Flip a bit in each value of the first row of a table, one after the other."""
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    key = "number" if "number" in columns else "rowid"
    for name in columns:
        sql = f'SELECT rowid, "{name}" FROM {table} WHERE "{name}" <> ? ORDER BY 1 LIMIT 1'
        found = database.execute(sql, [""]).fetchone()
        if found is None:
            continue
        rowid, value = found
        at = flipped(value) if name == key else rowid
        change = f'UPDATE {table} SET "{name}" = ? WHERE rowid = ?'
        database.execute(change, [flipped(value), rowid])
        yield name
        database.execute(change, [value, at])


def test_everything_that_was_written_is_intact(written: Path) -> None:
    engine = connections.make_engine(written / "dal.db", "FULL")
    with engine.connect() as connection:
        for table in digests.TABLES:
            rows = connection.execute(table.select()).all()
            assert rows and all(row.digest for row in rows), table.name
            if table is schema.submissions:
                digests.check_submissions(rows, digests.read_answers(connection))
            else:
                query = table.select().add_columns(digests.intact(table))
                digests.check(table, connection.execute(query).all())
    engine.dispose()
    assert damaged(written) == []


@pytest.mark.parametrize("table", [*RUN_TABLES, "answers", "experiments", "environments"])
def test_a_flipped_bit_in_any_value_of_a_row_is_listed(
    home: Path, database: sqlite3.Connection, table: str
) -> None:
    free = {name for one in digests.TABLES for name in digests.CHANGING.get(one.name, ())}
    seen = []
    for name in flips(database, table):
        if name in free or (table, name) == ("environments", "number"):  # lost: it is not known
            continue
        seen.append(name)
        lost = name in KEYS and table not in ("runs", "experiments")
        lost |= (table, name) == ("answers", "submission_id")
        assert damaged(home) or (lost and problems(home)), f"{table}.{name}"
    assert len(seen) >= 2
    assert damaged(home) == [], "each value was put back"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE answers SET label = 7 WHERE label = 3",
        "UPDATE steps SET accuracy = 0.9",
        "UPDATE steps SET nll = 0.75",
        "UPDATE corrections SET label = 3",
        "DELETE FROM answers WHERE position = 4",
    ],
)
def test_a_valid_value_in_the_place_of_another_is_reported_and_nothing_else_breaks(
    home: Path, database: sqlite3.Connection, change: str
) -> None:
    assert database.execute(change).rowcount > 0
    bad = damaged(home)
    found = [one.what for one in examine(home) if one.area == "run"]
    with closing(open_store(home, create=False)) as store:
        good = [one.run.run_id for one in store.survey().runs]
        assert sorted([*good, *bad]) == sorted(store.run_ids())
        for run_id in bad:
            with pytest.raises(RunDamaged, match="is not what was written") as error:
                store.log(run_id)
            assert str(error.value) in found and "\n" not in str(error.value)
        for run_id in good:
            store.log(run_id)


def test_answers_to_a_query_that_was_changed_are_refused_in_words(
    home: Path, database: sqlite3.Connection
) -> None:
    with closing(open_store(home, create=False)) as store:
        logs = [store.log(run_id) for run_id in store.run_ids()]
        (query,) = (log.open_query for log in logs if log.open_query is not None)
        database.execute("UPDATE queries SET batch_size = batch_size + 1")
        with pytest.raises((RunDamaged, AnswerError), match="is not what was written"):
            give(store, query)


def test_directives_change_without_a_new_digest(home: Path) -> None:
    with closing(open_store(home, create=False)) as store:
        run_id = store.run_ids()[0]
        store.set_directives(run_id, paused=True, until_labels=300, oracle_until=50)
        assert store.run(run_id).until_labels == 300


def test_a_home_of_version_4_gets_digests_when_it_is_opened(home: Path) -> None:
    with closing(open_store(home)) as store:
        before = [store.log(run_id).labels() for run_id in store.run_ids()]
    back_to_version_4(home)
    with closing(open_store(home)) as store:
        assert [store.log(run_id).labels() for run_id in store.run_ids()] == before
        assert {step.nll for run in store.survey().runs for step in run.steps} == {None}
    with closing(sqlite3.connect(home / "dal.db", isolation_level=None)) as database:
        database.execute("UPDATE answers SET label = 7 WHERE label = 3")
    assert damaged(home)


def test_what_an_earlier_version_writes_meanwhile_is_read_and_sealed_by_the_doctor(
    home: Path, database: sqlite3.Connection
) -> None:
    """A server of the earlier version may still run while a newer one migrates the home."""
    for table in ("submissions", "steps"):
        database.execute(f"UPDATE {table} SET digest = NULL WHERE number = 1")
    assert damaged(home) == []
    found = [one for one in examine(home) if one.area == "database"]
    assert [one.what.startswith("2 rows have no digest") for one in found] == [True]
    found = [one for one in examine(home, fix=True) if one.area == "database"]
    assert [one.done for one in found] == ["gave them digests, as they are now"]
    assert not [one for one in examine(home) if one.area == "database"]
    assert damaged(home) == []
    database.execute("UPDATE answers SET label = 7 WHERE submission_id = 1 AND position = 3")
    assert damaged(home)


def test_a_row_that_cannot_be_read_does_not_keep_a_home_of_version_4_shut(home: Path) -> None:
    with closing(open_store(home)) as store:
        first, *others = store.run_ids()
    back_to_version_4(home)
    with closing(sqlite3.connect(home / "dal.db", isolation_level=None)) as database:
        broken = "UPDATE runs SET title = CAST(x'ff41fe' AS TEXT) WHERE run_id = ?"
        database.execute(broken, [first])
    assert damaged(home) == [first]
    with closing(open_store(home)) as store:
        assert [one.run.run_id for one in store.survey().runs] == others


def test_rows_saved_from_a_damaged_home_of_version_4_are_read(home: Path) -> None:
    back_to_version_4(home)
    n_rows, _ = rebuild(home)
    assert n_rows > 0
    assert damaged(home) == []
