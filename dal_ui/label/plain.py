"""The query as a plain form, for assistive technology that prefers it and for page tests."""

from __future__ import annotations

import uuid

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dal_core.data.base import ImageDataset
from dal_core.figures.png import image_data_uri
from dal_core.run.events import Query
from dal_ui.components.grid.submission import GridSubmission

SKIP = "can't tell"
COLUMNS = 5


def plain_grid(
    query: Query, dataset: ImageDataset, *, disabled: bool = False
) -> GridSubmission | None:
    """Draw the images shown, each with a select box of the classes.

    Skipped images are replaced from the ranking when the form is sent; the labels already given
    stay in the form.

    Returns:
        The submission, once the form was sent and every image shown has a label.
    """
    skipped: list[int] = st.session_state.setdefault(f"skipped-{query.query_id}", [])
    shown = query.shown(skipped)
    with st.form(f"plain-{query.query_id}", border=True):
        chosen = _fields(query, dataset, shown, disabled)
        sent = st.form_submit_button(
            f"Submit {len(shown)} labels", type="primary", disabled=disabled
        )
    if not sent:
        return None
    unclear = [image_id for image_id, choice in chosen.items() if choice == SKIP]
    if unclear and _replaceable(query, skipped, unclear):
        skipped.extend(unclear)
        st.session_state["notice"] = f"{len(unclear)} replaced; nothing is saved yet."
        st.rerun()
    missing = sum(choice is None for choice in chosen.values())
    if missing:
        st.warning(f"{missing} of {len(shown)} images have no label yet. Nothing was saved.")
        return None
    return _submission(query, dataset, chosen, [*skipped, *unclear])


def _replaceable(query: Query, skipped: list[int], unclear: list[int]) -> bool:
    """Whether the ranking still holds images to replace some of the unclear ones."""
    return len(query.shown([*skipped, *unclear])) > len(query.shown(skipped)) - len(unclear)


def _fields(
    query: Query, dataset: ImageDataset, shown: tuple[int, ...], disabled: bool
) -> dict[int, str | None]:
    chosen: dict[int, str | None] = {}
    columns: list[DeltaGenerator] = []
    for position, image_id in enumerate(shown):
        if position % COLUMNS == 0:  # row by row, so that the tab key goes in reading order
            columns = st.columns(COLUMNS)
        with columns[position % COLUMNS]:
            st.image(image_data_uri(dataset.images[image_id]), width=84)
            chosen[image_id] = st.selectbox(
                f"Image {position + 1}",
                [*dataset.class_names, SKIP],
                index=None,
                placeholder=dataset.noun,
                key=f"plain-{query.query_id}-{image_id}",
                disabled=disabled,
            )
    return chosen


def _submission(
    query: Query, dataset: ImageDataset, chosen: dict[int, str | None], skipped: list[int]
) -> GridSubmission:
    answers = {
        image_id: dataset.class_names.index(choice)
        for image_id, choice in chosen.items()
        if choice is not None and choice != SKIP
    }
    return GridSubmission(
        nonce=uuid.uuid4().hex,
        query_id=query.query_id,
        answers=answers,
        skipped=tuple(skipped),
        seconds={},
    )
