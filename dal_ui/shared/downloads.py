"""Download buttons of a run: labels as CSV or JSON lines, record as YAML, the newest model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from dal_core.exchange.labels_out import render
from dal_core.exchange.model import has_model, model_bytes, predict_script
from dal_core.run.state import RunState
from dal_ui.shared import runtime
from dal_ui.shared.datasets import why_unavailable
from dal_ui.shared.markdown import plain

_FORMATS = {  # form: (what it is called, file name, MIME type)
    "csv": ("Labels (CSV)", "labels.csv", "text/csv"),
    "jsonl": ("Labels (JSON lines)", "labels.jsonl", "application/jsonl"),
    "yaml": ("Record (YAML)", "record.yaml", "application/yaml"),
}


def download_buttons(log: RunState) -> None:
    """One button for each format; the file is made on the click."""
    protocol, fingerprint = log.run.spec.protocol, log.run.spec.fingerprint
    if problem := why_unavailable(protocol.dataset, fingerprint):
        st.warning(
            f"Nothing can be downloaded because the data set cannot be read: {plain(problem)}"
        )
        return
    for form, (title, file_name, mime) in _FORMATS.items():
        st.download_button(
            title,
            data=partial(_text, log.run.run_id, form),
            file_name=f"{log.run.run_id}-{file_name}",
            mime=mime,
            icon=":material/download:",
            key=f"download-{form}",
            on_click="ignore",
            width="stretch",
        )
    if has_model(runtime.store().home, log.run.run_id):
        _model_buttons(log.run.run_id)


def _model_buttons(run_id: str) -> None:
    """The newest model, and the script that shows how to use it without this program."""
    files: dict[str, tuple[Callable[[], str | bytes], str]] = {
        "Model (safetensors)": (partial(_model, run_id), f"{run_id}.safetensors"),
        "How to use the model (predict.py)": (predict_script, "predict.py"),
    }
    for title, (data, file_name) in files.items():
        st.download_button(
            title,
            data=data,
            file_name=file_name,
            mime="application/octet-stream",
            icon=":material/download:",
            key=f"download-{file_name}",
            on_click="ignore",
            width="stretch",
        )


def _model(run_id: str) -> bytes:
    store = runtime.store()
    return model_bytes(store.home, store.log(run_id))


def _text(run_id: str, form: str) -> str:
    log = runtime.store().log(run_id)
    return render(log, runtime.dataset(log.run.spec.protocol.dataset), form)
