"""How long the rest of a run will take."""

from __future__ import annotations

import pytest

from dal_core.experiments.forecast import RECENT, duration, seconds_left


def test_nothing_is_foretold_before_anything_was_measured() -> None:
    assert seconds_left([], [20, 30]) is None


def test_nothing_left_takes_no_time() -> None:
    assert seconds_left([(20, 1.0)], []) == 0


def test_one_step_is_continued_with_the_usual_growth() -> None:
    assert seconds_left([(20, 1.1)], [20, 240]) == pytest.approx(1.1 + 2.2)


def test_a_straight_line_is_continued_exactly() -> None:
    points = [(n, 0.5 + 0.01 * n) for n in (20, 30, 40, 50)]
    assert seconds_left(points, [60, 70]) == pytest.approx(1.1 + 1.2)


def test_noise_never_foretells_steps_faster_than_any_measured() -> None:
    points = [(20, 3.0), (30, 2.0), (40, 1.0)]  # a line through these ends below zero
    assert seconds_left(points, [100, 200]) == pytest.approx(2.0)


def test_what_is_long_past_is_forgotten() -> None:
    old = [(20 + 10 * k, 9.0) for k in range(10)]
    recent = [(120 + 10 * k, 1.0) for k in range(RECENT)]
    assert seconds_left(old + recent, [400]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((None, ""), (5.4, "5 s"), (40, "40 s"), (200, "3 min 20 s"), (599.8, "10 min 00 s")),
        *((720, "12 min"), (3909, "1 h 05 min"), (11_100, "3 h 05 min"), (187_200, "2 d 4 h")),
    ],
)
def test_a_duration_is_said_in_two_units_at_most(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
