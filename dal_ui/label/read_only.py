"""A run that people may not change, on the labelling page: why, and the way on."""

from __future__ import annotations

import streamlit as st

from dal_core.data.base import ImageDataset
from dal_ui.label import actions
from dal_ui.label.view import View
from dal_ui.shared import person, runtime, shell
from dal_ui.shared.markdown import plain


def notice(view: View, dataset: ImageDataset) -> None:
    """Draw why the run is read-only, and the button that makes a person's run of it."""
    left, right = st.columns([3, 1], vertical_alignment="center")
    left.info(f"{plain(view.read_only or '')}.", icon=":material/lock:")
    if not actions.can_fork_by_hand(view.log):
        return
    if right.button("Fork it to go on by hand", type="primary", icon=":material/fork_right:"):
        try:
            run_id = actions.fork_by_hand(runtime.store(), dataset, view.log, runtime.device())
        except ValueError as error:
            st.error(f"{plain(str(error))}.")
            return
        person.note_labelled(run_id)
        shell.go_to(run_id)
