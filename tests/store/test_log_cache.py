"""Cached logs always equal those that a store without a cache reads."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest

from dal_core.run.events import Answer, Query
from dal_core.run.rows import RunNotFound
from dal_core.run.rules import AnswerError
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_core.store.sqlite import queries, reading
from dal_core.store.sqlite.commands import SqliteStore
from tests.store_kit import answers_to, ask, give, new_query, new_result, new_run, summary_of


def read_without_cache(store: Store, run_id: str) -> object:
    with SqliteStore(store.home)._reading.connect() as connection:
        return reading.read_log(connection, run_id)


class RandomActions:
    """What people and workers do to a run, at random, through either of two stores."""

    def __init__(self, home: Path, seed: int, mode: str) -> None:
        self.stores = open_store(home), open_store(home)
        self.random = random.Random(seed)
        self.mode = mode
        self.run_id = new_run(self.stores[0], mode=mode).run_id

    def act(self) -> None:
        hand = [self.ask, self.give] * 3 + [self.undo, self.correct, self.measure, self.direct]
        hand += [self.fail, self.retry]
        self.random.choice(hand)(self.random.choice(self.stores))

    def ask(self, store: Store) -> None:
        log = store.log(self.run_id)
        gone = {answer.image_id for one in log.submissions for answer in one.answers}
        left = [image_id for image_id in range(400) if image_id not in gone][:50]
        self.random.shuffle(left)
        query = new_query(left, n_labelled=log.n_labelled, after=log.after, corrected=log.corrected)
        if self.mode == "continuous":
            store.add_ranking(self.run_id, query, None)
        else:
            store.add_query(self.run_id, query, None)

    def give(self, store: Store) -> None:
        query = store.log(self.run_id).open_query
        if query is not None:
            skipped = self.random.sample(query.ranking[:10], self.random.randrange(2))
            assert give(store, query, answers_to(query, skipped)).status == "saved"

    def undo(self, store: Store) -> None:
        if store.log(self.run_id).submissions:
            store.undo(self.run_id)

    def correct(self, store: Store) -> None:
        log = store.log(self.run_id)
        if not log.submissions:
            return
        answer = self.random.choice(self.random.choice(log.submissions).answers)
        label = self.random.choice([one for one in (1, 7, None) if one != answer.label])
        store.correct(self.run_id, answer.image_id, label, annotator="ann")

    def measure(self, store: Store) -> None:
        log = store.log(self.run_id)
        accuracy = self.random.random()
        store.add_step(self.run_id, new_result(log.n_labelled, log.after, accuracy, log.corrected))

    def fail(self, store: Store) -> None:
        store.add_failure(self.run_id, f"OSError: {self.random.random()}")

    def retry(self, store: Store) -> None:
        store.retry(self.run_id)

    def direct(self, store: Store) -> None:
        store.set_directives(self.run_id, paused=self.random.random() < 0.5)


@pytest.mark.parametrize("mode", ["strict", "continuous"])
@pytest.mark.parametrize("seed", range(4))
def test_cached_logs_equal_fresh_reads_whatever_two_stores_write(
    tmp_path: Path, seed: int, mode: str
) -> None:
    actions = RandomActions(tmp_path, seed, mode)
    for _ in range(100):
        actions.act()
        logs = [store.log(actions.run_id) for store in actions.stores]
        assert logs == [read_without_cache(actions.stores[0], actions.run_id)] * 2
        assert actions.stores[0].summaries([actions.run_id]) == [summary_of(logs[0])]
    log = actions.stores[0].log(actions.run_id)
    assert len(log.submissions) > 1 and log.corrections and log.n_retracted and log.steps


def test_a_write_that_failed_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers of rows that were rolled back are used again, for others."""
    store = open_store(tmp_path)
    run_id = new_run(store).run_id
    query = ask(store, run_id, range(100))
    give(store, query)
    before = store.log(run_id)

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(reading, "read_log", fail)  # after the correction was written
        with pytest.raises(OSError):
            store.correct(run_id, 3, 8, annotator="ann")
        with pytest.raises(AnswerError):
            store.submit(query.query_id, [Answer(3, 3)], annotator="ann", source="nobody")
    assert store.log(run_id) == before == read_without_cache(store, run_id)
    store.correct(run_id, 4, 9, annotator="ann")
    assert store.log(run_id) == read_without_cache(store, run_id) != before


def test_a_deleted_run_is_gone(tmp_path: Path) -> None:
    store, other = open_store(tmp_path), open_store(tmp_path)
    run_id = new_run(store).run_id
    assert other.log(run_id) == store.log(run_id)
    store.delete_run(run_id)
    for one in (store, other):
        with pytest.raises(RunNotFound):
            one.log(run_id)


def test_only_the_logs_read_last_are_kept(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    run_ids = [new_run(store).run_id for _ in range(4)]
    logs = queries.LogCache(at_most=2)
    for run_id in [*run_ids, run_ids[2]]:
        with SqliteStore(store.home)._reading.connect() as connection:
            assert logs.read(connection, run_id) == read_without_cache(store, run_id)
    assert list(logs._rows) == [run_ids[3], run_ids[2]]


def test_what_was_read_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)
    run_id = new_run(store).run_id
    for first in (0, 10, 20):
        give(store, ask(store, run_id, range(first, 100)))
    store.log(run_id)
    parsed = []
    whole = reading._to_query

    def parse(row: Any) -> Query:
        parsed.append(row)
        return whole(row)

    monkeypatch.setattr(reading, "_to_query", parse)
    assert len(store.log(run_id).queries) == 3 and not parsed
    give(store, ask(store, run_id, range(30, 100)))
    parsed.clear()
    assert len(store.log(run_id).queries) == 4 and len(parsed) <= 1


def test_threads_that_read_and_write_at_once_never_see_less_than_before(tmp_path: Path) -> None:
    """A reader whose snapshot is older than what another just read must not mix the two."""
    store = open_store(tmp_path)
    run_id = new_run(store).run_id
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        seen = 0
        while not done.is_set():
            log = store.log(run_id)
            if log.n_submissions < seen:
                wrong.append(f"{log.n_submissions} after {seen}")
            seen = log.n_submissions
            if log.n_labelled != 20 + 10 * seen or len(log.queries) not in (seen, seen + 1):
                wrong.append(f"{log.n_labelled} labels, {len(log.queries)} queries")

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for first in range(0, 300, 10):
        give(store, ask(store, run_id, range(first, 400)))
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert store.log(run_id) == read_without_cache(store, run_id)
