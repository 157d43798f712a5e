"""The code of a shared server: what opens it, and how often it can be tried."""

from __future__ import annotations

import pytest

from dal_ui.server.code import (
    MAX_TOKENS,
    TRIES_IN_ALL,
    TRIES_PER_ADDRESS,
    WINDOW_SECONDS,
    Gate,
)


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> Gate:
    return Gate("AB3CD-EF4GH", clock)


def test_the_right_code_gives_a_token_of_its_own_each_time(gate: Gate) -> None:
    tokens = {gate.enter(typed, "a") for typed in ("AB3CD-EF4GH", "ab3cdef4gh", " ab3cd ef4gh ")}
    assert len(tokens) == 3 and all(gate.knows(token) for token in tokens)
    assert not gate.knows(None) and not gate.knows("") and not gate.knows("AB3CDEF4GH")


@pytest.mark.parametrize("typed", ["", "AB3CD", "AB3CD-EF4GH-A", "ＡＢ", "\x00", "é" * 60])
def test_a_wrong_code_gives_none(gate: Gate, typed: str) -> None:
    assert gate.enter(typed, "a") is None


def test_a_code_without_a_letter_or_digit_is_refused() -> None:
    with pytest.raises(ValueError, match="letters and digits"):
        Gate(" - ")


def test_an_address_waits_after_too_many_wrong_codes_and_others_do_not(
    gate: Gate, clock: Clock
) -> None:
    for _ in range(TRIES_PER_ADDRESS):
        assert gate.seconds_to_wait("10.0.0.1") == 0
        assert gate.enter("wrong", "10.0.0.1") is None
        clock.now += 1
    assert gate.seconds_to_wait("10.0.0.1") == WINDOW_SECONDS - TRIES_PER_ADDRESS + 1
    assert gate.enter("AB3CDEF4GH", "10.0.0.1") is None  # the right one too: it might be guessed
    assert gate.enter("AB3CDEF4GH", "10.0.0.2") is not None
    clock.now += WINDOW_SECONDS
    assert gate.enter("AB3CDEF4GH", "10.0.0.1") is not None


def test_everybody_waits_after_too_many_wrong_codes_from_many_addresses(
    gate: Gate, clock: Clock
) -> None:
    inside = gate.enter("AB3CDEF4GH", "10.0.0.1")
    for n in range(TRIES_IN_ALL):
        assert gate.enter("wrong", f"10.0.1.{n}") is None
    assert gate.enter("AB3CDEF4GH", "10.0.0.1") is None
    assert gate.knows(inside)  # who is inside stays
    clock.now += WINDOW_SECONDS
    assert gate.enter("AB3CDEF4GH", "10.0.0.1") is not None


def test_the_addresses_of_one_ipv6_network_count_as_one(gate: Gate) -> None:
    for n in range(TRIES_PER_ADDRESS):
        assert gate.enter("wrong", f"2001:db8::{n:x}") is None
    assert gate.seconds_to_wait("2001:db8::ffff") and not gate.seconds_to_wait("2001:db8:1::1")
    for _ in range(TRIES_PER_ADDRESS):
        assert gate.enter("wrong", "::ffff:10.0.0.9") is None
    assert gate.seconds_to_wait("10.0.0.9") and not gate.seconds_to_wait("::ffff:10.0.0.8")


def test_tokens_do_not_grow_without_end(gate: Gate) -> None:
    first = gate.enter("AB3CDEF4GH", "a")
    others = [gate.enter("AB3CDEF4GH", "a") for _ in range(MAX_TOKENS)]
    assert not gate.knows(first) and gate.knows(others[0]) and gate.knows(others[-1])
