"""Download buttons of a run: its labels as CSV or JSON lines, its record as YAML."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dal_core.export import render
from dal_core.store import RunLog
from dal_ui import runtime
from dal_ui.digits import why_unreadable

_FORMATS = {  # form: (what it is called, file name, MIME type)
    "csv": ("Labels (CSV)", "labels.csv", "text/csv"),
    "jsonl": ("Labels (JSON lines)", "labels.jsonl", "application/jsonl"),
    "yaml": ("Record (YAML)", "record.yaml", "application/yaml"),
}


def download_buttons(log: RunLog) -> None:
    """One button a format; the text is made when it is asked for."""
    protocol, fingerprint = log.run.spec.protocol, log.run.spec.fingerprint
    if problem := why_unreadable(protocol.dataset, fingerprint):
        st.warning(f"Its digits cannot be read, so the labels have no images: {problem}")
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


def _text(run_id: str, form: str) -> str:
    log = runtime.store().log(run_id)
    return render(log, runtime.dataset(log.run.spec.protocol.dataset), form)
