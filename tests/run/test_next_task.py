"""The next task: the order of asking, measuring and answering, and the end of a run."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.run.events import Answer, Correction, Failure, Query, StepResult, Submission
from dal_core.run.next_task import Task, answers_itself, next_task
from dal_core.run.rows import RunRow
from dal_core.run.state import RunState
from dal_core.run.stop_rules import finished
from tests import fast


def a_run(acquisition: str = "bald", **directives: Any) -> RunRow:
    """A run of five steps of ten."""
    values: dict[str, Any] = {
        "run_id": "bald-s1",
        "title": "",
        "kind": "oracle",
        "baseline": False,
        "spec": RunSpec("f", fast.protocol(), acquisition, 1),
        "n_initial": 20,
        "split_sizes": {"pool": 4000},
        "versions": {},
        "created_at": "2026-01-01T00:00:00.000Z",
    }
    return RunRow(**{**values, **directives})


def a_log(
    run: RunRow,
    answered: int = 0,
    evaluated: bool = False,
    asked: bool = False,
    corrections: tuple[Correction, ...] = (),
) -> RunState:
    """The log after `answered` queries of ten, measured before any correction."""
    queries = [
        Query(
            str(k), 20 + 10 * k, 20 + 10 * k, tuple(range(10 * k, 10 * k + 10)), (0.5,) * 10, 10, k
        )
        for k in range(answered + 1)
    ]
    submissions = tuple(
        Submission(k + 1, query.query_id, "ana", "person", "", answers(query))
        for k, query in enumerate(queries[:answered])
    )
    n = 20 + 10 * answered
    step = StepResult(
        answered, n, accuracy=0.8, mutual_information=0.1, train_loss=0, after=answered
    )
    return RunState(
        run=run,
        submissions=submissions,
        n_retracted=0,
        open_query=queries[-1] if asked else None,
        queries={query.query_id: query for query in queries},
        steps=(step,) if evaluated else (),
        n_labelled=n,
        skipped=frozenset(),
        after=answered,
        revision=0,
        corrections=corrections,
    )


def answers(query: Query) -> tuple[Answer, ...]:
    return tuple(Answer(image_id, 1) for image_id in query.ranking)


PERSON: dict[str, Any] = {"kind": "person"}
ORACLE: dict[str, Any] = {"kind": "oracle", "oracle_until": 1000}


@pytest.mark.parametrize(
    ("run", "evaluated", "asked", "task"),
    [
        # A person is asked first, and the model measured while they label.
        (PERSON, False, False, Task.QUERY),
        (PERSON, False, True, Task.EVALUATE),
        (PERSON, True, True, Task.WAIT),
        (PERSON, True, False, Task.QUERY),
        # The oracle's run is measured first: the measurement may end it.
        (ORACLE, False, False, Task.EVALUATE),
        (ORACLE, True, False, Task.QUERY),
        (ORACLE, True, True, Task.ANSWER),
        # A person's run while the oracle answers for them.
        ({**ORACLE, "kind": "person"}, False, True, Task.EVALUATE),
        ({**ORACLE, "kind": "person"}, True, True, Task.ANSWER),
        # An oracle's run that has been brought as far as it was asked to.
        ({**ORACLE, "oracle_until": 30}, False, False, Task.EVALUATE),
        ({**ORACLE, "oracle_until": 30}, True, False, Task.NOTHING),
    ],
)
def test_the_next_task_follows_from_the_log(
    run: dict[str, Any], evaluated: bool, asked: bool, task: Task
) -> None:
    next_up = next_task(a_log(a_run(**run), 1, evaluated, asked))
    assert next_up.task is task
    assert next_up.finished is None
    assert next_up.has_work is (task not in (Task.WAIT, Task.NOTHING))


@pytest.mark.parametrize("run", [PERSON, ORACLE])
@pytest.mark.parametrize("evaluated", [False, True])
def test_a_paused_run_needs_nothing(run: dict[str, Any], evaluated: bool) -> None:
    log = a_log(a_run(**run, paused=True), 1, evaluated)
    assert next_task(log).task is Task.NOTHING


def test_the_oracle_answers_while_there_are_fewer_labels_than_it_was_asked_for() -> None:
    for until, answers in ((None, False), (30, False), (31, True), (40, True)):
        assert answers_itself(a_log(a_run(oracle_until=until), 1)) is answers


@pytest.mark.parametrize("kind", ["person", "oracle"])
@pytest.mark.parametrize(
    ("directives", "answered", "reason"),
    [
        ({}, 5, "all 5 acquisition steps are done"),
        ({"until_labels": 40}, 2, "the label budget of 40 is used"),
        ({"until_labels": 45}, 2, "the label budget of 45 is used"),
        ({"split_sizes": {"pool": 20}}, 2, "every image of the pool was asked for"),
        ({"acquisition": FULL_DATA}, 0, "the bound is trained on all 20 images"),
    ],
)
def test_a_run_that_is_over_is_measured_once_more_and_says_why(
    kind: str, directives: dict[str, Any], answered: int, reason: str
) -> None:
    run = a_run(**{"kind": kind, "oracle_until": 1000, **directives})
    if answered:
        assert finished(a_log(run, answered - 1, evaluated=True)) is None
    before, after = (next_task(a_log(run, answered, evaluated)) for evaluated in (False, True))
    assert (before.task, before.finished) == (Task.EVALUATE, reason)
    assert (after.task, after.finished) == (Task.NOTHING, reason)


def test_a_target_accuracy_ends_the_run_once_it_was_measured() -> None:
    run = a_run(**ORACLE, until_accuracy=0.8)
    assert finished(a_log(run, 2)) is None
    assert finished(a_log(run, 2, evaluated=True)) == "the target accuracy of 80.0% is reached"
    assert finished(a_log(a_run(until_accuracy=0.81), 2, evaluated=True)) is None


def test_the_accuracy_of_an_earlier_model_does_not_end_the_run() -> None:
    run = a_run(**ORACLE, until_accuracy=0.8)
    measured, now = a_log(run, 1, evaluated=True), a_log(run, 2)
    log = dataclasses.replace(now, steps=measured.steps)
    assert finished(log) is None
    assert next_task(log).task is Task.EVALUATE


CORRECTION = Correction(1, 1, 3, 7, before=1, annotator="ana", at="")


@pytest.mark.parametrize(
    ("run", "asked", "task"),
    [
        (PERSON, True, Task.WAIT),  # the next fit has the corrected label
        (ORACLE, True, Task.ANSWER),
        (ORACLE, False, Task.EVALUATE),
    ],
)
def test_a_correction_leaves_a_query_open_and_asks_for_no_fit_before_the_next(
    run: dict[str, Any], asked: bool, task: Task
) -> None:
    log = a_log(a_run(**run), 2, evaluated=True, asked=asked, corrections=(CORRECTION,))
    assert next_task(log).task is task


@pytest.mark.parametrize("run", [PERSON, ORACLE])
def test_a_finished_run_is_measured_once_more_after_a_correction(run: dict[str, Any]) -> None:
    log = a_log(a_run(**run), 5, evaluated=True, corrections=(CORRECTION,))
    assert next_task(log).task is Task.EVALUATE
    again = tuple(dataclasses.replace(step, corrected=1) for step in log.steps)
    assert next_task(dataclasses.replace(log, steps=again)).task is Task.NOTHING


def test_a_label_taken_away_from_a_finished_run_is_no_reason_for_another_step() -> None:
    log = a_log(a_run(**ORACLE), 5, evaluated=True, corrections=(CORRECTION,))
    fewer = dataclasses.replace(log, n_labelled=69)
    assert finished(fewer) == "all 5 acquisition steps are done"


CONTINUOUS: dict[str, Any] = {"kind": "person", "mode": "continuous"}


@pytest.mark.parametrize(
    ("ranked", "evaluated", "asked", "task"),
    [
        (False, False, True, Task.RANK),  # an older model's query is open, nobody waits
        (False, False, False, Task.RANK),
        (False, True, True, Task.RANK),
        (True, False, True, Task.EVALUATE),
        (True, True, True, Task.WAIT),
    ],
)
def test_in_continuous_mode_a_model_of_all_labels_ranks_and_is_then_measured(
    ranked: bool, evaluated: bool, asked: bool, task: Task
) -> None:
    log = a_log(a_run(**CONTINUOUS), 1, evaluated, asked)
    assert next_task(dataclasses.replace(log, is_ranked=ranked)).task is task


def test_in_continuous_mode_the_last_model_is_measured_and_ranks_nothing() -> None:
    log = a_log(a_run(**CONTINUOUS), 5)
    assert next_task(log).task is Task.EVALUATE
    assert next_task(a_log(a_run(**CONTINUOUS), 5, evaluated=True)).task is Task.NOTHING


def test_an_oracle_in_a_continuous_run_answers_as_in_a_strict_one() -> None:
    run = a_run(**CONTINUOUS, oracle_until=1000)
    for evaluated, asked, task in (
        (False, False, Task.EVALUATE),
        (True, False, Task.QUERY),
        (True, True, Task.ANSWER),
    ):
        assert next_task(a_log(run, 1, evaluated, asked)).task is task


@pytest.mark.parametrize("run", [PERSON, ORACLE, {**PERSON, "mode": "continuous"}])
@pytest.mark.parametrize(("evaluated", "asked"), [(False, False), (True, True)])
def test_a_run_that_failed_has_no_work(run: dict[str, Any], evaluated: bool, asked: bool) -> None:
    log = a_log(a_run(**run), 1, evaluated, asked)
    failed = dataclasses.replace(log, failure=Failure("OSError: no", "", 1))
    assert next_task(failed).task is Task.NOTHING
