"""Statistics over seeds: means with intervals, differences to Random, labels saved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import pandas as pd
import streamlit as st

from dal_core import figures
from dal_core.results.calibration import NAMES, calibration_table
from dal_core.results.crossings import by_function
from dal_core.results.curves import RunCurve
from dal_core.results.formats import gaps
from dal_core.results.intervals import MIN_SEEDS
from dal_core.results.statistics import Statistics, statistics
from dal_core.results.titles import display_name, in_order
from dal_ui.shared.markdown import plain, plain_table

_FEW = (
    f"Intervals need at least {MIN_SEEDS} seeds: one says nothing about the spread, and two are "
    "often equal by chance."
)


def statistics_view(records: Mapping[str, Sequence[RunCurve]], key: str) -> None:
    """Accuracy at a chosen number of labels, then labels saved at each accuracy."""
    found = {name: _statistics(_packed(runs), tuple(runs)) for name, runs in records.items()}
    if all(_n_seeds(one) < MIN_SEEDS for one in found.values()):
        st.caption(_FEW)
    labels = sorted({int(n) for one in found.values() for n in one.means.n_labelled})
    if len(labels) > 1:
        at = st.select_slider(
            "Number of labels", labels, value=labels[len(labels) // 2], key=f"at-{key}"
        )
    else:
        at = labels[0] if labels else 0
    st.table(plain_table(at_labels(found, at)))
    for sentence in left_out(records, found, at):
        st.caption(plain(sentence))
    st.caption(
        "95% intervals: t intervals of the mean over seeds. Against Random: each run minus "
        "Random's run of the same seed, which starts with the same images."
    )
    for name, one in found.items():
        if len(one.calibration):
            st.markdown("**Calibration**" + (f", {plain(name)}" if len(found) > 1 else ""))
            st.table(plain_table(calibration_at_labels(one)))
            st.caption("Lower is better. In brackets: 95% intervals, as above.")
    for name, one in found.items():
        if not one.mean_labels_saved["mean"].notna().any():
            st.caption(plain(_no_savings(name if len(found) > 1 else "", one)))
            continue
        st.markdown(
            "**Labels saved at each accuracy**" + (f", {plain(name)}" if len(found) > 1 else "")
        )
        st.caption(
            "Above zero, a function reached the accuracy with that many fewer labels than Random. "
            "A line ends where not every pair of runs reached the accuracy."
        )
        chart = figures.savings_figure(one.mean_labels_saved)
        st.altair_chart(chart, width="stretch", key=f"saved-{key}-{name}")


def _no_savings(record: str, one: Statistics) -> str:
    """Why there is no chart of labels saved."""
    if one.labels_saved.empty:
        why = "no function has a run of the same seed as a run of Random"
    else:
        why = "no accuracy from 70% on was reached by every pair of runs"
    return f"Labels saved{', ' + record if record else ''}: left out, because {why}."


def left_out(
    records: Mapping[str, Sequence[RunCurve]], found: Mapping[str, Statistics], at: int
) -> list[str]:
    """What the table at one number of labels leaves out, and why: a sentence each."""
    sentences = []
    for record, runs in records.items():
        of = f"{record}, " if len(records) > 1 else ""
        present = _at(found[record].means, at)
        for name, group in by_function(run for run in runs if len(run)).items():
            if name not in present:
                sentences.append(f"Left out: {of}{display_name(name)}, {_why(group, at)}.")
        sentences += [of + gap for gap in gaps(runs)]
    return sentences


def _why(group: Sequence[RunCurve], at: int) -> str:
    there = [run for run in group if at in run.n_labelled]
    if there:
        return f"of which {len(there)} of {len(group)} runs were measured at {at} labels"
    last = max(run.n_labelled[-1] for run in group)
    return f"not measured at {at} labels (measured up to {last})"


def at_labels(found: Mapping[str, Statistics], at: int) -> pd.DataFrame:
    """Means, differences to Random and their intervals at one number of labels, as texts."""
    rows = []
    for record, one in found.items():
        differences = _at(one.mean_differences, at)
        for name, row in _at(one.means, at).items():
            line = {"Record": plain(record)} if len(found) > 1 else {}
            line |= {
                "Function": plain(display_name(name)),
                "Mean accuracy": f"{row['mean']:.1%}",
                "95% interval": _interval(row, "{:.1%}"),
                "Against Random": "–",
                "95% interval ": "–",
                "Seeds": f"{int(row['n_seeds'])}",
            }
            pair = differences.get(name)
            if pair is not None:
                line["Against Random"] = f"{100 * pair['mean']:+.1f} points"
                line["95% interval "] = _interval(pair, "{:+.1f}", 100)
            rows.append(line)
    frame = pd.DataFrame(rows)
    return frame.set_index(list(frame.columns[: 2 if len(found) > 1 else 1]))


def calibration_at_labels(one: Statistics) -> pd.DataFrame:
    """NLL, Brier score and calibration error at 50, 100 and the last labels, as texts."""
    table = calibration_table(one.calibration, in_order(list(one.calibration.acquisition)))
    table.insert(0, "Measure", [NAMES[name] for name in table.pop("measure")])
    names = [plain(display_name(name)) for name in table.pop("acquisition")]
    table.insert(1, "Function", names)
    return table.set_index(["Measure", "Function"])


def _at(frame: pd.DataFrame, at: int) -> dict[str, pd.Series]:
    """The rows at one number of labels, by function."""
    there = frame[frame.n_labelled == at]
    return {str(row["acquisition"]): row for _, row in there.iterrows()}


def _interval(row: pd.Series, form: str, scale: float = 1) -> str:
    if pd.isna(row["low"]):
        return "–"
    return f"{form.format(scale * row['low'])} to {form.format(scale * row['high'])}"


def _n_seeds(found: Statistics) -> int:
    return int(found.means.n_seeds.max()) if len(found.means) else 0


def _packed(runs: Sequence[RunCurve]) -> str:
    return json.dumps([asdict(run) for run in runs])


@st.cache_data(show_spinner=False, max_entries=16)
def _statistics(packed: str, _runs: tuple[RunCurve, ...]) -> Statistics:
    """Cached by the runs' numbers: they take a moment and the page is redrawn often."""
    return statistics(_runs)
