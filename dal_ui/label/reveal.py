"""The reveal on the page: the batch answered last, image by image."""

from __future__ import annotations

import streamlit as st

from dal_core.data.base import ImageDataset
from dal_core.figures.png import image_data_uri
from dal_ui.label import actions, words
from dal_ui.label.actions import Revealed, View

IMAGE_WIDTH, SCALE = 56, 4  # pixels on the page; drawn larger, so that pixels stay sharp
COLUMNS = 10


def last_batch(view: View, dataset: ImageDataset, revealed: list[Revealed]) -> None:
    """What was said, what MNIST says and what the network thought; nothing before a batch."""
    if not revealed:
        return
    who_answered = view.log.submissions[-1].source
    who = "you" if who_answered == "person" else "the oracle"
    title = f"The last ten: what {who} said, what MNIST says, what the network thought"
    with st.expander(title, expanded=True, key="reveal"):
        if line := words.agreement(*actions.agreement(dataset, view.log)):
            st.caption(line)
        for start in range(0, len(revealed), COLUMNS):
            columns = st.columns(COLUMNS)
            for column, one in zip(columns, revealed[start:], strict=False):
                with column:
                    source = image_data_uri(dataset.images[one.image_id], SCALE)
                    # In the page itself: a file of the server would be gone when the next batch
                    # comes before the browser has asked for it.
                    st.image(source, width=IMAGE_WIDTH)
                    st.markdown(words.revealed(one, who_answered))
