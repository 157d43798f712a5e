"""The store: what enters the log, what is refused, and what can be read back."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dal_core.protocol.parameters import override
from dal_core.protocol.presets import preset
from dal_core.run.events import Answer
from dal_core.run.rows import NothingToUndo, Progress, RunNotFound, StoreError, StoreFailed
from dal_core.run.rules import AnswerError
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_core.store.run_lock import RunBusy, run_lock
from dal_core.store.sqlite import connections, schema
from dal_core.store.sqlite.commands import SqliteStore
from tests.store_kit import (
    N_INITIAL,
    ROOT,
    answers_to,
    as_in_earlier_versions,
    ask,
    give,
    new_query,
    new_result,
    new_run,
    spec,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "home")
    yield opened
    opened.close()


def rows(store: Store) -> dict[str, list[Any]]:
    """Everything in the database, read past the store."""
    connection = sqlite3.connect(store.home / schema.DATABASE_FILE)
    try:
        names = [table.name for table in schema.metadata.sorted_tables]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    finally:
        connection.close()


# Opening


def test_a_missing_home_is_an_error_and_stays_missing_unless_it_is_to_be_created(
    tmp_path: Path,
) -> None:
    with pytest.raises(StoreError, match=r"^.*nowhere holds no runs \(there is no dal\.db\)$"):
        open_store(tmp_path / "nowhere", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("x")
    with pytest.raises(StoreError, match=r"^.*home cannot be used as a home: [^\n]*$"):
        open_store(tmp_path / "home")


@pytest.mark.parametrize("create", [True, False])
def test_a_file_that_is_no_database_is_refused_in_one_line_and_not_changed(
    tmp_path: Path, create: bool
) -> None:
    path = tmp_path / "dal.db"
    path.write_text("not a database, but long enough to be read as the header of one " * 20)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"^[^\n]*cannot be used as a store of runs[^\n]*$"):
        open_store(tmp_path, create=create)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_in_one_line(store: Store) -> None:
    with sqlite3.connect(store.home / "dal.db") as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(StoreError, match=r"^[^\n]*\(schema 99, this one reads 5\)[^\n]*$"):
        open_store(store.home)


def test_a_home_may_have_any_name(tmp_path: Path) -> None:
    run = new_run(open_store(tmp_path / "50% of what? #1"))
    assert open_store(tmp_path / "50% of what? #1", create=False).run(run.run_id) == run


def test_connections_sync_check_foreign_keys_and_wait_for_locks(store: Store) -> None:
    with SqliteStore(store.home)._writing.connect() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    full = 2
    assert values == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
    }


def test_progress_does_not_wait_for_the_disk(store: Store) -> None:
    normal = 1  # in WAL: no fsync at a commit, and still a sound file after a power cut
    with SqliteStore(store.home)._progress_engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == normal


def test_a_writer_that_gets_no_lock_fails_and_the_store_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.05)
    store = open_store(tmp_path)
    other = sqlite3.connect(tmp_path / "dal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreFailed, match="in use by another process"):
        new_run(store)
    assert store.runs() == []
    other.execute("ROLLBACK")
    other.close()
    run = new_run(store)
    assert store.runs() == [run]


def test_opening_a_store_does_not_import_torch() -> None:
    code = "import sys, dal_core.store; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# Runs


def test_a_run_is_read_back_as_it_was_created(store: Store) -> None:
    run = new_run(store, title="Ann's", kind="person", until_labels=100, until_accuracy=0.9)
    assert store.run(run.run_id) == run
    assert run.run_id.startswith("bald-s1-")
    assert run.spec.key == spec().key
    known = {"python", "torch", "torchvision", "numpy", "dal", "commit"}
    assert set(run.versions) == known | {"platform", "threads", "device"}
    assert run.versions["device"] == "cpu"
    assert run.created_at.endswith("+00:00")


def test_the_noise_of_its_oracle_and_the_mode_are_read_back(store: Store) -> None:
    noisy = replace(spec(), noise=0.1)
    values: dict[str, Any] = {"n_initial": N_INITIAL, "split_sizes": {"pool": 3000}}
    run = store.create_run(noisy, kind="person", mode="continuous", **values)
    assert store.run(run.run_id) == run
    assert (run.spec.noise, run.mode) == (0.1, "continuous")
    assert new_run(store).mode == "strict"


def test_an_oracle_and_an_unknown_mode_are_refused(store: Store) -> None:
    with pytest.raises(ValueError, match=r"^mode is 'continuous'; allowed [^\n]*: strict$"):
        new_run(store, kind="oracle", mode="continuous")
    with pytest.raises(ValueError, match=r"^mode is 'lazy'; allowed: strict, continuous$"):
        new_run(store, kind="person", mode="lazy")
    assert store.runs() == []


def test_a_run_is_not_shared_with_one_of_another_noise(store: Store) -> None:
    run = new_run(store, kind="oracle")
    assert store.find_oracle_run(run.spec) == run
    assert store.find_oracle_run(replace(run.spec, noise=0.1)) is None


def test_runs_are_listed_newest_first(store: Store) -> None:
    made = [new_run(store) for _ in range(3)]
    assert store.runs() == made[::-1]


def test_the_error_for_an_unknown_run_names_similar_ids_in_one_line(store: Store) -> None:
    with pytest.raises(
        RunNotFound, match=r"^run 'bald' does not exist; no run is stored here yet$"
    ):
        store.run("bald")
    run_id = new_run(store).run_id
    with pytest.raises(RunNotFound, match=f"did you mean {run_id}\\? `dal runs` lists all 1$"):
        store.log(run_id[:-1])
    for act in (store.undo, store.delete_run, store.set_directives):
        with pytest.raises(RunNotFound):
            act("nonsense")
    with pytest.raises(RunNotFound):
        store.set_progress("nonsense", Progress("train"))
    with pytest.raises(RunNotFound):
        store.add_step("nonsense", new_result())


def test_an_oracle_run_is_found_by_its_spec_until_a_person_answers_in_it(store: Store) -> None:
    assert store.find_oracle_run(spec()) is None
    new_run(store, kind="person")
    assert store.find_oracle_run(spec()) is None
    oldest, newer = new_run(store, kind="oracle"), new_run(store, kind="oracle")
    assert store.find_oracle_run(spec()) == oldest
    assert store.find_oracle_run(spec(seed=2)) is None
    other = replace(spec(), protocol=override(preset("quick"), {"n_epochs": "99"}))
    assert store.find_oracle_run(other) is None
    by_oracle = ask(store, oldest.run_id, range(100))
    store.submit(by_oracle.query_id, answers_to(by_oracle), annotator="oracle", source="oracle")
    assert store.find_oracle_run(spec()) == oldest
    query = ask(store, oldest.run_id, range(100, 200))
    with as_in_earlier_versions():
        give(store, query)
    assert store.find_oracle_run(spec()) == newer


def test_only_the_given_directives_change(store: Store) -> None:
    run_id = new_run(store, until_labels=200).run_id
    store.set_directives(run_id, oracle_until=120, paused=True)
    store.set_directives(run_id, until_accuracy=0.95)
    control, run = store.control(run_id), store.run(run_id)
    for seen in (control, run):
        assert (seen.oracle_until, seen.paused) == (120, True)
        assert (seen.until_labels, seen.until_accuracy) == (200, 0.95)
    store.set_directives(run_id, oracle_until=None)
    assert store.run(run_id).oracle_until is None
    assert store.run(run_id).paused


@pytest.mark.parametrize(
    "wrong",
    [
        {"oracle_until": -1},
        {"until_labels": 2.5},
        {"until_labels": True},
        {"until_accuracy": 0},
        {"until_accuracy": 1.01},
        {"until_accuracy": math.nan},
        {"paused": "yes"},
    ],
)
def test_a_directive_out_of_range_is_named_and_changes_nothing(
    store: Store, wrong: dict[str, Any]
) -> None:
    run_id = new_run(store).run_id
    before = rows(store)
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} is .*; allowed: "):
        store.set_directives(run_id, **wrong)
    assert rows(store) == before


def test_deleting_a_run_removes_its_rows_and_folder_and_no_others(store: Store) -> None:
    kept, gone = new_run(store).run_id, new_run(store).run_id
    for run_id in (kept, gone):
        query = new_query()
        store.add_query(run_id, query, np.zeros((2, 10, 10)))
        outcome = give(store, query)
        assert outcome.submission is not None
        store.add_step(run_id, new_result(30, outcome.submission.submission_id))
        store.undo(run_id)
        store.set_progress(run_id, Progress("train"))
        store.run_dir(run_id).mkdir()
        (store.run_dir(run_id) / "weights.safetensors").write_bytes(b"weights")
    before = rows(store)
    store.delete_run(gone)
    assert [run.run_id for run in store.runs()] == [kept]
    assert not store.run_dir(gone).exists()
    assert (store.run_dir(kept) / "weights.safetensors").read_bytes() == b"weights"
    for name, after in rows(store).items():
        n_versions = 1 if name == "schema_version" else 0
        assert len(after) * 2 - n_versions == len(before[name]), name
    assert store.control(gone).deleted
    assert not store.control(kept).deleted


def test_a_run_being_worked_on_is_not_deleted(store: Store) -> None:
    run_id = new_run(store).run_id
    with run_lock(store.home, run_id):
        before = rows(store)
        with pytest.raises(RunBusy, match=run_id):
            store.delete_run(run_id)
        assert rows(store) == before
        assert store.run_dir(run_id).exists()
    store.delete_run(run_id)
    assert store.runs() == []


# Queries


def test_a_query_and_its_matrices_are_read_back(store: Store) -> None:
    run_id = new_run(store).run_id
    query = new_query()
    probs = np.random.default_rng(0).random((4, 10, 10))
    assert store.add_query(run_id, query, probs)
    assert store.log(run_id).open_query == query
    kept = store.shown_probs(query.query_id)
    assert kept is not None
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(kept, probs.astype(np.float32))
    assert store.shown_probs("unknown") is None


def test_a_query_for_a_former_state_is_dropped(store: Store) -> None:
    run_id = new_run(store).run_id
    give(store, ask(store, run_id, range(100)))
    assert not store.add_query(run_id, new_query(range(200, 300), after=0), None)
    assert store.log(run_id).open_query is None


def test_a_second_query_for_the_same_state_does_not_replace_the_first(
    store: Store,
) -> None:
    run_id = new_run(store).run_id
    first = ask(store, run_id, range(100))
    assert not store.add_query(run_id, new_query(), None)
    assert store.log(run_id).open_query == first


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ranking": (), "scores": ()}, "ranking has 0 images"),
        ({"scores": (1.0,)}, "ranking has 100 images and 1 scores"),
        ({"ranking": (7,) * 100}, "image 7 is ranked twice"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"n_labelled": 21}, "n_labelled is 21; after submission 0 it is 20"),
    ],
)
def test_a_query_that_contradicts_its_run_is_refused(
    store: Store, wrong: dict[str, Any], message: str
) -> None:
    run_id = new_run(store).run_id
    with pytest.raises(ValueError, match=message):
        store.add_query(run_id, replace(new_query(), **wrong), None)
    assert store.log(run_id).open_query is None


def test_images_that_left_the_pool_cannot_be_asked_again(store: Store) -> None:
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(100))
    give(store, query, answers_to(query, skipped=[3]))
    log = store.log(run_id)
    for image_id in (0, 3, 10):  # labelled, skipped, labelled in its place
        again = new_query([image_id], n_labelled=log.n_labelled, after=log.after)
        with pytest.raises(ValueError, match=f"image {image_id} is ranked but is no longer"):
            store.add_query(run_id, again, None)


@pytest.mark.parametrize("shape", [(10, 10), (2, 101, 10), (2, 0, 10)])
def test_matrices_that_do_not_fit_the_ranking_are_refused(
    store: Store, shape: tuple[int, ...]
) -> None:
    run_id = new_run(store).run_id
    with pytest.raises(ValueError, match="probs has shape"):
        store.add_query(run_id, new_query(), np.zeros(shape))


# Submissions


def test_a_submission_is_saved_and_trained_on_in_the_order_of_the_ranking(store: Store) -> None:
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(99, -1, -1))
    typed = answers_to(query)[::-1]
    outcome = give(store, query, typed)
    assert outcome.status == "saved"
    assert outcome.submission is not None
    assert outcome.submission.answers == tuple(typed)
    log = store.log(run_id)
    assert log.submissions == (outcome.submission,)
    assert log.labels() == [(image_id, image_id % 10) for image_id in range(99, 89, -1)]
    assert log.n_labelled == N_INITIAL + 10
    assert log.after == outcome.submission.submission_id
    assert log.open_query is None


def test_the_same_submission_twice_is_one(store: Store) -> None:
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(100))
    first = give(store, query)
    before = rows(store)
    retyped = [replace(answer, seconds=9.0) for answer in answers_to(query)[::-1]]
    for again in (answers_to(query), retyped):
        second = give(store, query, again)
        assert second.status == "already"
        assert second.submission == first.submission
    assert rows(store) == before


def test_a_different_second_submission_is_refused_and_shown_the_stored_one(store: Store) -> None:
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(100))
    first = give(store, query)
    before = rows(store)
    for annotator, answers in (("ann", answers_to(query, offset=1)), ("bob", answers_to(query))):
        second = give(store, query, answers, annotator=annotator)
        assert second.status == "refused"
        assert second.submission == first.submission
        assert second.reason
    assert rows(store) == before


def test_a_query_that_is_no_longer_open_takes_no_answers(store: Store) -> None:
    run_id = new_run(store).run_id
    first = ask(store, run_id, range(100))
    give(store, first)
    second = ask(store, run_id, range(100, 200))
    store.undo(run_id)
    before = rows(store)
    outcome = give(store, second)
    assert (outcome.status, outcome.submission) == ("refused", None)
    assert outcome.reason == "the query is no longer open"
    assert rows(store) == before


def change(answers: list[Answer], place: int, **values: Any) -> list[Answer]:
    return [replace(a, **values) if i == place else a for i, a in enumerate(answers)]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: change(a, 3, image_id=12), "image 12 is labelled but not shown"),
        (lambda a: change(a, 3, label=10), "label of image 3 is 10; allowed: 0 to 9, or None"),
        (lambda a: change(a, 3, label=-1), "label of image 3 is -1"),
        (lambda a: change(a, 1, label=True), "label of image 1 is True"),
        (lambda a: change(a, 3, label="3"), "label of image 3 is '3'"),
        (lambda a: change(a, 3, label=3.0), r"label of image 3 is 3\.0"),
        (lambda a: change(a, 3, image_id="3"), "image id is '3'"),
        (lambda a: change(a, 3, image_id=True), "image id is True"),
        (lambda a: change(a, 3, seconds=-1.0), r"seconds of image 3 is -1\.0"),
        (lambda a: change(a, 3, seconds=math.nan), "seconds of image 3 is nan"),
        (lambda a: a[:-1], "labels are missing for: 9; label or skip each image"),
        (lambda a: [], "labels are missing for: 0, 1, "),
        (lambda a: [*a, a[0]], "image 0 is answered twice"),
        (lambda a: [*a, Answer(10, 0)], "image 10 is labelled but not shown"),
        (lambda a: [*a, Answer(500, None)], "image 500 is skipped but the query does not rank"),
        (lambda a: [*a[:-1], Answer(9, None)], "labels are missing for: 10;"),
    ],
)
def test_wrong_answers_are_named_in_one_line_and_nothing_is_written(
    store: Store, spoil: Any, message: str
) -> None:
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(100))
    before = rows(store)
    with pytest.raises(AnswerError, match=f"^{message}[^\n]*$"):
        give(store, query, spoil(answers_to(query)))
    assert rows(store) == before
    assert give(store, query).status == "saved"


def test_a_submission_names_its_author_and_an_existing_query(store: Store) -> None:
    query = ask(store, new_run(store).run_id, range(100))
    for query_id, annotator, source, message in (
        (query.query_id, " ", "person", "annotator is ' '; allowed: "),
        (query.query_id, "ann", "crowd", "source is 'crowd'; allowed: person, oracle"),
        ("unknown", "ann", "person", "query 'unknown' does not exist"),
    ):
        with pytest.raises(AnswerError, match=f"^{message}"):
            store.submit(query_id, answers_to(query), annotator=annotator, source=source)
    assert rows(store)["submissions"] == []


def test_labels_of_numpy_are_stored_as_the_numbers_they_are(store: Store) -> None:
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(100))
    labels = [Answer(np.int64(a.image_id), np.int64(a.label)) for a in answers_to(query)]  # type: ignore[arg-type]
    assert give(store, query, labels).status == "saved"
    assert store.log(run_id).labels() == [(image_id, image_id % 10) for image_id in range(10)]


def test_skipped_images_are_replaced_by_the_next_of_the_ranking(store: Store) -> None:
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(100))
    give(store, query, answers_to(query, skipped=[0, 10]))
    log = store.log(run_id)
    assert [image_id for image_id, _ in log.labels()] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]
    assert log.skipped == {0, 10}
    assert log.n_labelled == N_INITIAL + 10


def test_an_exhausted_ranking_takes_fewer_labels(store: Store) -> None:
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(12))
    assert give(store, query, answers_to(query, skipped=range(5))).status == "saved"
    log = store.log(run_id)
    assert log.n_labelled == N_INITIAL + 7
    all_skipped = ask(store, run_id, [50, 51])
    assert give(store, all_skipped, answers_to(all_skipped, skipped=[50, 51])).status == "saved"
    assert store.log(run_id).n_labelled == N_INITIAL + 7


# Undo


def test_undo_asks_the_same_images_in_a_new_query_at_once(store: Store) -> None:
    run_id = new_run(store).run_id
    query = new_query()
    store.add_query(run_id, query, np.ones((2, 10, 10)))
    give(store, query, answers_to(query, skipped=[4]))
    again = store.undo(run_id)
    assert replace(again, query_id=query.query_id) == query
    assert again.query_id != query.query_id
    log = store.log(run_id)
    assert log.open_query == again
    assert (log.labels(), log.skipped, log.n_labelled) == ([], frozenset(), N_INITIAL)
    assert (log.n_retracted, log.revision, store.control(run_id).revision) == (1, 1, 1)
    assert store.shown_probs(again.query_id) is not None
    assert give(store, again).status == "saved"


def test_a_late_copy_of_an_undone_submission_does_not_come_back(store: Store) -> None:
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(100))
    give(store, query)
    store.undo(run_id)
    assert give(store, query).status == "already"
    assert store.log(run_id).submissions == ()


def test_there_is_nothing_to_undo_in_a_fresh_run(store: Store) -> None:
    run_id = new_run(store).run_id
    with pytest.raises(NothingToUndo, match=f"^run {run_id} has no answers to take back$"):
        store.undo(run_id)


def test_an_undo_delivered_twice_takes_back_one_submission(store: Store) -> None:
    run_id = new_run(store).run_id
    give(store, ask(store, run_id, range(100)))
    last = give(store, ask(store, run_id, range(100, 200))).submission
    assert last is not None
    store.undo(run_id, last.submission_id)
    with pytest.raises(NothingToUndo, match=f"submission {last.submission_id} is not the last"):
        store.undo(run_id, last.submission_id)
    assert len(store.log(run_id).submissions) == 1


# Results


def test_a_result_is_read_back_and_the_newest_of_a_state_wins(store: Store) -> None:
    run_id = new_run(store).run_id
    assert store.add_step(run_id, new_result(accuracy=0.4))
    assert store.add_step(run_id, new_result(accuracy=0.6))
    assert store.log(run_id).steps == (new_result(accuracy=0.6),)


def test_a_diverged_training_can_be_recorded(store: Store) -> None:
    run_id = new_run(store).run_id
    diverged = replace(new_result(), train_loss=math.nan, val_loss=None, best_epoch=None)
    assert store.add_step(run_id, diverged)
    (step,) = store.log(run_id).steps
    assert math.isnan(step.train_loss)
    assert (step.val_loss, step.best_epoch) == (None, None)


def test_undo_drops_the_results_of_the_undone_state_only(store: Store) -> None:
    run_id = new_run(store).run_id
    states = [0]
    for place in range(2):
        outcome = give(store, ask(store, run_id, range(place * 100, place * 100 + 100)))
        assert outcome.submission is not None
        states.append(outcome.submission.submission_id)
    results = [new_result(N_INITIAL + 10 * i, after) for i, after in enumerate(states)]
    store.add_step(run_id, results[2])
    store.undo(run_id)
    assert store.log(run_id).steps == ()
    assert not store.add_step(run_id, results[2])
    assert store.add_step(run_id, results[1])
    assert store.add_step(run_id, results[0])
    assert store.log(run_id).steps == (results[0], results[1])


def test_a_result_with_the_wrong_number_of_labels_is_refused(store: Store) -> None:
    run_id = new_run(store).run_id
    with pytest.raises(ValueError, match="n_labelled is 30; after submission 0 it is 20"):
        store.add_step(run_id, new_result(30))
    assert store.log(run_id).steps == ()


# Failures


def test_a_failure_is_remembered_until_it_is_cleared(store: Store) -> None:
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(100))
    assert store.log(run_id).failure is None

    def fails(reason: str) -> None:
        store.add_failure(run_id, reason)
        failure = store.log(run_id).failure
        assert failure is not None and failure.reason == reason and failure.at
        assert store.summaries([run_id])[0].failure == failure

    fails("OSError: no")
    fails("OSError: not again")
    store.retry(run_id)
    assert store.log(run_id).failure is None
    for clear in (
        lambda: give(store, query),
        lambda: store.correct(run_id, 3, 9, annotator="ann"),
        lambda: store.undo(run_id),
    ):
        fails("ValueError: no")
        store.set_directives(run_id, oracle_until=100)  # as a page may do at any time
        store.set_progress(run_id, Progress("train"))
        log = store.log(run_id)
        store.add_step(run_id, new_result(log.n_labelled, log.after, corrected=log.corrected))
        assert store.log(run_id).failure is not None
        clear()
        assert store.log(run_id).failure is None
        assert store.summaries([run_id])[0].failure is None


def test_a_run_that_does_not_exist_cannot_fail(store: Store) -> None:
    for change in (lambda: store.add_failure("nobody", "no"), lambda: store.retry("nobody")):
        with pytest.raises(RunNotFound):
            change()


def test_a_fork_does_not_inherit_a_failure(store: Store) -> None:
    run = new_run(store)
    store.add_failure(run.run_id, "OSError: no")
    assert store.log(store.fork_run(run.run_id, 0, spec=spec()).run_id).failure is None


# Progress


def test_progress_is_one_row_that_is_replaced(store: Store) -> None:
    run_id = new_run(store).run_id
    assert store.progress(run_id) is None
    for epoch in (1, 2):
        progress = Progress("train", 20, epoch, 100, 0.5, 3.5, "2026-01-01T00:00:00.000+00:00")
        store.set_progress(run_id, progress)
        assert store.progress(run_id) == progress
    assert len(rows(store)["progress"]) == 1


def test_the_pulse_changes_with_the_log_and_the_directives_and_with_nothing_else(
    store: Store,
) -> None:
    run = new_run(store)
    beats = [store.pulse(run.run_id)]

    def changed() -> bool:
        beats.append(store.pulse(run.run_id))
        return beats[-1] != beats[-2]

    assert not changed()
    store.set_progress(run.run_id, Progress("train", epoch=1, n_epochs=2))
    assert not changed()
    store.set_directives(run.run_id, oracle_until=40)
    assert changed()
    query = ask(store, run.run_id, range(100, 120))
    assert changed()
    give(store, query)
    assert changed()
    store.undo(run.run_id)
    assert changed()
    store.add_failure(run.run_id, "OSError: no")
    assert changed()
    store.retry(run.run_id)
    assert changed()
    store.delete_run(run.run_id)
    assert changed() and beats[-1] is None


def test_a_checkpoint_makes_the_main_file_whole_and_waits_for_nobody(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    run_id = new_run(store).run_id
    give(store, ask(store, run_id, range(100)))
    assert (tmp_path / "dal.db-wal").stat().st_size > 0
    store.checkpoint()
    assert (tmp_path / "dal.db-wal").stat().st_size == 0
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "dal.db").write_bytes((tmp_path / "dal.db").read_bytes())
    assert open_store(copy).log(run_id) == store.log(run_id)
    store.close()
