"""The learning curves on the labelling page: the shared figures, drawn more compactly.

Making a chart's specification takes longer than everything else on the page, so it is cached by the
chart's numbers.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from dal_core.figures.learning import learning_curve
from dal_core.record_file.sync import run_curve
from dal_core.results.curves import Metric, RunCurve
from dal_core.results.labelling_cost import MOST_SECONDS, labelling_minutes, labelling_seconds
from dal_core.run.state import RunState
from dal_ui.label import words
from dal_ui.label.view import View
from dal_ui.shared.measures import MISSING, measure_choice

HEIGHT = 240  # pixels, title and legend included
INFORMATION: Metric = "mutual_information"
HOW_TO_READ: dict[Metric, str] = {
    # About equally long, so that the chart below does not move when another is chosen.
    "accuracy": "Test images classified correctly. Above the grey line is better.",
    "nll": "How unlikely the true labels seemed. Below the grey line is better.",
    "brier": "Squared error of the probabilities. Below the grey line is better.",
    "ece": "How far confidence is from accuracy. Below the grey line is better.",
    "mutual_information": "How much predictions of an image disagree. Lower means more certain.",
}
OVER_MINUTES_HELP = (
    "Draws the curves over the time you spent labelling. The numbers below it are your median "
    "seconds per image and the minutes in total. Of an image that took longer, "
    f"{MOST_SECONDS:.0f} seconds are counted. Random is drawn with your times, as if its images "
    "took as long to label as yours."
)


def charts(view: View) -> None:
    """Accuracy (or calibration) and mutual information, this run against the random baseline."""
    if not view.has_test_set:
        st.caption("This data set has no test images, so there is no learning curve.")
        return
    baseline = baseline_beside(view)
    with st.container(gap="xsmall"):
        minutes = _cost(view.log)
        stale = tuple(s.n_labelled for s in view.log.steps if view.log.is_before_correction(s))
        curve, chosen = run_curve(view.log), measure_choice("chart-measure")
        for place, metric in (("first", chosen), ("second", INFORMATION)):
            spec = _spec(curve, baseline, metric, minutes, stale)
            st.vega_lite_chart(spec, width="stretch", height=HEIGHT, key=f"chart-{place}")
            is_missing = len(curve) and not curve.points(metric)
            st.caption(MISSING if is_missing else HOW_TO_READ[metric])
        if stale:
            st.caption("Hollow points were measured before you corrected a label.")


def baseline_beside(view: View) -> RunCurve | None:
    """The random baseline as far as the run has labels.

    Other runs and experiments may have taken the shared baseline further; the rest of it would
    squeeze the run's own curve into a corner.
    """
    if view.baseline is None or not view.baseline.steps:
        return None
    return run_curve(view.baseline).up_to(view.log.n_labelled)


def _cost(log: RunState) -> tuple[tuple[int, float], ...] | None:
    """Draw the labelling time; returns minutes by labels if the charts show minutes."""
    seconds = list(labelling_seconds(log).values())
    # One below the other, because beside each other they wrap on a narrow page, and the charts move
    # as soon as there is a time to show.
    over_minutes = st.toggle(
        "Over minutes", disabled=not seconds, help=OVER_MINUTES_HELP, key="over-minutes"
    )
    st.caption(words.pace(seconds))
    return tuple(labelling_minutes(log).items()) if over_minutes and seconds else None


@st.cache_data(show_spinner=False, max_entries=64)
def _spec(
    curve: RunCurve,
    baseline: RunCurve | None,
    metric: Metric,
    minutes: tuple[tuple[int, float], ...] | None,
    stale: tuple[int, ...],
) -> dict[str, Any]:
    chart = learning_curve(
        curve,
        [baseline] if baseline else [],
        metric,
        minutes=None if minutes is None else dict(minutes),
        stale=stale,
        height=HEIGHT,
    )
    spec = chart.to_dict()
    spec["padding"] = {"left": 0, "top": 2, "right": 6, "bottom": 2}
    spec["config"] |= {
        "axis": {"titlePadding": 8, "labelPadding": 4},
        "axisY": {"labelFlush": False},
        "legend": {"offset": 4, "padding": 2},
    }
    return spec
