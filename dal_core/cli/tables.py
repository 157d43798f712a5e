"""Tables of the command line."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table

FILE_WIDTH = 160  # width of the output in a pipe or a file


def console() -> Console:
    """Standard output, without interpreting markup."""
    width = None if sys.stdout.isatty() else FILE_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False)


def table(columns: Sequence[str], right: Collection[str] = ()) -> Table:
    """An empty table. The first column is never wrapped, since people copy ids from it.

    Args:
        right: names of the columns to align to the right.
    """
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        justify: JustifyMethod = "right" if name in right else "left"
        made.add_column(name, justify=justify, no_wrap=number == 0, overflow="fold")
    return made
