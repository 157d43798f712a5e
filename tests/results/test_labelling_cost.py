"""What labelling cost: along the curve, image by image, and nothing where nobody measured it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dal_core.results.labelling_cost import MOST_SECONDS, labelling_minutes, labelling_seconds
from dal_core.run.events import Answer
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from tests.store_kit import ask, give, new_result, new_run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def answer(store: Store, run_id: str, first: int, seconds: float | None) -> int:
    """Ten labels and a skipped image, each in so many seconds; the state they lead to."""
    query = ask(store, run_id, range(first, first + 20))
    given = [Answer(first, None, seconds)]
    given += [Answer(first + k, 1, seconds) for k in range(1, 11)]
    give(store, query, given)
    return store.log(run_id).after


def test_minutes_add_up_along_the_measured_steps(store: Store) -> None:
    run_id = new_run(store).run_id
    states = [0, answer(store, run_id, 0, 3.0), answer(store, run_id, 50, None)]
    states.append(answer(store, run_id, 100, 6.0))
    for k in (0, 1, 3):  # a gap at two
        store.add_step(run_id, new_result(20 + 10 * k, states[k]))
    log = store.log(run_id)
    assert labelling_minutes(log) == pytest.approx({20: 0, 30: 33 / 60, 50: 99 / 60})
    assert labelling_seconds(log)
    seconds = labelling_seconds(log)
    assert list(seconds)[:2] == [0, 1] and seconds[105] == 6.0
    assert 55 not in seconds


def test_a_batch_taken_back_costs_nothing(store: Store) -> None:
    run_id = new_run(store).run_id
    answer(store, run_id, 0, 3.0)
    store.undo(run_id)
    assert labelling_seconds(store.log(run_id)) == {}


def test_the_oracle_takes_no_time(store: Store) -> None:
    run_id = new_run(store).run_id
    state = answer(store, run_id, 0, None)
    store.add_step(run_id, new_result(30, state))
    log = store.log(run_id)
    assert not labelling_seconds(log)
    assert labelling_minutes(log) == {30: 0}


def test_minutes_never_fall_when_labels_are_taken_away(store: Store) -> None:
    """Twelve labels of the first two batches become "can't tell": the third makes 38, not 50."""
    run_id = new_run(store).run_id
    states = [0, answer(store, run_id, 0, 3.0), answer(store, run_id, 50, 3.0)]
    for n_labelled, state in zip((20, 30, 40), states, strict=True):
        store.add_step(run_id, new_result(n_labelled, state))
    for image_id in [*range(1, 11), 51, 52]:
        store.correct(run_id, image_id, None, annotator="Ann")
    states.append(answer(store, run_id, 100, 6.0))
    corrected = store.log(run_id).corrected
    store.add_step(run_id, replace(new_result(38, states[-1]), corrected=corrected))
    log = store.log(run_id)
    minutes = labelling_minutes(log)
    assert minutes == pytest.approx({20: 0, 30: 33 / 60, 38: 132 / 60})  # what was spent stays
    assert list(minutes.values()) == sorted(minutes.values())
    assert log.steps[-1].after == log.after  # the newest network is the last of the curve


def test_a_break_with_the_page_open_is_not_counted_beyond_the_cap(store: Store) -> None:
    run_id = new_run(store).run_id
    state = answer(store, run_id, 0, 1800.0)
    store.add_step(run_id, new_result(30, state))
    log = store.log(run_id)
    assert set(labelling_seconds(log).values()) == {MOST_SECONDS}
    assert labelling_minutes(log) == {30: pytest.approx(11 * MOST_SECONDS / 60)}
    (stored,) = {one.seconds for one in log.submissions[0].answers}
    assert stored == 1800.0  # the log keeps what was measured
