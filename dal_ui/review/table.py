"""The review on the labelling page: a table of every label given, to search, sort and correct.

Draws only; what is suspicious and what a correction does is in `dal_ui.review.rows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dal_core.data.base import ImageDataset
from dal_core.execution.predictions import load_predictions
from dal_core.figures.png import image_data_uri
from dal_core.store.home import run_dir
from dal_ui.components.grid.submission import GridReview
from dal_ui.label.actions import View, annotator
from dal_ui.review import rows as review
from dal_ui.review.rows import LABEL, ORDERS, SHOWN, ReviewRow
from dal_ui.shared import runtime

ROW_HEIGHT, ROWS_SHOWN = 48, 8
HOW = (
    "Click or move to a label with the arrow keys, type the right digit, press Enter: it is saved. "
    "Delete takes a label away (can't tell); a digit in an empty place labels a skipped image."
)
_NOTED = "review-nonce"  # of the grid's last message that needs no more obeying
DOUBT = "how much of the network's belief goes to other digits than your label"


def toggle() -> None:
    """Open the review, or close it."""
    _show(not is_open())


def obey(sent: GridReview | None) -> None:
    """Open or close the review as the grid's key asked, once; called before the grid is drawn."""
    if sent is None or st.session_state.get(_NOTED, sent.nonce) == sent.nonce:
        return
    st.session_state[_NOTED] = sent.nonce
    _show(sent.open)


def note_kept(sent: GridReview | None) -> None:
    """Take what is there once the grid was drawn first in this session for obeyed.

    The browser keeps what it sent last and gives it to a server that was restarted, too: it was
    meant for a review of before, closed since perhaps by its button.
    """
    st.session_state.setdefault(_NOTED, None if sent is None else sent.nonce)


def is_open() -> bool:
    """Whether the person has asked for the review of this run; another run begins without it."""
    return st.session_state.get("reviewing") == (st.query_params.get("run"), True)


def _show(is_wanted: bool) -> None:
    st.session_state["reviewing"] = (st.query_params.get("run"), is_wanted)


def review_section(view: View, dataset: ImageDataset) -> None:
    """The review of a run, where it is open; typing in it draws only it anew."""
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
            _section(view, dataset)

    section()


def _section(view: View, dataset: ImageDataset) -> None:
    log = runtime.store().log(view.log.run.run_id)
    rows = review.review_rows(
        log, dataset, load_predictions(run_dir(runtime.store().home, log.run.run_id))
    )
    if not rows:
        st.info("No label was given yet. Answer the ten above: each will be listed here.")
        return
    for said in st.session_state.pop("review-said", []):
        st.toast(said, icon=":material/edit:")
    st.markdown(review.summary(rows))
    kept = _frozen(log.run.run_id, rows, *_choices())
    if not kept:
        st.info("No label is like that. Search for something else, or show all labels.")
        return
    _table(view, dataset, kept)
    st.caption(HOW)
    st.caption(
        f"Doubt: {DOUBT}. It has learnt from your labels, so what it still doubts is worth a look."
    )


def _choices() -> tuple[str, str, str]:
    search, shown, order = st.columns(3)
    text = search.text_input(
        "Search", placeholder="a digit, or an image's number", key="review-search"
    )
    what = shown.selectbox("Show", list(SHOWN), key="review-shown")
    how = order.selectbox("Order", list(ORDERS), key="review-order")
    return what, how, text


def _frozen(
    run_id: str, rows: Sequence[ReviewRow], shown: str, order: str, search: str
) -> list[ReviewRow]:
    """The rows asked for, in an order that a correction or a new model does not disturb.

    A row that moved while somebody types would take the correction of another.
    """
    answered = frozenset(row.image_id for row in rows)  # an undo elsewhere may exchange some
    asked = (run_id, shown, order, search, answered)
    if st.session_state.get("review-asked") != asked:
        kept = review.chosen(rows, shown, order, search)
        st.session_state["review-asked"] = asked
        st.session_state["review-ids"] = tuple(row.image_id for row in kept)
        st.session_state["review-seen"] = {}
        st.session_state["review-table"] = st.session_state.get("review-table", 0) + 1
    by_id = {row.image_id: row for row in rows}
    return [by_id[image_id] for image_id in st.session_state["review-ids"] if image_id in by_id]


