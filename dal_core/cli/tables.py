"""Tables of the command line: all columns where they fit, else fewer, else one block for each row.

Text from outside is shown with its control characters written out.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, JustifyMethod
from rich.table import Table

from dal_core.limits.text import visible

FILE_WIDTH = 160  # least width of the output in a pipe or a file
GAP, EDGES = 3, 2  # characters between two columns, and around the table
MOST = 32  # characters of a cell in a terminal, except the first


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


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """Print rows of text at the width of the terminal; a pipe or a file gets all of every cell.

    Args:
        right: names of the columns to align to the right.
        spare: columns to leave out where the terminal is too narrow, the first one first, after
            long cells were cut; without any, no cell is cut either.
    """
    out, cells = console(), [[visible(cell) for cell in row] for row in rows]
    kept = list(range(len(columns)))
    if not sys.stdout.isatty():
        out.width = max(FILE_WIDTH, _width(columns, cells, kept))
    short, left_out = cells, []
    if spare and _width(columns, cells, kept) > out.width:
        short = [[row[0], *(_cut(cell) for cell in row[1:])] for row in cells]
    for name in spare:
        if _width(columns, short, kept) > out.width:
            kept.remove(columns.index(name))
            left_out.append(name)
    if _width(columns, short, kept) > out.width:
        _print_blocks(columns, cells)
        return
    made = table([columns[place] for place in kept], right)
    for row in short:
        made.add_row(*(row[place] for place in kept))
    out.print(made)
    if left_out:
        print(f"Too narrow for: {', '.join(left_out)}")


def _width(columns: Sequence[str], rows: Sequence[Sequence[str]], kept: Sequence[int]) -> int:
    """The characters that a table of these columns takes without folding a cell."""
    widest = [max(cell_len(row[place]) for row in (columns, *rows)) for place in kept]
    return sum(widest) + GAP * (len(kept) - 1) + EDGES


def _cut(cell: str) -> str:
    return cell if cell_len(cell) <= MOST else set_cell_size(cell, MOST - 1).rstrip() + "…"


def _print_blocks(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One block for each row: the first cell, then a line for each other cell that is not empty."""
    longest = max(len(name) for name in columns)
    for row in rows:
        print(row[0])
        for name, cell in list(zip(columns, row, strict=True))[1:]:
            if cell:
                print(f"  {name:<{longest}}  {cell}")
