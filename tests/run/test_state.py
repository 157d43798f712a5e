"""States against a naive model: a run has the labels that were given and not retracted.

The naive model keeps a stack and drops what is undone or corrected; the log keeps everything.
Both are driven with the same random sequences of asking, submitting (with skips), correcting,
measuring and undoing.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol as Interface

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dal_core.run.events import Answer, Correction, Failure, Query, StepResult, Submission
from dal_core.run.rows import RunRow
from dal_core.run.state import RunState
from dal_core.store.opening import open_store
from tests.store_kit import N_INITIAL, answers_to, new_query, new_result, new_run, spec, summary_of

POOL = frozenset(range(40))
BATCH = 3
RANKED = 6


class Driver(Interface):
    """A run, kept by the store or only as rows in memory."""

    def ask(self, query: Query) -> None: ...
    def submit(self, query: Query, answers: list[Answer]) -> None: ...
    def measure(self, result: StepResult) -> None: ...
    def correct(self, image_id: int, label: int | None) -> None: ...
    def undo(self) -> None: ...
    def log(self) -> RunState: ...


class Rows:
    """Rows in memory, appended as the store appends them."""

    def __init__(self) -> None:
        self.run = RunRow("run-1", "", "person", False, spec(), N_INITIAL, {}, {}, "")
        self.queries: list[Query] = []
        self.submissions: list[Submission] = []
        self.retracted: set[int] = set()
        self.steps: list[StepResult] = []
        self.corrections: list[Correction] = []
        self.failure: Failure | None = None

    def ask(self, query: Query) -> None:
        self.queries.append(query)

    def submit(self, query: Query, answers: list[Answer]) -> None:
        number = len(self.submissions) + 1
        row = Submission(number, query.query_id, "ann", "person", "", tuple(answers))
        self.submissions.append(row)

    def measure(self, result: StepResult) -> None:
        self.steps.append(result)

    def correct(self, image_id: int, label: int | None) -> None:
        (submission_id,) = (
            one.submission_id
            for one in self.log().submissions
            if any(answer.image_id == image_id for answer in one.answers)
        )
        number = len(self.corrections) + 1
        row = Correction(number, submission_id, image_id, label, None, "ann", "")
        self.corrections.append(row)

    def undo(self) -> None:
        log = self.log()
        undone = log.queries[log.submissions[-1].query_id]
        self.retracted.add(log.after)
        self.queries.append(
            new_query(
                undone.ranking,
                n_labelled=undone.n_labelled,
                after=undone.after,
                batch_size=undone.batch_size,
            )
        )

    def log(self) -> RunState:
        return RunState.from_events(
            self.run,
            queries=self.queries,
            submissions=self.submissions,
            retracted=self.retracted,
            steps=self.steps,
            corrections=self.corrections,
            failure=self.failure,
        )


class Stored:
    """The same through the store and its file."""

    def __init__(self, home: str) -> None:
        self.store = open_store(Path(home))
        self.run_id = new_run(self.store).run_id

    def ask(self, query: Query) -> None:
        assert self.store.add_query(self.run_id, query, None)

    def submit(self, query: Query, answers: list[Answer]) -> None:
        outcome = self.store.submit(query.query_id, answers, annotator="ann", source="person")
        assert outcome.status == "saved"

    def measure(self, result: StepResult) -> None:
        self.store.add_step(self.run_id, result)

    def correct(self, image_id: int, label: int | None) -> None:
        self.store.correct(self.run_id, image_id, label, annotator="ann")

    def undo(self) -> None:
        self.store.undo(self.run_id)

    def log(self) -> RunState:
        log = self.store.log(self.run_id)
        assert self.store.summaries([self.run_id]) == [summary_of(log)]
        return log


@dataclass
class Naive:
    """A run as a plain stack of answers."""

    stack: list[tuple[tuple[int, ...], dict[int, int | None]]] = field(default_factory=list)
    open_ranking: tuple[int, ...] | None = None
    # depth of the stack -> labels and accuracy when it was last measured, and the answers then
    measured: dict[int, tuple[int, float, list[tuple[int, int]]]] = field(default_factory=dict)

    @property
    def labels(self) -> list[tuple[int, int]]:
        return self.labels_at(len(self.stack))

    def labels_at(self, depth: int) -> list[tuple[int, int]]:
        return [
            (image_id, label)
            for ranking, given_labels in self.stack[:depth]
            for image_id in ranking
            if (label := given_labels.get(image_id)) is not None
        ]

    @property
    def skipped(self) -> set[int]:
        return {
            i
            for _, given_labels in self.stack
            for i, label in given_labels.items()
            if label is None
        }

    @property
    def pool(self) -> set[int]:
        return set(POOL) - {image_id for image_id, _ in self.labels} - self.skipped

    def submit(self, answers: list[Answer]) -> None:
        assert self.open_ranking is not None
        given_labels = {answer.image_id: answer.label for answer in answers}
        self.stack.append((self.open_ranking, given_labels))
        self.open_ranking = None

    def undo(self) -> None:
        self.measured.pop(len(self.stack), None)
        self.open_ranking = self.stack.pop()[0]


def check(log: RunState, naive: Naive) -> None:
    """The log's state is the naive one, and its sets are disjoint."""
    labelled = [image_id for image_id, _ in log.labels()]
    assert len(set(labelled)) == len(labelled)
    assert not log.skipped & set(labelled)
    assert POOL - set(labelled) - log.skipped == naive.pool
    assert log.labels() == naive.labels
    assert log.skipped == naive.skipped
    assert log.n_labelled == N_INITIAL + len(naive.labels)
    ranking = log.open_query.ranking if log.open_query else None
    assert ranking == naive.open_ranking
    if log.open_query:
        assert set(log.open_query.ranking) <= naive.pool
        assert log.open_query.after == log.after
        if not log.corrections:  # which leave it open
            assert log.open_query.n_labelled == log.n_labelled
    expected: dict[int, tuple[float, bool]] = {}
    for depth, (n_labelled, accuracy, labels) in naive.measured.items():
        is_before = labels != naive.labels_at(depth)
        # of equal numbers of labels the newest counts
        if accuracy > expected.get(n_labelled, (0.0, False))[0]:
            expected[n_labelled] = (accuracy, is_before)
    steps = {step.n_labelled: (step.accuracy, log.is_before_correction(step)) for step in log.steps}
    assert steps == expected
    assert [step.n_labelled for step in log.steps] == sorted(expected)
    for step in log.steps:
        assert log.n_labelled_at(step.after, step.corrected) == step.n_labelled


