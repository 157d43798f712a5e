"""Tables, figures, statistics and downloads of one record, stored or uploaded.

Files are rendered on the click that downloads them.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from dal_core import figures
from dal_core.data.base import ImageDataset
from dal_core.record_file.io import dump_record
from dal_core.record_file.schema import Record, bounds, curves, unfinished
from dal_core.report.write import write_report
from dal_core.results.crossings import by_function
from dal_core.results.curves import Metric
from dal_core.results.formats import csv, notes, printed, to_frame, to_latex, to_markdown
from dal_core.results.tables import Table, tables
from dal_ui.reproduce.statistics import statistics_view
from dal_ui.shared.markdown import plain, plain_table
from dal_ui.shared.measures import MISSING, measure_choice

_IN_TITLE: dict[Metric, str] = {
    **{"accuracy": "accuracy", "mutual_information": "mutual information"},
    **{"nll": "NLL", "brier": "Brier score", "ece": "calibration error"},
}
_MIME = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf"}
_HOW_TO_READ = {
    2: "How many labels a function needed until the network was wrong on at most one test image "
    "in ten. Fewer is better; **bold** marks the fewest in a column.",
    3: "The same for one test image in twenty.",
    4: "Table 2 divided by Random's labels: 0.60 means that 60% of the labels were enough.",
    5: "Table 3 divided by Random's labels.",
}


class Figure(NamedTuple):
    """One chart: its number in the report, heading, reading aid, the chart and its numbers.

    Attributes:
        metric: the measure of figure 2, if it is not accuracy as in the report.
    """

    number: int
    title: str
    reading: str
    chart: Any
    data: pd.DataFrame
    metric: Metric = "accuracy"

    @property
    def stem(self) -> str:
        """The name of its files, without the ending."""
        is_reports = self.metric == "accuracy"
        return f"figure{self.number}" if is_reports else f"calibration_{self.metric}"


def results(record: Record, name: str, dataset: ImageDataset | None) -> None:
    """Everything about one record.

    Args:
        name: for downloaded files and widgets, unique on the page.
        dataset: for figure 1 in the report's folder; left out where it cannot be read.
    """
    runs = curves(record)
    if not runs:
        st.info("No run is measured yet, so there are no tables and figures.")
        return
    left, right = st.columns([3, 2], vertical_alignment="center")
    short = unfinished(record)
    left.subheader("Tables and figures")
    right.toggle(
        "Published values beside ours",
        key="published",
        help="From the report and Gal et al. (2017): columns in tables, diamonds in figures.",
    )
    if short:
        st.caption(
            f"{len(short)} of {len(runs)} runs are unfinished; their steps so far are included."
        )
    published = bool(st.session_state.get("published"))
    in_tables, in_figures, seeds, files = st.tabs(
        ["Tables 2–5", "Figures 2–6", "Statistics over seeds", "Downloads"], key=f"tabs-{name}"
    )
    with in_tables:
        _tables(record, name, published)
    with in_figures:
        metric = measure_choice(f"measure-{name}")
        if not any(run.points(metric) for run in runs):
            st.caption(MISSING)
        for figure in _figures(record, published, metric):
            _figure(figure, name)
    with seeds:
        statistics_view({name: runs}, name)
    with files:
        _downloads(record, name, dataset)


# -- tables ------------------------------------------------------------------------------------


def _tables(record: Record, name: str, published: bool) -> None:
    st.caption(
        "Step-Average: labels counted in each run, then averaged (± one standard deviation). "
        "Average-Step: the runs' accuracies averaged, then labels counted once."
    )
    sustained = st.toggle(
        "Sustained crossings only",
        key=f"sustained-{name}",
        help="The first crossing favours noisy curves. After a sustained crossing the accuracy "
        "stays above the line.",
    )
    for table in tables(curves(record)):
        st.markdown(f"**{table.title}**")
        st.caption(_HOW_TO_READ[table.number])
        st.table(plain_table(shown_columns(table, sustained, published)))
    with st.expander("How labels are counted"):
        st.markdown(
            "\n".join(f"- {plain(note)}" for note in notes(curves(record), unfinished(record)))
        )


def shown_columns(table: Table, sustained: bool, published: bool) -> pd.DataFrame:
    """The table's columns to show, with the function as the row's name."""
    all_columns = printed(table, plain).set_index("Acq. func.")
    ways = ["Runs", "Step-Average", "Average-Step"]
    ours = [f"Sustained: {way}" for way in ways] if sustained else ways
    theirs = ["Report: Step-Average", "Report: Average-Step", "Gal et al."] if published else []
    chosen = all_columns[ours + theirs].rename_axis("Function")
    return chosen.rename(columns=lambda name: name.removeprefix("Sustained: "))


# -- figures -----------------------------------------------------------------------------------


def _figures(record: Record, published: bool, metric: Metric = "accuracy") -> list[Figure]:
    runs, full = curves(record), bounds(record)
    random = by_function(runs).get("random", [])
    published_here = published and metric == "accuracy"
    better = (
        "Higher and further left is better: the same accuracy with fewer labels."
        if metric == "accuracy"
        else "Lower is better: the probabilities agree more with what is true."
    )
    found = [
        Figure(
            2,
            f"Test {_IN_TITLE[metric]} over labels",
            f"{better} Band: one standard deviation over the runs. Thin line: trained on all "
            "images.",
            figures.bands_figure(runs, full, metric, published=published_here),
            figures.bands_data(runs, full, metric, published=published_here),
            metric,
        ),
        Figure(
            3,
            "Test mutual information over labels",
            "How much the predictions of a test image disagree, in nats. It falls as the "
            "network becomes more certain.",
            figures.bands_figure(runs, full, "mutual_information"),
            figures.bands_data(runs, full, "mutual_information"),
        ),
    ]
    if random:
        found.append(
            Figure(
                4,
                "Where Random's runs reach 5% error",
                "A vertical line for each run and each way of averaging. The further right, the "
                "more labels random choice needs.",
                figures.crossings_figure(random),
                figures.crossings_data(random),
            )
        )
    readings = (
        (5, False, "Labels needed", "Shorter bars are better."),
        (6, True, "Labels needed, against Random", "Below 1, a function saves labels."),
    )
    for number, relative, title, reading in readings:
        chart = figures.needed_figure(runs, relative, published=published)
        found.append(Figure(number, title, reading, chart, figures.needed_data(runs, relative)))
    return found


def _figure(figure: Figure, name: str) -> None:
    head, save = st.columns([5, 1.2], vertical_alignment="bottom")
    head.markdown(f"**Figure {figure.number}: {figure.title}**")
    key = f"{name}-{figure.stem}"
    with save.popover("Save", icon=":material/download:", width="stretch"):
        for ending in figures.FORMATS:
            st.download_button(
                ending.upper(),
                data=_rendered(figure, ending),
                file_name=f"{figure.stem}.{ending}",
                mime=_MIME[ending],
                key=f"{key}-{ending}",
                on_click="ignore",
                width="stretch",
            )
        st.download_button(
            "Numbers (CSV)",
            csv(figure.data),
            file_name=f"{figure.stem}.csv",
            key=f"{key}-csv",
            on_click="ignore",
            width="stretch",
        )
    st.caption(figure.reading)
    st.altair_chart(figure.chart, width="stretch" if figure.number < 5 else "content", key=key)


def _rendered(figure: Figure, ending: str) -> Callable[[], bytes]:
    """Rendering takes a moment, so it happens on the click and never delays the page."""

    def render() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            stem = Path(folder) / "figure"
            figures.save(figure.chart, stem, figure.data, (ending,))
            return stem.with_name(f"figure.{ending}").read_bytes()

    return render


# -- downloads ---------------------------------------------------------------------------------


def _downloads(record: Record, name: str, dataset: ImageDataset | None) -> None:
    st.caption("The record opens in the report's notebook and on this page.")
    runs = curves(record)
    found, remarks = tables(runs), notes(runs, unfinished(record))
    texts = {
        "Record (YAML)": (f"{name}.yaml", dump_record(record)),
        "Tables (Markdown)": ("tables.md", to_markdown(found, remarks)),
        "Tables (CSV)": ("tables.csv", csv(to_frame(found))),
        "Tables (LaTeX)": ("tables.tex", to_latex(found, remarks)),
    }
    with st.container(horizontal=True):
        for label, (file, text) in texts.items():
            st.download_button(
                label,
                text,
                file_name=file,
                mime="text/plain",
                key=f"{name}-{file}",
                icon=":material/download:",
                on_click="ignore",
            )
    st.download_button(
        "Everything in one zip",
        data=lambda: zipped_report(record, dataset),
        file_name=f"{name}.zip",
        mime="application/zip",
        key=f"{name}-zip",
        icon=":material/folder_zip:",
        on_click="ignore",
        type="primary",
        help="Tables, figures (SVG, PNG, PDF) with their numbers, statistics and the record, as "
        "`dal report` writes them. This takes some seconds after the click.",
    )


def zipped_report(record: Record, dataset: ImageDataset | None) -> bytes:
    """The folder that `dal report` writes, as one zip file."""
    with tempfile.TemporaryDirectory() as folder:
        written = write_report([record], folder, dataset=dataset)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in written:
                archive.write(path, path.relative_to(folder).as_posix())
        return buffer.getvalue()
