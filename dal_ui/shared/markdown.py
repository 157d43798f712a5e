"""Text from people, files and errors, made safe for Markdown.

The rule: what a page did not write itself passes `plain` (a table: `plain_table`) before it reaches
a Streamlit element that renders Markdown. It is then shown as it is: no link, no image, no format.
"""

from __future__ import annotations

import re

import pandas as pd

from dal_core.limits.text import visible

JOINER = "\u2060"  # invisible; parts what Streamlit would join to an icon, an emoji or a link
_MARKUP = re.compile(
    r"""
    \\(?=[!-/:-@\[-`{-~])       # a backslash that escapes
    | [`*$~]
    | (?<![^\W_])_ | _(?![^\W_])   # not the one inside n_epochs
    | !(?=\[) | ^\[ | \[(?=[^\]]*\][(\[]) | \](?=[(\[])  # images, links
    | <(?=[A-Za-z/!?])             # tags
    | &(?=\#?\w+;)                 # entities
    | ^[\#>+=-] | (?<=^\d)[.)]     # what begins a heading, a quotation or a list
    """,
    re.VERBOSE,
)
_JOINED = re.compile(r":(?=[\w+/\[-])|@(?=\w)|(?<=www)(?=\.)", re.IGNORECASE)


def plain(text: str) -> str:
    """Text for use in Markdown that is shown literally, whatever it holds; on one line.

    What would be invisible or turn the text around is written out, as in `limits.text.visible`.
    """
    one_line = visible(re.sub(r"\s+", " ", text).lstrip())  # at its end a blank tells columns apart
    return _JOINED.sub(lambda found: found[0] + JOINER, _MARKUP.sub(r"\\\g<0>", one_line))


def quoted(text: str, most: int = 60) -> str:
    """Text from an address in quotation marks, cut to `most` characters."""
    cut = text if len(text) <= most else text[: most - 3] + "..."
    return f"“{plain(cut)}”"


def plain_table(table: pd.DataFrame) -> pd.DataFrame:
    """The table with every text in it plain: cells, names of columns and of rows.

    `st.table` renders all of them as Markdown.
    """
    shown = table.map(_plain_cell)
    shown.columns = shown.columns.map(_plain_cell)
    shown.index = shown.index.map(
        lambda name: tuple(map(_plain_cell, name)) if isinstance(name, tuple) else _plain_cell(name)
    )
    shown.index.names = table.index.names
    return shown


def _plain_cell(value: object) -> object:
    return plain(value) if isinstance(value, str) else value
