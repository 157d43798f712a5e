"""The audit of a run on disk: what people answered for its images, and what each model predicted.

Two files in the run's folder, to which lines are only ever added. The newest answer for an image
counts, and the newest prediction of a model. Answers are on the disk before `add_answers` returns.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dal_core.limits.json_text import read_json
from dal_core.limits.refused import Refused
from dal_core.limits.text import clean_name
from dal_core.run.rows import now
from dal_core.store.home import run_dir

ANSWERS, PREDICTIONS = "audit.jsonl", "audit_predictions.jsonl"


@dataclass(frozen=True)
class AuditAnswer:
    """What a person says of an audit image.

    Attributes:
        label: the class; None if they cannot tell.
        at: ISO 8601, UTC.
    """

    image_id: int
    label: int | None
    annotator: str
    at: str


@dataclass(frozen=True)
class AuditPrediction:
    """The classes that a model predicts for all audit images, in their order.

    Attributes:
        after, corrected, n_labelled: the labels that the model was fitted to.
    """

    after: int
    corrected: int
    n_labelled: int
    predicted: tuple[int, ...]


def add_answers(
    home: Path,
    run_id: str,
    answers: Mapping[int, int | None],
    annotator: str,
    *,
    audit: Collection[int],
    n_classes: int,
) -> None:
    """Store answers for audit images.

    Args:
        answers: label by image id; None if the person cannot tell.
        audit: the run's audit images.

    Raises:
        ValueError: an image is not in the audit, or a label or the name is not allowed. Nothing is
            stored.
        OSError: the file cannot be written.
    """
    name, at = clean_name(annotator, "annotator"), now()
    for image_id, label in answers.items():
        if image_id not in audit:
            raise ValueError(f"image {image_id} is not one of the {len(audit)} audit images")
        if label is not None and not 0 <= label < n_classes:
            raise ValueError(
                f"the label of image {image_id} is {label}; allowed: 0 to {n_classes - 1}, or None"
            )
    _append(
        run_dir(home, run_id) / ANSWERS,
        [asdict(AuditAnswer(image_id, label, name, at)) for image_id, label in answers.items()],
    )


def read_answers(home: Path, run_id: str) -> dict[int, AuditAnswer]:
    """The newest answer for each image."""
    found: dict[int, AuditAnswer] = {}
    for facts in _lines(run_dir(home, run_id) / ANSWERS):
        try:
            answer = AuditAnswer(**facts)
        except TypeError:
            continue
        found[answer.image_id] = answer
    return found


def add_prediction(home: Path, run_id: str, prediction: AuditPrediction) -> None:
    """Store what a model predicts, unless the newest line says so already. Raises OSError."""
    known = read_predictions(home, run_id)
    if prediction not in known:
        _append(run_dir(home, run_id) / PREDICTIONS, [asdict(prediction)])


def read_predictions(home: Path, run_id: str) -> list[AuditPrediction]:
    """The newest prediction of each model, in the order of the models."""
    found: dict[tuple[int, int], AuditPrediction] = {}
    for facts in _lines(run_dir(home, run_id) / PREDICTIONS):
        try:
            one = AuditPrediction(**{**facts, "predicted": tuple(facts["predicted"])})
        except (TypeError, KeyError):
            continue
        found[one.after, one.corrected] = one
    return [found[key] for key in sorted(found)]


def _append(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add lines at the end, synced to the disk; an earlier line that was cut off is closed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    with path.open("a+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            text = text if file.read(1) == b"\n" else "\n" + text
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in a file, without lines that are cut off or damaged."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                value = read_json(line)
            except Refused:
                continue
            if isinstance(value, dict):
                yield value
