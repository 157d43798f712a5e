"""The choice of the measure that curves show: accuracy, or one of calibration."""

from __future__ import annotations

import streamlit as st

from dal_core.results.curves import Metric

TITLES: dict[Metric, str] = {
    "accuracy": "Accuracy",
    "nll": "NLL",
    "brier": "Brier score",
    "ece": "Calibration error",
}
MISSING = "Not measured by the version of dal that made these steps."


def measure_choice(key: str) -> Metric:
    """Draw the choice; returns the measure. Its place has the same size whatever is chosen.

    Args:
        key: of the widget, unique on the page.
    """
    return st.selectbox(
        "Curve",
        list(TITLES),
        format_func=lambda metric: TITLES[metric],
        key=key,
        label_visibility="collapsed",
        width=200,
    )
