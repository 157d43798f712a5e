"""The batch on the labelling page: the grid, or the same as a plain form."""

from __future__ import annotations

import streamlit as st

from dal_core.data.base import ImageDataset
from dal_core.figures.png import image_data_uri
from dal_core.run.next_task import answers_itself
from dal_ui.components.grid import label_grid
from dal_ui.components.grid.submission import GridSubmission
from dal_ui.label import words
from dal_ui.label.plain import plain_grid
from dal_ui.label.view import View, batch_on_screen
from dal_ui.review.table import is_open
from dal_ui.shared import person, runtime

FIRST = "first"  # the grid's name for the query that is yet to come


def draw_batch(view: View, dataset: ImageDataset) -> GridSubmission | None:
    """Draw the images to label. Returns what was submitted in the plain form (`?plain=1`) just now.

    The grid's submissions are read before the page is drawn.
    """
    shown = batch_on_screen(view.log)
    if shown is None:
        label_grid(
            query_id=FIRST,
            images=[],
            batch_size=view.log.run.spec.protocol.n_samples_to_acquire,
            class_names=dataset.class_names,
            disabled=True,
            message=words.PLACES,
            run=view.log.run.run_id,
            reviewing=is_open(),
        )
        return None
    query, answered = shown
    is_mine = view.read_only is None and person.name() is not None
    unanswered = answered is None and not answers_itself(view.log) and not view.next_task.finished
    waits = is_mine and unanswered
    if st.query_params.get("plain") == "1":
        return plain_grid(query, dataset, disabled=not waits)
    label_grid(
        query_id=query.query_id,
        images=_images(dataset.name, query.ranking),
        batch_size=query.batch_size,
        class_names=dataset.class_names,
        saved=answered is not None,
        stored=answered.labels if answered else None,
        disabled=not waits,
        last=view.log.after or None,
        run=view.log.run.run_id,
        dropped=st.session_state.get("dropped", ""),
        reviewing=is_open(),
    )
    return None


@st.cache_data(show_spinner=False, max_entries=32)
def _images(name: str, image_ids: tuple[int, ...]) -> list[tuple[int, str]]:
    images = runtime.dataset(name).images
    return [(image_id, image_data_uri(images[image_id])) for image_id in image_ids]
