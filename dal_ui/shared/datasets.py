"""Whether a data set can be read here, and what a person can do when it cannot."""

from __future__ import annotations

import streamlit as st

from dal_core.data import catalogue
from dal_core.data.base import UNKNOWN, DataError, ImageDataset
from dal_ui.shared import runtime
from dal_ui.shared.markdown import plain


def dataset_title(name: str) -> str:
    """What people call the data set."""
    return catalogue.DATASETS[name].title


def true_label(dataset: ImageDataset, image_id: int) -> int | None:
    """The data set's label of an image; None where it is unknown."""
    label = int(dataset.labels[image_id])
    return None if label == UNKNOWN else label


def dataset_available(name: str, fingerprint: str | None = None) -> bool:
    """Whether the data set can be read; otherwise draws the reason and offers the download.

    Args:
        fingerprint: of a run's data; other data under the same name do not count.
    """
    problem = why_unavailable(name, fingerprint)
    if problem is None:
        return True
    st.warning(plain(problem), icon=":material/image_not_supported:")
    fetchable = catalogue.DATASETS[name].needs_download and why_unavailable(name) is not None
    if fetchable and st.button(f"Download {dataset_title(name)}", icon=":material/download:"):
        _download(name)
    return False


def why_unavailable(name: str, fingerprint: str | None = None) -> str | None:
    """None where the data set can be read and has the fingerprint; else the reason in one line."""
    if name not in catalogue.DATASETS:
        return f"The data set {name!r} is not installed here. Nothing was changed."
    try:
        dataset = runtime.dataset(name)
    except DataError as error:
        return str(error)
    if fingerprint in (None, dataset.fingerprint):
        return None
    return (
        f"This run used other data than {name} holds now: fingerprint "
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
        st.error(f"The download failed, nothing was changed: {plain(str(error))}")
        return
    st.rerun()
