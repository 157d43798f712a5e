"""Read labels from a CSV or JSON Lines file, as `dal export` writes it, into batches of answers.

Columns: `image_id`, `image_sha256`, `label` (empty: skipped) and `step` are required; `position`,
`annotator`, `source`, `at` and `seconds` are optional; others are ignored. Rows are sorted by
`position`, or keep their order if that column is missing. A whole number may be written as 7.0, as
pandas writes it in a column with an empty cell. Every error message is one line with the
line of the file, the column and the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any, NoReturn

from dal_core.data.base import ImageDataset
from dal_core.exchange.labels_out import LabelRow, image_sha256
from dal_core.limits.csv_text import read_csv
from dal_core.limits.escaping import spreadsheet_plain
from dal_core.limits.json_text import read_json
from dal_core.limits.refused import Malformed, Refused
from dal_core.limits.text import clean_name, shown
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import Answer, AnsweredBatch
from dal_core.run.rules import is_amount
from dal_core.run.splits import Split, split_of

MAX_BYTES, MAX_ROWS = 12_000_000, 40_000  # a row of ours has about 200 bytes
REQUIRED = ("image_id", "image_sha256", "label", "step")


class LabelFileError(ValueError):
    """A label file is not valid or does not fit the data; the message is one line."""


@dataclass(frozen=True, slots=True)
class GivenLabel:
    """One row of a label file; the columns are those of `labels_out.LabelRow`.

    Attributes:
        where: the row's place in the file, for messages.
    """

    where: str
    image_id: int
    image_sha256: str
    label: int | None
    step: int
    position: int
    annotator: str
    source: str
    at: str | None
    seconds: float | None


def read_labels(content: bytes, n_classes: int) -> list[GivenLabel]:
    """The rows of a file: JSON Lines if it starts with a brace, else CSV (comma or semicolon).

    Args:
        content: the bytes of the file.
        n_classes: labels are 0 to n_classes - 1.

    Raises:
        LabelFileError: the file is not text or has no rows, a column is missing, or a value is out
            of range.
    """
    if len(content) > MAX_BYTES:
        raise LabelFileError(f"the file is larger than {MAX_BYTES // 1_000_000} MB")
    try:
        text = content.decode("utf-8-sig")  # spreadsheets write a byte order mark
    except UnicodeDecodeError:
        raise LabelFileError("the file is not text (UTF-8)") from None
    if text.lstrip().startswith("["):
        raise LabelFileError(
            "the file is a JSON array; allowed: JSON Lines (one object on each line), or CSV"
        )
    found = _json_rows(text) if text.lstrip().startswith("{") else _csv_rows(text)
    rows: list[GivenLabel] = []
    for number, (where, row) in enumerate(found):
        if number >= MAX_ROWS:
            raise LabelFileError(f"{where} is row {number + 1}; allowed: at most {MAX_ROWS} rows")
        rows.append(_given(where, row, number, n_classes))
    if not rows:
        raise LabelFileError("the file holds no labels")
    return sorted(rows, key=lambda row: row.position)


def given_labels(rows: Sequence[LabelRow]) -> list[GivenLabel]:
    """The labels of a stored run as rows of a file, in the order of training."""
    return [
        GivenLabel(
            f"row {row.position + 1}",
            row.image_id,
            row.image_sha256,
            row.label,
            row.step,
            row.position,
            row.annotator,
            row.source,
            row.at,
            row.seconds,
        )
        for row in rows
    ]


def to_batches(
    rows: Sequence[GivenLabel], dataset: ImageDataset, spec: RunSpec
) -> list[AnsweredBatch]:
    """The rows as one batch of answers per step.

    Raises:
        LabelFileError: an image has other pixels than in `dataset`, is not in the run's pool, or
            occurs twice; the steps are out of order or more than the protocol has; or one step
            has two annotators or sources.
        ProtocolError: the data set is too small for the protocol.
    """
    seen: dict[int, str] = {}
    roles = _roles(split_of(spec, dataset))
    for row in rows:
        _check_image(row, dataset, roles)
        if row.image_id in seen:
            allowed = f"each image once; it is also in {seen[row.image_id]}"
            _refuse(row, "image_id", row.image_id, allowed)
        seen[row.image_id] = row.where
    for earlier, later in pairwise(rows):
        if later.step < earlier.step:
            _refuse(
                later,
                "step",
                later.step,
                f"{earlier.step} or more (steps never decrease)",
            )
    batches = [_batch(list(group)) for _, group in groupby(rows, key=lambda row: row.step)]
    most = spec.protocol.n_acquisition_steps
    if len(batches) > most:
        raise LabelFileError(
            f"there are labels of {len(batches)} steps; allowed: {most}, the protocol's "
            "n_acquisition_steps"
        )
    return batches


def _batch(rows: list[GivenLabel]) -> AnsweredBatch:
    first = rows[0]
    for row in rows:
        for name in ("annotator", "source"):
            value, expected = getattr(row, name), getattr(first, name)
            if value != expected:
                _refuse(row, name, value, f"{expected!r}, as in the rest of step {first.step}")
    answers = tuple(Answer(row.image_id, row.label, row.seconds) for row in rows)
    return AnsweredBatch(first.annotator, first.source, first.at, answers)  # type: ignore[arg-type]


def _check_image(row: GivenLabel, dataset: ImageDataset, roles: Mapping[int, str]) -> None:
    n_images = len(dataset.labels)
    if row.image_id >= n_images:
        _refuse(row, "image_id", row.image_id, f"0 to {n_images - 1} of {dataset.name}")
    here = image_sha256(dataset.images[row.image_id])
    if row.image_sha256 != here:
        allowed = f"{here[:12]}..., the pixels of image {row.image_id} of {dataset.name}"
        _refuse(row, "image_sha256", row.image_sha256[:12] + "...", allowed)
    role = roles.get(row.image_id, "unused")
    if role != "pool":
        _refuse(row, "image_id", row.image_id, f"an image of the seed's pool; this one is {role}")


def _roles(split: Split) -> dict[int, str]:
    parts = ("initial", "validation", "test", "pool")
    return {int(i): part for part in parts for i in getattr(split, part)}


def _csv_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    try:
        for line, row in read_csv(text, delimiter, MAX_ROWS):
            yield f"line {line}", {key: spreadsheet_plain(cell) for key, cell in row.items()}
    except Refused as error:
        raise LabelFileError(str(error)) from None


def _json_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = read_json(line)
        except Malformed:
            row = None
        except Refused as error:
            raise LabelFileError(f"line {number}: {error}") from None
        if not isinstance(row, dict):
            raise LabelFileError(f"line {number} is not a JSON object")
        yield f"line {number}", row


def _given(where: str, row: Mapping[str, Any], number: int, n_classes: int) -> GivenLabel:
    for column in REQUIRED:
        if column not in row:
            raise LabelFileError(f"{where} has no column {column}; needed: {', '.join(REQUIRED)}")
    reader = _Cells(where, row)
    return GivenLabel(
        where=where,
        image_id=reader.whole("image_id"),
        image_sha256=reader.text("image_sha256", "").lower(),
        label=reader.label(n_classes),
        step=reader.whole("step"),
        position=reader.whole("position") if "position" in row else number,
        annotator=reader.name("annotator", "oracle" if reader.source() == "oracle" else "unknown"),
        source=reader.source(),
        at=reader.time(),
        seconds=reader.seconds(),
    )


_WHOLE = re.compile(r"([0-9]{1,12})(?:\.0{1,12})?")


class _Cells:
    """Reads and checks the cells of one row (text from CSV, values from JSON).

    A blank cell counts as missing.
    """

    def __init__(self, where: str, row: Mapping[str, Any]) -> None:
        self.where, self._row = where, row

    def whole(self, column: str, allowed: str = "a whole number from 0") -> int:
        value = self._get(column)
        match = None if isinstance(value, bool) else _WHOLE.fullmatch(str(value))
        if match is None:
            self._refuse(column, allowed)
        return int(match[1])

    def label(self, n_classes: int) -> int | None:
        if self._get("label") is None:
            return None
        allowed = f"0 to {n_classes - 1}, or empty for a skipped image"
        label = self.whole("label", allowed)
        if label >= n_classes:
            self._refuse("label", allowed)
        return label

    def text(self, column: str, default: str) -> str:
        value = self._get(column)
        if value is None:
            return default
        if not isinstance(value, str):
            self._refuse(column, "text")
        return value

    def name(self, column: str, default: str) -> str:
        try:
            return clean_name(self.text(column, default), column)
        except LabelFileError:
            raise
        except ValueError as error:
            raise LabelFileError(f"{self.where}: {error}") from None

    def source(self) -> str:
        source = self.text("source", "person")
        if source not in ("person", "oracle"):
            self._refuse("source", "person or oracle")
        return source

    def time(self) -> str | None:
        text = self.text("at", "")
        try:
            return datetime.fromisoformat(text).isoformat(timespec="milliseconds") if text else None
        except ValueError:
            self._refuse("at", "a time such as 2026-01-31T12:00:00+00:00")

    def seconds(self) -> float | None:
        value = self._get("seconds")
        if value is None:
            return None
        try:
            seconds = float(value) if isinstance(value, str) else value
        except ValueError:
            seconds = -1
        if not is_amount(seconds):
            self._refuse("seconds", "a number from 0")
        return float(seconds)

    def _get(self, column: str) -> Any:
        value = self._row.get(column)
        return None if isinstance(value, str) and not value.strip() else value

    def _refuse(self, column: str, allowed: str) -> NoReturn:
        raise LabelFileError(
            f"{self.where}: {column} is {shown(self._row.get(column), 40)}; allowed: {allowed}"
        )


def _refuse(row: GivenLabel, column: str, value: Any, allowed: str) -> NoReturn:
    raise LabelFileError(f"{row.where}: {column} is {shown(value, 40)}; allowed: {allowed}")
