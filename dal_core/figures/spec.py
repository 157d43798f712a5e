"""Vega-Lite specifications with a fixed form and named tables.

A chart that follows a slider is drawn many times a minute. Altair takes 30 to 100 ms to build a
chart, and the browser redraws a changed specification from scratch. The form is therefore built
once, and a page replaces only its named tables.
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
    """The specification of a chart, rendered on a canvas."""
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return {**spec, "usermeta": CANVAS}


def filled(form: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """A copy of the form with its tables, for `st.vega_lite_chart`.

    Streamlit accepts data frames. Other renderers need lists of rows.
    """
    return {**copy.deepcopy(dict(form)), "datasets": dict(tables)}
