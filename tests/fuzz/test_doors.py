"""Whatever comes through a door is used, or refused in one line, quickly and in little memory.

The inputs are the same in every run: Hypothesis draws them from the test's name. The long form
tries more than 100,000.
"""

from __future__ import annotations

import gc
import resource
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from dal_core.limits.text import visible
from tests.fuzz.doors import DOORS, Door

N_SHORT = 60
MOST_SECONDS, MOST_MEMORY = 1.0, 100 * 1024  # memory in KiB, as Linux counts it
MOST_CHARACTERS = 1_500


def enter(door: Door, given: Any) -> None:
    gc.disable()  # it would count what Hypothesis keeps of earlier inputs
    begun, memory = time.thread_time(), most_memory()
    try:
        door.enter(given)
    except door.refuses as error:
        message = str(error)
        assert message and visible(message) == message, f"not one line: {message!r}"
        assert len(message) <= MOST_CHARACTERS
        message.encode()
    finally:
        gc.enable()
    assert time.thread_time() - begun < MOST_SECONDS
    assert most_memory() - memory < MOST_MEMORY


def most_memory() -> int:
    """The most memory that this process has had so far, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def attempt(name: str, n_inputs: int) -> None:
    """Give the door of that name so many inputs."""
    door = DOORS[name]

    @settings(
        max_examples=n_inputs,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(door.inputs)
    def every_input(given: Any) -> None:
        enter(door, given)

    every_input()


@pytest.mark.parametrize("name", DOORS)
def test_outside_input_is_used_or_refused_in_one_line(name: str) -> None:
    attempt(name, N_SHORT)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a door takes one to three minutes on a core of its own
@pytest.mark.parametrize("name", DOORS)
def test_very_much_outside_input_is_used_or_refused_in_one_line(name: str) -> None:
    attempt(name, DOORS[name].n_long)


def test_the_long_form_tries_more_than_a_hundred_thousand_inputs() -> None:
    assert sum(door.n_long for door in DOORS.values()) > 100_000
