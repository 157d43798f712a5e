"""The reveal on the labelling page: the batch answered last, image by image."""

from __future__ import annotations

import streamlit as st

from dal_core.data.base import ImageDataset
from dal_core.figures.png import image_data_uri
from dal_ui.label import words
from dal_ui.label.last_batch import Revealed, agreement
from dal_ui.label.view import View

IMAGE_WIDTH, SCALE = 56, 4  # pixels on the page; drawn larger, so that pixels stay sharp
COLUMNS = 10


def last_batch(view: View, dataset: ImageDataset, revealed: list[Revealed]) -> None:
    """Each label beside the data set's and the network's; nothing before the first batch."""
    if not revealed:
        return
    who_answered = view.log.submissions[-1].source
    whose = "your labels" if who_answered == "person" else "the oracle's labels"
    has_truth = any(one.truth is not None for one in revealed)
    truth = "the data set's labels, " if has_truth else ""
    title = f"The last batch: {whose}, {truth}the network's predictions"
    with st.expander(title, expanded=True, key="reveal"):
        if line := words.agreement(*agreement(dataset, view.log)):
            st.caption(line)
        for start in range(0, len(revealed), COLUMNS):
            columns = st.columns(COLUMNS)
            for column, one in zip(columns, revealed[start:], strict=False):
                with column:
                    source = image_data_uri(dataset.images[one.image_id], SCALE)
                    # Embedded in the page: the server would drop a file if the next batch came
                    # before the browser had asked for it.
                    st.image(source, width=IMAGE_WIDTH)
                    st.markdown(words.revealed(one, who_answered, dataset))
