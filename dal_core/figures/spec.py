"""Vega-Lite specifications with a fixed form and named tables.

A chart that follows a slider is drawn many times a minute. Altair takes 30 to 100 ms to build it,
and a browser redraws a changed form from scratch. So the form is built once, and a page replaces
only the tables it names.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

# Thousands of marks take milliseconds on a canvas, but make a page stutter as SVG elements.
CANVAS = {"embedOptions": {"renderer": "canvas"}}


def form(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The specification of a chart, to be drawn on a canvas."""
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return {**spec, "usermeta": CANVAS}


def filled(form: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """A copy of the form with its tables, for `st.vega_lite_chart`.

    Streamlit takes data frames; elsewhere the tables have to be lists of rows.
    """
    return {**copy.deepcopy(dict(form)), "datasets": dict(tables)}
