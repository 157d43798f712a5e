"""Text from people and files in Markdown, LaTeX and spreadsheets."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from dal_core.limits.escaping import latex, markdown, spreadsheet_plain, spreadsheet_safe
from dal_core.limits.text import visible

READER = MarkdownIt("commonmark").enable("table")
MARKUP = st.text("ab1 \\`*_{}[]()#+-.!<>|~$&;:/=@'\"\n\t", max_size=20)


def inline(source: str) -> list[Token]:
    """The parts of the text in a document of one item or cell."""
    return [part for token in READER.parse(source) for part in token.children or []]


@given(MARKUP | st.text(max_size=20))
def test_markdown_shows_any_text_as_it_is_in_an_item_of_a_list(text: str) -> None:
    parts = inline(f"- {markdown(text)}")
    assert {part.type for part in parts} <= {"text", "text_special"}
    shown = "".join(part.content for part in parts)
    assert shown.strip() == visible(text).strip()  # Markdown trims the ends of a line


@given(MARKUP)
def test_markdown_shows_any_text_as_it_is_in_a_cell(text: str) -> None:
    parts = inline(f"| head | second |\n|---|---|\n| {markdown(text)} | 2 |")
    assert {part.type for part in parts} <= {"text", "text_special"}
    shown = "".join(part.content for part in parts)
    shown = shown.removeprefix("headsecond").removesuffix("2")
    assert shown.strip() == visible(text).strip()


@pytest.mark.parametrize("text", ["http://host/f.png", "www.host.org", "ftp://host", "HTTPS://h"])
def test_markdown_breaks_addresses_that_some_readers_turn_into_links(text: str) -> None:
    assert not re.search(r"://|www\.", markdown(text), re.IGNORECASE)


def test_markdown_leaves_plain_sentences_as_they_are() -> None:
    sentence = "BALD: 3 of 4 (mean ± 1.5), 50% of 100."
    assert markdown(sentence) == sentence


def test_latex_gives_every_special_character_its_command() -> None:
    assert latex(r"50% & a_b #1 {x} ~^\ ± $") == (
        r"50\% \& a\_b \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{} $\pm$ \$"
    )


@pytest.mark.parametrize(("text", "safe"), [("[3pt] a", "{[}3pt] a"), ("*a", "{*}a"), ("", "")])
def test_latex_at_the_start_of_a_row_is_not_an_option_of_the_row_before(
    text: str, safe: str
) -> None:
    assert latex(text) == safe


@given(st.text(max_size=20))
def test_latex_stays_on_one_line(text: str) -> None:
    assert len(latex(text).splitlines()) <= 1


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "'", "'="])
def test_text_that_a_spreadsheet_calculates_is_quoted(start: str) -> None:
    assert spreadsheet_safe(start + "1") == "'" + start + "1"


@given(st.text() | st.text("=+-@\t\r'", max_size=4))
def test_the_text_of_a_cell_can_be_had_back(text: str) -> None:
    assert spreadsheet_plain(spreadsheet_safe(text)) == text


@pytest.mark.parametrize("value", ["Zoë", "", "a=b", -1.5, 3, None])
def test_anything_else_is_left_as_it_is(value: object) -> None:
    assert spreadsheet_safe(value) == value
