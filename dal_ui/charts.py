"""The learning curves as the labelling page shows them: same figures, less air around them.

A chart is turned into its specification once per change of its numbers: that takes longer than
everything else on the page, and the page is drawn anew with every step.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from dal_core.analysis import Metric
from dal_core.curves import RunCurve
from dal_core.figures import learning_curve
from dal_core.runfiles import run_curve
from dal_ui.labelling import View

HEIGHT = 258  # pixels, title and legend included
METRICS: tuple[Metric, Metric] = ("accuracy", "mutual_information")
HOW_TO_READ: dict[Metric, str] = {
    "accuracy": "Share of test digits it gets right: above the grey line is better.",
    "mutual_information": "How much its passes contradict each other: lower is surer.",
}


def charts(view: View) -> None:
    """Accuracy and mutual information over labels, this run against the random baseline."""
    base = view.baseline
    baseline = run_curve(base) if base is not None and base.steps else None
    with st.container(gap="xsmall"):
        for metric in METRICS:
            spec = _spec(run_curve(view.log), baseline, metric)
            st.vega_lite_chart(spec, width="stretch", height=HEIGHT, key=f"chart-{metric}")
            st.caption(HOW_TO_READ[metric])


@st.cache_data(show_spinner=False, max_entries=64)
def _spec(curve: RunCurve, baseline: RunCurve | None, metric: Metric) -> dict[str, Any]:
    chart = learning_curve(curve, [baseline] if baseline else [], metric, height=HEIGHT)
    spec = chart.to_dict()
    spec["padding"] = {"left": 0, "top": 2, "right": 6, "bottom": 2}
    spec["config"] |= {
        "axis": {"titlePadding": 8, "labelPadding": 4},
        "axisY": {"labelFlush": False},
        "legend": {"offset": 4, "padding": 2},
    }
    return spec
