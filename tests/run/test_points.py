"""Which measurements a strict run still lacks, and what it does about them, in which order."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from dal_core.run.events import Answer, Correction, Query, StepResult, Submission
from dal_core.run.next_task import Task, next_task, person_waits
from dal_core.run.rows import RunRow
from dal_core.run.state import RunState
from tests.store_kit import N_INITIAL, new_query, new_result, spec

PERSON = RunRow("run-1", "", "person", False, spec(), N_INITIAL, {"pool": 3000}, {}, "")


def a_query(k: int, corrected: int = 0) -> Query:
    ranking = range(100 * k, 100 * k + 10)
    return new_query(ranking, n_labelled=N_INITIAL + 10 * k, after=k, corrected=corrected)


def a_log(
    measured: tuple[int, ...],
    run: RunRow = PERSON,
    *,
    skipped: tuple[int, ...] = (),
    corrected: int = 0,
    **events: Any,
) -> RunState:
    """Three answered queries of ten, the fourth open; submission k + 1 answers query k."""
    queries = [a_query(0), a_query(1), a_query(2, corrected), a_query(3, corrected)]
    submissions = [
        Submission(
            k + 1,
            query.query_id,
            "ann",
            "person",
            "",
            tuple(Answer(i, None if k in skipped else 1) for i in query.ranking),
        )
        for k, query in enumerate(queries[:3])
    ]
    given = {"retracted": (), "corrections": (), **events}
    steps = tuple(a_step(after) for after in measured)
    return RunState.from_events(run, queries=queries, submissions=submissions, steps=steps, **given)


def a_step(after: int) -> StepResult:
    return new_result(N_INITIAL + 10 * after, after)


def test_every_model_that_asked_and_was_not_measured_is_named_oldest_first() -> None:
    assert a_log(()).unmeasured == ((0, 0), (1, 0), (2, 0))
    assert a_log((1,)).unmeasured == ((0, 0), (2, 0))
    assert a_log((0, 1, 2)).unmeasured == ()


def test_an_undone_submission_needs_no_measurement_but_the_model_it_answered_may() -> None:
    log = a_log((0, 1), retracted=(3,))
    assert (log.after, log.unmeasured) == (2, ())  # the model of now is measured as always
    assert next_task(log).task is Task.QUERY


def test_an_earlier_model_is_measured_with_the_labels_that_its_query_was_made_with() -> None:
    early = Correction(1, 1, 3, 7, before=None, annotator="ann", at="")
    late = Correction(2, 1, 4, 7, before=None, annotator="ann", at="")
    log = a_log((0,), corrected=1, corrections=(early, late))
    assert log.unmeasured == ((1, 0), (2, 1))


def test_a_measurement_before_a_correction_counts() -> None:
    later = Correction(1, 1, 3, 7, before=None, annotator="ann", at="")
    assert a_log((0, 1, 2), corrections=(later,)).unmeasured == ()


def test_a_model_whose_point_would_not_be_on_the_curve_is_left_out() -> None:
    log = a_log((), skipped=(1,))  # the second batch has no label: as many labels as before
    assert log.unmeasured == ((0, 0), (2, 0))


def test_in_continuous_mode_the_curve_keeps_its_gaps() -> None:
    assert a_log((), dataclasses.replace(PERSON, mode="continuous")).unmeasured == ()


def test_a_fork_does_not_measure_what_it_shares_with_its_origin() -> None:
    fork = dataclasses.replace(PERSON, forked_from="run-0", forked_labels=N_INITIAL + 10)
    assert a_log((), fork).unmeasured == ((1, 0), (2, 0))  # from the fork itself on


def test_an_earlier_state_needs_nothing_of_what_came_later() -> None:
    assert a_log(()).until(1).unmeasured == ()


@pytest.mark.parametrize(
    ("measured", "task"),
    [((), Task.EVALUATE), ((3,), Task.MAKE_UP), ((0, 1, 2, 3), Task.WAIT)],
)
def test_earlier_measurements_are_made_up_last_and_nobody_waits_for_them(
    measured: tuple[int, ...], task: Task
) -> None:
    log = a_log(measured)
    assert next_task(log).task is task
    assert person_waits(log) is (task is not Task.MAKE_UP)
    unasked = dataclasses.replace(log, open_query=None)
    assert next_task(unasked).task is Task.QUERY and person_waits(unasked)
    paused = dataclasses.replace(log, run=dataclasses.replace(PERSON, paused=True))
    assert next_task(paused).task is Task.NOTHING
    handed_over = dataclasses.replace(log, run=dataclasses.replace(PERSON, oracle_until=999))
    expected = Task.EVALUATE if task is Task.EVALUATE else Task.ANSWER
    assert next_task(handed_over).task is expected


def test_a_run_that_is_over_makes_up_what_it_lacks_and_is_over_all_the_while() -> None:
    over = dataclasses.replace(PERSON, until_labels=N_INITIAL + 30)
    for measured, task in (((1, 3), Task.MAKE_UP), ((0, 1, 2, 3), Task.NOTHING)):
        found = next_task(a_log(measured, over))
        assert found.task is task
        assert found.finished == f"the label budget of {N_INITIAL + 30} is used"
