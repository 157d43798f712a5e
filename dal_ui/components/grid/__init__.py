"""The labelling grid: a Streamlit component (v2) with which a person answers one query.

Owns the grid on the page and the reading of what it sends. It neither stores answers nor decides
which images are shown: the page passes a query in, and a submission or its undoing on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TypeVar

import streamlit as st

from dal_ui.components.grid.submission import (
    GridReview,
    GridSubmission,
    GridUndo,
    check_answers_query,
    parse_review,
    parse_submission,
    parse_undo,
)

Sent = TypeVar("Sent")

__all__ = [
    "GridReview",
    "GridSubmission",
    "GridUndo",
    "label_grid",
    "parse_review",
    "parse_submission",
    "parse_undo",
    "sent_review",
    "sent_submission",
    "sent_undo",
]


def label_grid(
    *,
    query_id: str,
    images: Sequence[tuple[int, str]],
    batch_size: int,
    saved: bool = False,
    stored: Mapping[int, int] | None = None,
    disabled: bool = False,
    last: int | None = None,
    message: str = "",
    reviewing: bool = False,
    key: str = "label_grid",
) -> GridSubmission | None:
    """Show a query and return what the person submitted for it.

    The submission is component state, so every rerun returns it again until another query is
    shown: whoever stores it must take the same nonce twice as one.

    Args:
        query_id: names the query. Labels not yet submitted are kept in the browser under it; the
            grid is drawn anew only when it changes.
        images: (image id, data URI), best first. The first `batch_size` are shown, the rest
            replace skipped images. None yet: as many empty places, so that nothing moves when
            they come.
        batch_size: images shown at a time.
        saved: the submission for this query is stored. The grid says "saved" only then.
        stored: with `saved`, the labels that are stored, by image id. The grid shows them, whoever
            gave them.
        disabled: grey, takes no keys (the oracle answers, or a model is training).
        last: number of the submission that the undo key takes back; None where there is none.
        message: said over the empty places.
        reviewing: the review is open: when it opens, its first field gets the keyboard.
        key: Streamlit's key; one per grid on a page.

    Returns:
        The submission for this query, or None while there is none.

    Raises:
        ValueError: the arguments make no query, or the browser sent something else than answers
            to this query.
    """
    image_ids = [image_id for image_id, _ in images]
    _check_query(query_id, image_ids, batch_size)
    # Registered here and not on import: a registration outside a script run is lost to it.
    component = st.components.v2.component("dal_label_grid", js=_asset("js"), css=_asset("css"))
    result = component(
        key=key,
        data={
            "query_id": query_id,
            "images": [{"id": image_id, "src": source} for image_id, source in images],
            "batch_size": batch_size,
            "saved": saved,
            "stored": None if stored is None else {str(i): stored[i] for i in stored},
            "disabled": disabled,
            "last": last,
            "message": message,
            "reviewing": reviewing,
        },
        # without a callback the result lacks the attribute
        on_submission_change=_nothing,
        on_undo_change=_nothing,
        on_review_change=_nothing,
    )
    submission = parse_submission(result.submission)
    if submission is None or submission.query_id != query_id:
        return None
    check_answers_query(submission, image_ids, batch_size)
    return submission


def sent_submission(key: str = "label_grid") -> GridSubmission | None:
    """What the browser sent last, for whichever query: known before the grid is drawn.

    So a page can store it first and draw once, and can tell a person whose query another tab has
    answered meanwhile. None when nothing was sent, or nothing that can be read: `label_grid`
    names what is wrong with it.
    """
    return _sent(key, "submission", parse_submission)


def sent_undo(key: str = "label_grid") -> GridUndo | None:
    """What the undo key asked for last; it stays, so whoever obeys must know what it has done.

    None when nothing was asked for, or nothing that can be read.
    """
    return _sent(key, "undo", parse_undo)


def sent_review(key: str = "label_grid") -> GridReview | None:
    """What the review key asked for last; it stays, and its nonce says whether it is new.

    None when nothing was asked for, or nothing that can be read.
    """
    return _sent(key, "review", parse_review)


def _sent(key: str, name: str, parse: Callable[[object], Sent | None]) -> Sent | None:
    try:
        return parse(getattr(st.session_state.get(key), name, None))
    except ValueError:
        return None


def _check_query(query_id: str, image_ids: Sequence[int], batch_size: int) -> None:
    if not query_id:
        raise ValueError("query_id is empty; allowed: the name of a query")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; allowed: 1 or larger")
    if len(set(image_ids)) < len(image_ids):
        raise ValueError(f"images has an id twice: {image_ids}; allowed: different image ids")


@cache
def _asset(kind: str) -> str:
    """The component's script or style sheet; the script's files make one module."""
    names = {"js": ("state.js", "mirror.js", "grid.js"), "css": ("grid.css",)}[kind]
    folder = files(__package__)
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def _nothing() -> None:
    """The page reads what was sent before it draws."""
