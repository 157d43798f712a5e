"""The one rule for titles and people's names, and how text from outside is shown."""

from __future__ import annotations

from typing import Any

import pytest

from dal_core.limits.text import MAX_NAME, clean_name, clean_title, name_from, shown, visible


@pytest.mark.parametrize("name", ["me", "Zoë 😀", "میخواهم", "x" * MAX_NAME, "a<b>&amp;c", "1"])
def test_an_ordinary_name_is_kept_as_it_is(name: str) -> None:
    assert clean_name(name, "title") == name


def test_blanks_at_the_ends_are_dropped() -> None:
    assert clean_name(" \t my run\n", "title") == "my run"


@pytest.mark.parametrize("name", ["", "   ", "\u200b", "\u3000", "\n"])
def test_a_name_in_which_nothing_can_be_seen_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^annotator is .*; allowed: a name that is not blank$"):
        clean_name(name, "annotator")


@pytest.mark.parametrize(
    "name", ["a\x1b[2Jb", "a\nb", "a\0b", "a\x7fb", "a\x9bb", "a\u2028b", "a\ud800b", "a\u202eb"]
)
def test_a_character_that_controls_a_terminal_or_the_direction_is_refused(name: str) -> None:
    with pytest.raises(ValueError) as caught:
        clean_name(name, "title")

    message = str(caught.value)
    assert message.endswith("allowed: no control characters")
    assert message.isprintable() and "U+" in message


def test_a_name_longer_than_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="title has 201 characters; allowed: at most 200"):
        clean_name("x" * (MAX_NAME + 1), "title")


@pytest.mark.parametrize("name", [None, 7, b"me", ["me"]])
def test_a_name_that_is_not_text_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="; allowed: text"):
        clean_title(name)


def test_a_title_may_be_blank_and_is_then_none() -> None:
    assert clean_title("  ") == "" and clean_title(" a ") == "a"


def test_a_name_made_from_a_files_name_is_always_accepted() -> None:
    for text in ("replay of a\x1b[2J\n.csv", "replay of " + "x" * 300, "replay of " + " " * 300):
        assert clean_name(name_from(text), "title") == name_from(text)
    assert name_from("replay of labels.csv") == "replay of labels.csv"


def test_visible_text_is_one_line_that_can_be_printed_and_written() -> None:
    assert visible("a\x1b[2J\n\ud800é") == r"a\x1b[2J\n\ud800é"
    visible("\ud800").encode()


def test_a_shown_value_is_short_and_one_line_whatever_it_is() -> None:
    nest: list[Any] = []
    for _ in range(100_000):
        nest = [nest]
    for value in (10**5000, "x" * 10_000, "a\nb", nest, b"\x1b", object()):
        assert len(shown(value)) <= 60 and shown(value).isprintable()
