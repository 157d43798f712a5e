"""Uploaded record files, and stored experiments and records side by side.

An uploaded record lives as long as the browser's session. It is never stored and never run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath

import pandas as pd
import streamlit as st

from dal_core import figures
from dal_core.figures.axes import METRIC_TITLES
from dal_core.record_file.differences import differing, unnamed
from dal_core.record_file.io import read_record
from dal_core.record_file.schema import Record, bounds, curves, protocol_params
from dal_core.record_file.sync import experiment_record
from dal_core.record_file.validate import RecordError
from dal_core.results.curves import CALIBRATION, METRICS, Metric, RunCurve
from dal_core.results.formats import printed
from dal_core.results.tables import tables
from dal_core.results.titles import display_name, in_order
from dal_core.store.base import Store
from dal_ui.reproduce.results import results
from dal_ui.reproduce.start import name_of
from dal_ui.reproduce.statistics import statistics_view
from dal_ui.shared import runtime
from dal_ui.shared.markdown import plain, plain_table

MAX_COMPARED = 4
MAX_UPLOAD_MB = 10


def record_view() -> None:
    """Upload a record file and read its numbers."""
    st.caption(
        "A record (YAML) of this program, or one in the format published with the report. It is "
        "only displayed: nothing is stored or run."
    )
    upload = st.file_uploader(
        "Record file", type=["yaml", "yml"], max_upload_size=MAX_UPLOAD_MB, key="upload"
    )
    if upload is not None:
        try:
            record = read_record(upload.getvalue())
        except RecordError as error:
            st.error(plain(f"{upload.name}: {error}"), icon=":material/error:")
            return
        name = PurePath(upload.name).stem
        uploaded()[name] = record
        _look(name, record)


def uploaded() -> dict[str, Record]:
    """The records uploaded in this session, by name."""
    return st.session_state.setdefault("records", {})


def _look(name: str, record: Record) -> None:
    runs = curves(record)
    params = protocol_params(record)
    seeds = sorted({run.seed for run in runs})
    functions = ", ".join(display_name(f) for f in in_order([run.acquisition for run in runs]))
    st.markdown(
        f"**{plain(name)}**: {len(runs)} runs of "
        f"{plain(functions) or 'no function'}; "
        f"seeds {', '.join(map(str, seeds)) or 'none'}; {len(bounds(record))} full-data bounds"
    )
    with st.expander("Parameters"):
        st.dataframe(
            {"parameter": list(params), "value": [str(value) for value in params.values()]},
            hide_index=True,
            height=250,
        )
    results(record, name, None)


# -- side by side ------------------------------------------------------------------------------


def sources(store: Store, uploads: Mapping[str, Record]) -> dict[str, Record]:
    """What can be compared, by name: stored experiments with measurements, uploaded records."""
    found: dict[str, Record] = {}
    for row in store.experiments.all():
        logs = [log for log, _ in store.experiments.summaries(row.experiment_id)]
        if any(log.steps for log in logs):
            name = name_of(row)
            found[row.experiment_id if name in found else name] = experiment_record(row, logs)
    for name, record in uploads.items():
        found[f"{name} (uploaded)"] = record
    return {name: record for name, record in found.items() if curves(record)}


def unmeasured(store: Store, there: Mapping[str, Record]) -> list[str]:
    """Names of the stored experiments that `sources` leaves out."""
    return [
        name_of(row)
        for row in store.experiments.all()
        if name_of(row) not in there and row.experiment_id not in there
    ]


def compare_view() -> None:
    """Choose two to four records; their curves, labels needed and statistics side by side."""
    there = sources(runtime.store(), uploaded())
    if len(there) < 2:
        st.info(
            "A comparison needs two experiments with measured steps, or record files uploaded in "
            "this tab.",
            icon=":material/info:",
        )
        return
    missing = unmeasured(runtime.store(), there)
    if missing:
        st.caption(plain(f"Not listed, because no accuracy is measured yet: {', '.join(missing)}."))
    chosen = st.multiselect(
        "Compare (the first is drawn solid)",
        list(there),
        default=list(there)[:2],
        max_selections=MAX_COMPARED,
        key="compared",
    )
    if len(chosen) < 2:
        st.caption("Choose two to four records.")
        return
    records = {name: there[name] for name in chosen}
    _differences(records)
    runs = {name: curves(record) for name, record in records.items()}
    metric = st.segmented_control(
        "Curve",
        [*METRICS, *(name for name in CALIBRATION if _has(runs, name))],
        default="accuracy",
        format_func=lambda m: METRIC_TITLES[m],
        required=True,
        key="compare-metric",
        label_visibility="collapsed",
    )
    st.altair_chart(figures.compare_figure(runs, metric or "accuracy"), width="content")
    st.caption(
        "One panel per function, with Random's curve of the same record. Band: one standard "
        "deviation over runs."
    )
    for table in needed_side_by_side(runs):
        st.markdown(f"**{table.attrs['title']}**")
        st.table(plain_table(table))
    st.markdown("**Statistics over seeds**")
    statistics_view(runs, "compare")


def _has(records: Mapping[str, Sequence[RunCurve]], metric: Metric) -> bool:
    """Whether every record has the measure."""
    return all(any(run.points(metric) for run in runs) for runs in records.values())


def needed_side_by_side(runs: Mapping[str, Sequence[RunCurve]]) -> list[pd.DataFrame]:
    """Labels needed for 10% and 5% error: a row per function, Step- and Average-Step by record."""
    found = []
    for number in (0, 1):
        columns: dict[str, pd.Series] = {}
        for name, theirs in runs.items():
            table = tables(theirs)[number]
            texts = printed(table, plain).set_index("Acq. func.")
            for way in ("Step-Average", "Average-Step"):
                columns[f"{plain(name)}: {way}"] = texts[way]
        names = in_order([run.acquisition for theirs in runs.values() for run in theirs])
        frame = pd.DataFrame(columns).reindex([plain(display_name(name)) for name in names])
        frame = frame.fillna("–").rename_axis("Function")
        frame.attrs["title"] = table.title.partition(": ")[2]
        found.append(frame)
    return found


def _differences(records: Mapping[str, Record]) -> None:
    params = {name: protocol_params(record) for name, record in records.items()}
    found, unknown = differing(params), unnamed(params)
    for name, keys in unknown.items():
        st.caption(plain(f"Not compared, because {name} does not name them: {', '.join(keys)}."))
    if not found:
        st.caption("All parameters that every record names are the same.")
        return
    lines = [
        f"`{key}` " + plain(" / ".join(str(values[name]) for name in records))
        for key, values in found
    ]
    st.markdown(f"**They differ in** {' · '.join(lines)}")
