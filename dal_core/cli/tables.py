"""How tables look at the command line; what is in them is the commands' business."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table

FILE_WIDTH = 160  # in a pipe or a file nothing need be squeezed into a terminal's 80 columns


def console() -> Console:
    """Standard output; what is printed is text as it stands, never markup."""
    width = None if sys.stdout.isatty() else FILE_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False)


def table(columns: Sequence[str], right: Collection[str] = ()) -> Table:
    """An empty table; the first column is never broken, since people copy from it."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        justify: JustifyMethod = "right" if name in right else "left"
        made.add_column(name, justify=justify, no_wrap=number == 0, overflow="fold")
    return made