def play(driver: Driver, actions: list[tuple[str, int]]) -> Naive:
    """Drive both with the same actions, comparing after each."""
    naive = Naive()
    taken_back = 0
    for turn, (action, seed) in enumerate(actions):
        log = driver.log()
        chance = random.Random(seed)
        if action == "submit":
            if log.open_query is None and naive.pool:
                ranking = chance.sample(sorted(naive.pool), min(RANKED, len(naive.pool)))
                query = new_query(
                    ranking,
                    n_labelled=log.n_labelled,
                    after=log.after,
                    batch_size=BATCH,
                    corrected=log.corrected,
                )
                driver.ask(query)
                naive.open_ranking = query.ranking
            query_now = driver.log().open_query
            if query_now is not None and chance.random() < 0.9:  # else it stays open
                skipped = [i for i in query_now.ranking if chance.random() < 0.25]
                answers = answers_to(query_now, skipped, offset=chance.randrange(10))
                chance.shuffle(answers)
                driver.submit(query_now, answers)
                naive.submit(answers)
        elif action == "measure":
            accuracy = (turn + 1) / 1000  # grows, so that the newest is the largest
            driver.measure(new_result(log.n_labelled, log.after, accuracy, log.corrected))
            naive.measured[len(naive.stack)] = (log.n_labelled, accuracy, naive.labels)
        elif action == "correct" and naive.stack:
            given_labels = chance.choice(naive.stack)[1]
            image_id = chance.choice(sorted(given_labels))
            label = chance.choice([one for one in (None, 1, 2) if one != given_labels[image_id]])
            driver.correct(image_id, label)
            given_labels[image_id] = label
            taken_back += 1
        elif action == "undo" and naive.stack:
            driver.undo()
            naive.undo()
            taken_back += 1
        check(driver.log(), naive)
        assert driver.log().revision == taken_back
    return naive


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "submit", "measure", "correct", "undo"]),
        st.integers(0, 2**16),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(ACTIONS)
