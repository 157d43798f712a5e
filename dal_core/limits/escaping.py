"""Text from people and files, written so that it is shown as it is and does nothing else."""

from __future__ import annotations

import re
from typing import Any

from dal_core.limits.text import visible

# A spreadsheet reads a cell that starts with one of these as a formula. The apostrophe itself is
# included, so that removing it restores the text.
_MARK = "'"
_MARKED = ("=", "+", "-", "@", "\t", "\r", _MARK)

# In a sentence: emphasis, links, images, code, HTML, entities, mathematics, cells of a table.
# A "<" before a blank or "=" begins no HTML.
_MARKDOWN = re.compile(r"[\\`*_\[\]>|~$&#]|<(?![\s=])")
_LINKS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)  # linked without brackets
_LISTS = re.compile(r"^(\d*)(?=[-+.)])")  # at the start: a list, or a line under a heading

_LATEX = {
    **{character: "\\" + character for character in "%&_#${}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
}


def markdown(text: str) -> str:
    """The text for a Markdown file: one line without markup, links, HTML or table cells."""
    escaped = _MARKDOWN.sub(r"\\\g<0>", visible(text))
    return _LISTS.sub(r"\1\\", _LINKS.sub(r"\\", escaped))


def latex(text: str) -> str:
    """The text for LaTeX, in a paragraph or a cell; characters without a meaning are kept."""
    escaped = "".join(_LATEX.get(character, character) for character in visible(text))
    # After the end of a row these would be read as the row's options.
    return f"{{{escaped[0]}}}{escaped[1:]}" if escaped.startswith(("[", "*")) else escaped


def spreadsheet_safe(value: Any) -> Any:
    """`value` with a leading apostrophe if a spreadsheet would read it as a formula.

    Text that starts with an apostrophe gets one too, so that `spreadsheet_plain` can undo it.
    """
    if isinstance(value, str) and value.startswith(_MARKED):
        return _MARK + value
    return value


def spreadsheet_plain(cell: str) -> str:
    """The text of a cell that `spreadsheet_safe` wrote."""
    return cell.removeprefix(_MARK)
