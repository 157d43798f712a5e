"""Reads CSV from outside, row by row: no column twice, the line where a row begins, a row limit."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

from dal_core.limits.refused import Malformed, Refused
from dal_core.limits.text import shown

MAX_COLUMNS = 100
_NEVER_CLOSED = "unexpected end of data"  # as the csv module says it


def read_csv(text: str, delimiter: str, most: int) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows as cells by column, each with the line on which it begins; blank lines are skipped.

    Args:
        most: the number of rows allowed.

    Raises:
        Malformed: the text is not CSV, or a row has another number of cells than the header.
        Refused: a column is named twice, or there are too many columns or rows. Both messages are
            one line.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    n_rows = 0
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise Malformed(f"line {line} is not CSV: {_reason(error)}") from None
        if cells is None:
            return
        if not cells:
            continue
        if columns is None:
            columns = _columns(cells)
        else:
            n_rows += 1
            if n_rows > most:
                raise Refused(f"line {line} is row {n_rows}; allowed: at most {most} rows")
            if len(cells) != len(columns):
                raise Malformed(f"line {line} has a different number of cells than the header")
            yield line, dict(zip(columns, cells, strict=True))


def _columns(cells: list[str]) -> list[str]:
    if len(cells) > MAX_COLUMNS:
        raise Refused(f"line 1 has {len(cells)} columns; allowed: at most {MAX_COLUMNS}")
    twice = next((name for place, name in enumerate(cells) if name in cells[:place]), None)
    if twice is not None:
        raise Refused(f"line 1 names the column {shown(twice)} twice; allowed: once")
    return cells


def _reason(error: csv.Error) -> str:
    if str(error) == _NEVER_CLOSED:
        return "a quoted cell is never closed"
    return str(error)