def test_the_state_agrees_with_a_naive_model(actions: list[tuple[str, int]]) -> None:
    play(Rows(), actions)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(ACTIONS)
def test_the_store_agrees_with_a_naive_model(actions: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as home:
        driver = Stored(home)
        play(driver, actions)
        driver.store.close()


def answer_in_turn(driver: Driver, undos: Collection[int], n: int) -> RunState:
    """`n` submissions fixed by what is already labelled; some are undone and given again."""
    undos = set(undos)
    while len(driver.log().submissions) < n:
        log = driver.log()
        done = len(log.submissions)
        if log.open_query is None:
            gone = {image_id for image_id, _ in log.labels()} | log.skipped
            order = sorted(POOL - gone, key=lambda i: (i * 17 + done) % 41)
            ranking = order[:RANKED]
            driver.ask(
                new_query(ranking, n_labelled=log.n_labelled, after=log.after, batch_size=BATCH)
            )
        query = driver.log().open_query
        assert query is not None
        skipped = [image_id for image_id in query.ranking if image_id % 7 == 0]
        driver.submit(query, answers_to(query, skipped))
        if done in undos:
            undos.remove(done)
            for _ in range(1 + done // 2):  # sometimes further back than the last
                driver.undo()
    return driver.log()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.sets(st.integers(0, 5)))
def test_undo_then_the_same_answers_equals_never_undone(undos: set[int]) -> None:
    undone, straight = answer_in_turn(Rows(), undos, 6), answer_in_turn(Rows(), (), 6)
    assert undone.labels() == straight.labels()
    assert undone.skipped == straight.skipped
    assert undone.n_labelled == straight.n_labelled
    assert (undone.revision > 0) == bool(undos)


@pytest.mark.parametrize("undos", [(), (5,), (1, 3)])
def test_undo_then_the_same_answers_equals_never_undone_on_disk(
    tmp_path: Path, undos: tuple[int, ...]
) -> None:
    undone = answer_in_turn(Stored(str(tmp_path)), undos, 6)
    straight = answer_in_turn(Rows(), (), 6)
    assert undone.labels() == straight.labels()
    assert (undone.revision > 0) == bool(undos)


def test_of_an_initial_set_that_holds_an_image_twice_both_labels_count() -> None:
    rows = Rows()  # N_INITIAL counts labels, whatever images they are of
    query = new_query(range(10), batch_size=BATCH)
    rows.ask(query)
    rows.submit(query, answers_to(query))
    assert rows.log().n_labelled == N_INITIAL + BATCH
    assert rows.log().n_labelled_at(0) == N_INITIAL


def test_of_two_open_queries_for_a_state_the_newest_counts() -> None:
    rows = Rows()
    older, newer = new_query(), new_query()
    rows.ask(older)
    rows.ask(newer)
    assert rows.log().open_query == newer
    assert list(rows.log().queries) == [newer.query_id]


def a_failure(rows: Rows, retried: bool = False) -> Failure:
    """What the store would write now."""
    n_changes = len(rows.submissions) + len(rows.retracted) + len(rows.corrections)
    return Failure("OSError: no", "", n_changes, retried)


def test_a_failure_stands_until_there_are_new_labels_or_somebody_tries_again() -> None:
    rows = Rows()
    query = new_query(range(10), batch_size=BATCH)
    rows.ask(query)
    rows.submit(query, answers_to(query))
    for clear in (
        lambda: rows.correct(0, 9),
        rows.undo,
        lambda: rows.submit(rows.queries[-1], answers_to(rows.queries[-1])),
    ):
        rows.failure = a_failure(rows)
        rows.measure(new_result(rows.log().n_labelled, rows.log().after))  # clears nothing
        assert rows.log().failure == rows.failure
        clear()
        assert rows.log().failure is None
    rows.failure = a_failure(rows, retried=True)
    assert rows.log().failure is None
