"""The labelling grid: a Streamlit component (v2) with which a person labels one query.

The page passes a query in and reads what was sent back. What the browser sends is parsed in
`submission`; storing it is the page's business.
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
    parse_review,
    parse_submission,
    parse_undo,
)

Sent = TypeVar("Sent")

DIGITS = "0123456789"
LETTERS = "abcdefghijklmnopqtvwxyz"  # without r, s and u: review, skip and undo


def label_grid(
    *,
    query_id: str,
    images: Sequence[tuple[int, str]],
    batch_size: int,
    class_names: Sequence[str],
    saved: bool = False,
    stored: Mapping[int, int] | None = None,
    disabled: bool = False,
    last: int | None = None,
    message: str = "",
    reviewing: bool = False,
    run: str = "",
    dropped: str = "",
    key: str = "label_grid",
) -> None:
    """Draw a query. Read what the person sent with `sent_submission`, before drawing.

    Args:
        query_id: names the query. The browser keeps labels not yet submitted under it, and the
            grid is rebuilt only when it changes.
        images: (image id, data URI), best first. The first `batch_size` are shown; the rest
            replace skipped images. Empty: the places are drawn without images, so that nothing
            moves when the images arrive.
        batch_size: images shown at a time.
        class_names: what a person calls each class; a label is an index into it.
        saved: the submission for this query is stored. Only then does the grid say "Saved".
        stored: with `saved`, the stored labels by image id, which the grid then shows.
        disabled: the grid is grey and ignores keys (the oracle answers, or a model is training).
        last: number of the submission that the undo key takes back; None where there is none.
        message: text over the empty places.
        reviewing: whether the review is open. Its first field gets the keyboard when it opens.
        run: names the run. Labels that were not stored are kept under it in the browser, and filled
            in when the same images are asked again.
        dropped: nonce of a submission that was not stored, since its query is asked no more.
        key: Streamlit's key; one per grid on a page.

    Raises:
        ValueError: the arguments do not make a query.
    """
    _check_query(query_id, [image_id for image_id, _ in images], batch_size)
    # Registered here and not on import: a registration outside a script run is lost to it.
    component = st.components.v2.component("dal_label_grid", js=_asset("js"), css=_asset("css"))
    component(
        key=key,
        data={
            "query_id": query_id,
            "images": [{"id": image_id, "src": source} for image_id, source in images],
            "batch_size": batch_size,
            "classes": class_keys(class_names),
            "saved": saved,
            "stored": None if stored is None else {str(i): stored[i] for i in stored},
            "disabled": disabled,
            "last": last,
            "message": message,
            "reviewing": reviewing,
            "run": run,
            "dropped": dropped,
        },
        # Without a callback the component's state lacks the attribute.
        on_submission_change=_nothing,
        on_undo_change=_nothing,
        on_review_change=_nothing,
    )


def class_keys(class_names: Sequence[str]) -> list[dict[str, str]]:
    """The key and the name of each class, in the order of the classes.

    Up to ten classes have the digits from 0, more have letters. A class without a key left has an
    empty one: it is labelled with its button.
    """
    keys = DIGITS if len(class_names) <= len(DIGITS) else LETTERS
    return [
        {"key": keys[index] if index < len(keys) else "", "name": name}
        for index, name in enumerate(class_names)
    ]


def sent_submission(key: str = "label_grid") -> GridSubmission | None:
    """The newest submission the browser sent, for any query; it is known before the grid is drawn.

    It is component state: every rerun returns it again, so the caller must treat a nonce it has
    seen as the same submission.

    Raises:
        ValueError: the browser sent something that is not a submission; one line.
    """
    return parse_submission(_state(key, "submission"))


def sent_undo(key: str = "label_grid") -> GridUndo | None:
    """The newest request of the undo key, which stays until the next; None where unreadable."""
    return _readable(_state(key, "undo"), parse_undo)


def sent_review(key: str = "label_grid") -> GridReview | None:
    """The newest request of the review key, which stays until the next; None where unreadable."""
    return _readable(_state(key, "review"), parse_review)


def _state(key: str, name: str) -> object:
    """What the browser sent under a name; None before it has sent anything."""
    return getattr(st.session_state.get(key), name, None)


def _readable(raw: object, parse: Callable[[object], Sent | None]) -> Sent | None:
    try:
        return parse(raw)
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
    """The component's script or style sheet; the script files make one module."""
    names = {"js": ("state.js", "mirror.js", "view.js", "grid.js"), "css": ("grid.css",)}[kind]
    folder = files(__package__)
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def _nothing() -> None:
    """The page reads what was sent before it draws the grid."""
