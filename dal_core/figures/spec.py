"""Charts as Vega-Lite specifications whose form never changes, their numbers beside them.

A chart that follows a slider is drawn many times a minute: building it takes Altair 30 to 100 ms,
and a browser that gets another form draws it from scratch. Here the form is built once, and a page
only exchanges the tables it names.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

# Thousands of marks: on a canvas they take milliseconds, as elements of the page they stutter.
CANVAS = {"embedOptions": {"renderer": "canvas"}}


def form(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """A chart as its specification, to be drawn on a canvas."""
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return {**spec, "usermeta": CANVAS}


def filled(form: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """The form with its tables by name, for `st.vega_lite_chart`; the form itself stays as it is.

    Without Streamlit the tables would have to be lists of rows.
    """
    return {**copy.deepcopy(dict(form)), "datasets": dict(tables)}
