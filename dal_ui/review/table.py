"""The review on the labelling page: a table of every label given, to search, sort and correct."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dal_core.data.base import ImageDataset
from dal_core.execution.predictions import load_predictions
from dal_core.figures.png import image_data_uri
from dal_core.run.state import RunState
from dal_core.store.home import run_dir
from dal_ui.components.grid.submission import GridReview
from dal_ui.review.actions import LABEL, correct, name_of, new_edits
from dal_ui.review.rows import ORDERS, SHOWN, ReviewRow, chosen, review_rows, summary
from dal_ui.shared import runtime
from dal_ui.shared.markdown import plain

ROW_HEIGHT, ROWS_SHOWN = 48, 8
HOW = (
    "Choose a label with the mouse or the arrow keys, type the right {noun} and press Enter to "
    "save it. Delete removes a label (can't tell). Type into an empty cell to label that image."
)
DOUBT = "the network's probability of all classes other than your label"
_NOTED = "review-nonce"  # of the grid's last message that was handled
_REGEX = re.compile(r"[\\^$.*+?()\[\]{}|/]")  # what a regular expression in the browser escapes


def toggle() -> None:
    """Open the review, or close it."""
    _show(not is_open())


def obey(sent: GridReview | None) -> None:
    """Open or close the review once, as the grid's key asked; called before the grid is drawn."""
    if sent is None or st.session_state.get(_NOTED, sent.nonce) == sent.nonce:
        return
    st.session_state[_NOTED] = sent.nonce
    _show(sent.open)


def note_kept(sent: GridReview | None) -> None:
    """Treat what the grid holds after this session's first drawing as handled.

    The browser keeps its last request and repeats it to a restarted server, where it is out of
    date: the review may have been closed by its button since.
    """
    st.session_state.setdefault(_NOTED, None if sent is None else sent.nonce)


def is_open() -> bool:
    """Whether the review of this run is open; another run begins without it."""
    return st.session_state.get("reviewing") == (st.query_params.get("run"), True)


def _show(is_wanted: bool) -> None:
    st.session_state["reviewing"] = (st.query_params.get("run"), is_wanted)


def review_section(log: RunState, dataset: ImageDataset, annotator: str) -> None:
    """The review of a run, where it is open; typing in it redraws only the review."""
    if not is_open():
        return

    @st.fragment
    def section() -> None:
        with st.container(border=True, key="review"):
            title, close = st.columns([5, 1], vertical_alignment="center")
            title.subheader("Review your labels")
            if close.button("Close", width="stretch", key="review-close"):
                toggle()
                st.rerun(scope="app")
            _section(log.run.run_id, dataset, annotator)

    section()


def _section(run_id: str, dataset: ImageDataset, annotator: str) -> None:
    log = runtime.store().log(run_id)
    rows = review_rows(log, dataset, load_predictions(run_dir(runtime.store().home, run_id)))
    if not rows:
        st.info("There are no labels yet. Label the images above, and they are listed here.")
        return
    for notice in st.session_state.pop("review-said", []):
        st.toast(notice, icon=":material/edit:")
    st.markdown(summary(rows))
    kept = _frozen(run_id, rows, dataset.class_names, *_choices(dataset.noun))
    if not kept:
        st.info("No matching labels. Search for something else, or show all labels.")
        return
    _table(log, dataset, kept, annotator)
    st.caption(f"{HOW.format(noun=dataset.noun)} Corrections are stored under {plain(annotator)}.")
    st.caption(
        f"Doubt: {DOUBT}. The network has learned from your labels, so check what it still doubts."
    )


def _choices(noun: str) -> tuple[str, str, str]:
    search, shown, order = st.columns(3)
    text = search.text_input(
        "Search", placeholder=f"a {noun}, or an image number", key="review-search"
    )
    what = shown.selectbox("Show", list(SHOWN), key="review-shown")
    how = order.selectbox("Order", list(ORDERS), key="review-order")
    return what, how, text


def _frozen(
    run_id: str,
    rows: Sequence[ReviewRow],
    class_names: Sequence[str],
    shown: str,
    order: str,
    search: str,
) -> list[ReviewRow]:
    """The chosen rows, in an order that a correction or a new model does not change.

    A row that moved while somebody types would receive the correction of another.
    """
    answered = frozenset(row.image_id for row in rows)  # an undo elsewhere may replace some
    asked = (run_id, shown, order, search, answered)
    if st.session_state.get("review-asked") != asked:
        kept = chosen(rows, shown, order, search, class_names)
        st.session_state["review-asked"] = asked
        st.session_state["review-ids"] = tuple(row.image_id for row in kept)
        st.session_state["review-seen"] = {}
        st.session_state["review-table"] = st.session_state.get("review-table", 0) + 1
    by_id = {row.image_id: row for row in rows}
    return [by_id[image_id] for image_id in st.session_state["review-ids"] if image_id in by_id]


