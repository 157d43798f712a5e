"""Export a run's labels as CSV or JSON Lines, or its record as YAML.

Pure functions of a log and its data set. An image is identified by its id in the data set and by
the SHA-256 of its pixels, so that the labels can be used without this program.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import dataclass, fields

import numpy as np

from dal_core.data.base import ImageDataset
from dal_core.limits.escaping import spreadsheet_safe
from dal_core.record_file.io import dump_record
from dal_core.record_file.sync import run_record
from dal_core.run.state import RunState

FORMATS = ("csv", "jsonl", "yaml")


@dataclass(frozen=True)
class LabelRow:
    """One answer, with its corrected label if it was corrected.

    Attributes:
        run: id of the run.
        image_sha256: hex digest of the image's pixels, uint8, row by row (RGB: pixel by pixel).
        label: the class, from 0; None if the image was skipped.
        source: "person" or "oracle".
        at: time at which the answers to the query were saved, ISO 8601, UTC.
        seconds: how long the person took for this image; None if unknown.
        query_id: the query that the row answers; rows of one query were submitted together.
        step: acquisition step k, the number of queries answered before (docs/method.md, section 1).
        n_labelled: labels in the training set before those of this query.
        position: place in the order of training, from 0; skipped images are counted too.
        corrected: whether the label was corrected after its submission.
        class_name: name of the class; None if the name is just the number, as for digits.
        first_label: the label before any correction; None if skipped, and for rows that were not
            corrected.
        corrected_by, corrected_at: who made the newest correction, and when (ISO 8601, UTC); None
            for rows that were not corrected. `annotator` stays the one who answered.
    """

    run: str
    image_id: int
    image_sha256: str
    label: int | None
    skipped: bool
    annotator: str
    source: str
    at: str
    seconds: float | None
    query_id: str
    step: int
    n_labelled: int
    position: int
    corrected: bool
    class_name: str | None = None
    first_label: int | None = None
    corrected_by: str | None = None
    corrected_at: str | None = None


COLUMNS = tuple(field.name for field in fields(LabelRow))


def label_rows(log: RunState, dataset: ImageDataset) -> list[LabelRow]:
    """Every answer, in the order of training; retracted submissions are left out.

    The initial training set is not included, since it was not queried.

    Raises:
        ValueError: `dataset` is not the run's, so its ids would mean other images.
    """
    if dataset.fingerprint != log.run.spec.fingerprint:
        raise ValueError(
            f"run {log.run.run_id} was made on other data: its fingerprint is "
            f"{log.run.spec.fingerprint[:12]}, that of {dataset.name} is {dataset.fingerprint[:12]}"
        )
    newest = {one.image_id: one for one in log.corrections}
    first = {one.image_id: one.before for one in reversed(log.corrections)}
    rows: list[LabelRow] = []
    n_labelled = log.run.n_initial
    for step, submission in enumerate(log.submissions):
        for answer in log.in_ranking_order(submission):
            correction = newest.get(answer.image_id)
            rows.append(
                LabelRow(
                    run=log.run.run_id,
                    image_id=answer.image_id,
                    image_sha256=image_sha256(dataset.images[answer.image_id]),
                    label=answer.label,
                    skipped=answer.label is None,
                    annotator=submission.annotator,
                    source=submission.source,
                    at=submission.at,
                    seconds=answer.seconds,
                    query_id=submission.query_id,
                    step=step,
                    n_labelled=n_labelled,
                    position=len(rows),
                    corrected=correction is not None,
                    class_name=_name_beside(answer.label, dataset),
                    first_label=first.get(answer.image_id),
                    corrected_by=correction.annotator if correction else None,
                    corrected_at=correction.at if correction else None,
                )
            )
        n_labelled += len(submission.labels)
    return rows


def to_csv(rows: list[LabelRow]) -> str:
    """A header and one line per row; no text cell can be read as a formula."""
    file = io.StringIO()
    columns = _columns(rows)
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: spreadsheet_safe(getattr(row, name)) for name in columns})
    return file.getvalue()


def to_jsonl(rows: list[LabelRow]) -> str:
    """One JSON object per row, with the columns of the CSV as keys and text unchanged."""
    columns = _columns(rows)
    objects = ({name: getattr(row, name) for name in columns} for row in rows)
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)


def _name_beside(label: int | None, dataset: ImageDataset) -> str | None:
    """The name of a class; None if names are just the numbers, as for digits."""
    named = dataset.class_names != tuple(map(str, range(dataset.n_classes)))
    return dataset.class_name(label) if named and label is not None else None


def _columns(rows: list[LabelRow]) -> tuple[str, ...]:
    """The columns that say something: no names of classes that are numbers, no corrections where
    there is none."""
    absent = set()
    if all(row.class_name is None for row in rows):
        absent = {"class_name"}
    if not any(row.corrected for row in rows):
        absent |= {"first_label", "corrected_by", "corrected_at"}
    return tuple(name for name in COLUMNS if name not in absent)


def render(log: RunState, dataset: ImageDataset, form: str) -> str:
    """The run in one of `FORMATS`, as text.

    Raises:
        ValueError: the format is unknown, or `dataset` is not the run's.
        RecordError: a measured value cannot be written to a record (yaml).
    """
    if form == "csv":
        return to_csv(label_rows(log, dataset))
    if form == "jsonl":
        return to_jsonl(label_rows(log, dataset))
    if form == "yaml":
        return dump_record(run_record(log))
    raise ValueError(f"format is {form!r}; allowed: {', '.join(FORMATS)}")


def image_sha256(image: np.ndarray) -> str:
    """SHA-256 (hex) of an image's pixels, uint8 [H, W] or [H, W, 3], row by row."""
    return hashlib.sha256(np.ascontiguousarray(image, dtype=np.uint8).data).hexdigest()
