"""Whether a data set's digits can be read, and what a person can do when they cannot."""

from __future__ import annotations

import streamlit as st

from dal_core.data import catalogue
from dal_core.data.base import DataError
from dal_ui.shared import runtime


def digits_are_here(name: str, fingerprint: str | None = None) -> bool:
    """Whether the digits can be read; otherwise says why not and offers what can be done.

    Args:
        fingerprint: of the digits a run was made on; others under the same name will not do.
    """
    problem = why_unreadable(name, fingerprint)
    if problem is None:
        return True
    st.warning(problem, icon=":material/image_not_supported:")
    fetchable = catalogue.DATASETS[name].needs_download and why_unreadable(name) is not None
    if fetchable and st.button("Download MNIST (11 MB)", icon=":material/download:"):
        _download(name)
    return False


def why_unreadable(name: str, fingerprint: str | None = None) -> str | None:
    """None where the digits can be read (and are those of the fingerprint), else one line."""
    try:
        dataset = runtime.dataset(name)
    except DataError as error:
        return str(error)
    if fingerprint in (None, dataset.fingerprint):
        return None
    return (
        f"This run was made on other digits than {name} holds now: fingerprint "
        f"{str(fingerprint)[:12]}, now {dataset.fingerprint[:12]}. Nothing was changed."
    )


def _download(name: str) -> None:
    bar = st.progress(0.0, "Downloading ...")

    def show(what: str, done: int, total: int) -> None:
        share = done / total if total else 0.0
        bar.progress(min(share, 1.0), f"{what}: {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    try:
        catalogue.fetch(name, progress=show)
    except (DataError, OSError) as error:
        bar.empty()
        st.error(f"The download failed, nothing was changed: {error}")
        return
    st.rerun()