def _table(log: RunState, dataset: ImageDataset, rows: list[ReviewRow], annotator: str) -> None:
    key = f"review-table-{st.session_state['review-table']}"
    ids = tuple(row.image_id for row in rows)
    st.data_editor(
        _frame(dataset, rows),
        key=key,
        hide_index=True,
        num_rows="fixed",
        row_height=ROW_HEIGHT,
        height=ROW_HEIGHT * min(len(rows), ROWS_SHOWN) + 38,
        disabled=list(_COLUMNS),
        column_config=_COLUMNS | {LABEL: _label_column(dataset)},
        on_change=_edited,
        args=(log, key, ids, dataset.class_names, annotator),
    )


def _edited(
    log: RunState,
    key: str,
    ids: tuple[int, ...],
    class_names: tuple[str, ...],
    annotator: str,
) -> None:
    """Store what was typed into the table, before anything is drawn."""
    seen: dict[int, str | None] = st.session_state["review-seen"]
    store = runtime.store()
    for image_id, typed in new_edits(st.session_state[key]["edited_rows"], seen, ids).items():
        seen[image_id] = typed
        notice = plain(correct(store, log, image_id, typed, class_names, annotator))
        st.session_state.setdefault("review-said", []).append(notice)


_COLUMNS: dict[str, Any] = {
    "image": st.column_config.ImageColumn("image", width="small"),
    "network": st.column_config.TextColumn("network now"),
    "doubt": st.column_config.ProgressColumn(
        "doubt", min_value=0.0, max_value=100.0, format="%.0f%%", help=f"{DOUBT.capitalize()}."
    ),
    "data set": st.column_config.TextColumn("data set"),
    "differs": st.column_config.TextColumn("differs from you"),
    "at first": st.column_config.TextColumn(
        "first label", help="Your label before any correction."
    ),
    "asked at": st.column_config.NumberColumn("asked at", format="%d labels"),
    "seconds": st.column_config.NumberColumn("seconds", format="%.1f"),
    "by": st.column_config.TextColumn("by"),
    "number": st.column_config.NumberColumn("image number", format="%d"),
}


def _label_column(dataset: ImageDataset) -> Any:
    """The column to type into; the browser refuses anything but a class."""
    names = "|".join(_REGEX.sub(r"\\\g<0>", name) for name in dataset.class_names)
    return st.column_config.TextColumn(
        LABEL, validate=f"^({names})$", help=f"Type a {dataset.noun}."
    )


def _frame(dataset: ImageDataset, rows: Sequence[ReviewRow]) -> pd.DataFrame:
    names = dataset.class_names
    return pd.DataFrame(
        {
            "image": [_image(dataset.name, row.image_id) for row in rows],
            LABEL: pd.array(
                [None if row.label is None else names[row.label] for row in rows], dtype="string"
            ),
            "network": [_prediction(row, names) for row in rows],
            "doubt": pd.array(
                [None if row.doubt is None else 100 * row.doubt for row in rows], dtype="Float64"
            ),
            "data set": ["" if row.truth is None else names[row.truth] for row in rows],
            "differs": [_differs(row) for row in rows],
            "at first": [name_of(row.first, names) if row.corrected else "" for row in rows],
            "asked at": [row.asked_at for row in rows],
            "seconds": pd.array([row.seconds for row in rows], dtype="Float64"),
            "by": [row.source for row in rows],
            "number": [row.image_id for row in rows],
        }
    )


@st.cache_data(show_spinner=False, max_entries=4096)
def _image(dataset: str, image_id: int) -> str:
    return image_data_uri(runtime.dataset(dataset).images[image_id])


def _prediction(row: ReviewRow, names: Sequence[str]) -> str:
    if row.predicted is None or row.confidence is None:
        return ""
    return f"{names[row.predicted]} at {row.confidence:.0%}"


def _differs(row: ReviewRow) -> str:
    sides = (("network", row.network_differs), ("data set", row.data_differs))
    return " and ".join(name for name, differs in sides if differs)