def _table(view: View, dataset: ImageDataset, rows: list[ReviewRow]) -> None:
    key = f"review-table-{st.session_state['review-table']}"
    ids = tuple(row.image_id for row in rows)
    st.data_editor(
        _frame(dataset.name, rows),
        key=key,
        hide_index=True,
        num_rows="fixed",
        row_height=ROW_HEIGHT,
        height=ROW_HEIGHT * min(len(rows), ROWS_SHOWN) + 38,
        disabled=[name for name in _COLUMNS if name != LABEL],
        column_config=_COLUMNS,
        on_change=_edited,
        args=(view, key, ids),
    )


def _edited(view: View, key: str, ids: tuple[int, ...]) -> None:
    """Store what was typed into the table, before anything is drawn."""
    seen: dict[int, int | None] = st.session_state["review-seen"]
    changes = review.new_edits(st.session_state[key]["edited_rows"], seen, ids)
    for image_id, label in changes.items():
        seen[image_id] = label
        said = review.correct(runtime.store(), view.log, image_id, label, annotator(view.log))
        st.session_state.setdefault("review-said", []).append(said)


_COLUMNS: dict[str, Any] = {
    "image": st.column_config.ImageColumn("image", width="small"),
    LABEL: st.column_config.NumberColumn(
        "your label", min_value=0, max_value=9, step=1, format="%d", help="Type a digit."
    ),
    "network": st.column_config.TextColumn("network now"),
    "doubt": st.column_config.ProgressColumn(
        "doubt", min_value=0.0, max_value=100.0, format="%.0f%%", help=f"{DOUBT.capitalize()}."
    ),
    "MNIST": st.column_config.NumberColumn("MNIST", format="%d"),
    "differs": st.column_config.TextColumn("differs from you"),
    "at first": st.column_config.TextColumn("at first", help="What a correction has replaced."),
    "asked at": st.column_config.NumberColumn("asked at", format="%d labels"),
    "seconds": st.column_config.NumberColumn("seconds", format="%.1f"),
    "by": st.column_config.TextColumn("by"),
    "number": st.column_config.NumberColumn("image's number", format="%d"),
}


def _frame(dataset: str, rows: Sequence[ReviewRow]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image": [_image(dataset, row.image_id) for row in rows],
            LABEL: pd.array([row.label for row in rows], dtype="Int64"),
            "network": [_belief(row) for row in rows],
            "doubt": pd.array(
                [None if row.doubt is None else 100 * row.doubt for row in rows], dtype="Float64"
            ),
            "MNIST": [row.truth for row in rows],
            "differs": [_differs(row) for row in rows],
            "at first": [_first(row) for row in rows],
            "asked at": [row.asked_at for row in rows],
            "seconds": pd.array([row.seconds for row in rows], dtype="Float64"),
            "by": [row.source for row in rows],
            "number": [row.image_id for row in rows],
        }
    )


@st.cache_data(show_spinner=False, max_entries=4096)
def _image(dataset: str, image_id: int) -> str:
    return image_data_uri(runtime.dataset(dataset).images[image_id])


def _belief(row: ReviewRow) -> str:
    if row.believed is None or row.confidence is None:
        return ""
    return f"{row.believed} at {row.confidence:.0%}"


def _differs(row: ReviewRow) -> str:
    sides = (("network", row.network_differs), ("MNIST", row.data_differs))
    return " and ".join(name for name, differs in sides if differs)


def _first(row: ReviewRow) -> str:
    if not row.corrected:
        return ""
    return "can't tell" if row.first is None else str(row.first)
