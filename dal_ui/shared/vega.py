"""Charts that keep their form while their data change: the browser only swaps the data."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import pandas as pd
import streamlit as st


def draw(
    spec: dict[str, Any], key: str, width: int | Literal["stretch", "content"] = "content"
) -> None:
    """Draw a specification with named tables (see `dal_core.figures.spec.filled`).

    Args:
        key: one per chart on a page; under the same key the chart is kept and its tables
            exchanged, which takes a third of the time of a new chart.
    """
    tables = {name: stamped(table) for name, table in spec.get("datasets", {}).items()}
    st.vega_lite_chart({**spec, "datasets": tables}, width=width, key=key)


def stamped(table: pd.DataFrame) -> pd.DataFrame:
    """The table with an empty column whose name is a hash of the contents.

    Streamlit 1.64 keeps the browser's table when size and column names are unchanged, whatever the
    cells hold. Other contents therefore need another column name.
    """
    cells = pd.util.hash_pandas_object(table, index=False).to_numpy()
    return table.assign(**{f"contents_{hashlib.md5(cells.tobytes()).hexdigest()[:12]}": 0})
