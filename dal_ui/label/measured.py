"""The measured curve beside the start form.

Its numbers are those of a record in `results/`. `python -m benchmarks.start_curve` writes them to
`measured.json`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from dal_core.figures.report import bands_data, bands_figure
from dal_core.results.curves import RunCurve
from dal_core.results.titles import display_name

FILE = Path(__file__).with_name("measured.json")
HEIGHT = 210  # pixels, legend included
CLAIMED_AT = (50, 100)  # labels at which the caption states accuracies


@cache
def measured() -> tuple[dict[str, Any], tuple[RunCurve, ...]]:
    """What was measured (`source`, `function`, `procedure`), and the runs, random's among them."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    runs = [
        RunCurve(
            run["acquisition"],
            run["seed"],
            tuple(run["n_labelled"]),
            tuple(run["accuracy"]),
            (0.0,) * len(run["accuracy"]),
        )
        for run in content["runs"]
    ]
    return content, tuple(runs)


def measured_curve() -> None:
    """Draw the curve, small, with what it shows in words."""
    st.subheader("What to expect", divider="gray")
    st.vega_lite_chart(_spec(), width="stretch", height=HEIGHT, key="measured")
    st.caption(caption())


def caption() -> str:
    """What was measured, and the mean accuracies at some numbers of labels, in words."""
    content, runs = measured()
    function, n_seeds = content["function"], len({run.seed for run in runs})
    table = bands_data(runs).set_index(["acquisition", "n_labelled"])["mean"]
    means = " and ".join(
        f"{table[function, n]:.1%} at {n} labels (random {table['random', n]:.1%})"
        for n in CLAIMED_AT
    )
    return (
        f"Measured with {display_name(function)}, {content['procedure']}: {means} of the test "
        f"images are right. Means of {n_seeds} runs; the band is one standard deviation."
    )


@st.cache_data(show_spinner=False)
def _spec() -> dict[str, Any]:
    _, runs = measured()
    spec: dict[str, Any] = bands_figure(runs, height=HEIGHT, legend_columns=2).to_dict()
    return spec
