"""Reads labels of picture files: CSV, JSON Lines (`file_name,label`) and Label Studio's JSON.

A label belongs to a file by its path in the source, or by its bare name where only one file has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from dal_core.data.base import DataError
from dal_core.limits.csv_text import read_csv
from dal_core.limits.escaping import spreadsheet_plain
from dal_core.limits.json_text import read_json, read_json_list
from dal_core.limits.refused import Refused
from dal_core.limits.text import shown

METADATA = ("metadata.csv", "metadata.jsonl")  # at the top of a source (Hugging Face imagefolder)
MAX_BYTES, MAX_ROWS = 200_000_000, 1_000_000
FILE, LABEL = "file_name", "label"

_UPLOADED = re.compile(r"[0-9a-f]{8}-")  # Label Studio puts this before the name of an upload


@dataclass(frozen=True)
class Given:
    """A label of a file, as it was written.

    Attributes:
        where: the line or task, for messages.
        label: the class; None where the file is named without one.
    """

    file: str
    label: str | None
    where: str


def read_labels(name: str, content: bytes) -> list[Given]:
    """The labels in a file; its name tells the format (.csv, .tsv, .jsonl, .json).

    Raises:
        DataError: the file is not of its format, in one line with its name and the place.
    """
    reader = _READERS.get(PurePosixPath(name).suffix.lower())
    if reader is None:
        raise DataError(f"{name}: labels are read from {', '.join(_READERS)}")
    try:
        text = content.decode("utf-8-sig")
        return list(reader(text))
    except UnicodeDecodeError:
        raise DataError(f"{name}: is not text in UTF-8") from None
    except Refused as error:
        raise DataError(f"{name}: {error}") from None


class Files:
    """Finds the file of a source that a label names.

    Args:
        names: all files.
        prefix: the folder in which the file of labels lies, with a `/` at its end.
    """

    def __init__(self, names: Iterable[str], prefix: str = "") -> None:
        self._names, self._prefix = frozenset(names), prefix
        self._by_base: dict[str, str | None] = {}
        for name in self._names:
            base = PurePosixPath(name).name
            self._by_base[base] = None if base in self._by_base else name

    def find(self, text: str) -> str | None:
        """The file's name in the source; None if there is no such file, or several."""
        for name in _spellings(text):
            if self._prefix + name in self._names:
                return self._prefix + name
        for name in _spellings(text):
            base = PurePosixPath(name).name
            found = self._by_base.get(base) or self._by_base.get(_UPLOADED.sub("", base, count=1))
            if found:
                return found
        return None


def assign(
    given: Iterable[Given], files: Files, source: str
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """(label by file, [(name, reason) of what was not used]).

    Raises:
        DataError: a file has two different labels.
    """
    labels: dict[str, tuple[str, str]] = {}
    unused: list[tuple[str, str]] = []
    for one in given:
        file = files.find(one.file)
        if file is None:
            unused.append((one.file[:1000], f"is named in {source} ({one.where}) but is not there"))
        elif one.label is not None:
            first, where = labels.setdefault(file, (one.label, one.where))
            if first != one.label:
                raise DataError(
                    f"{source}: {one.where} calls {shown(file)} {shown(one.label)}, and {where} "
                    f"{shown(first)}; allowed: one label for a picture"
                )
    return {file: label for file, (label, _) in labels.items()}, unused


def _spellings(text: str) -> Iterator[str]:
    """The path itself, and what it may mean: a web address, Windows' slashes, an escaped cell."""
    for one in (text, spreadsheet_plain(text)):
        yield one
        yield one.replace("\\", "/").removeprefix("./")
    try:
        parts = urlsplit(text)
        local = parse_qs(parts.query).get("d", [])
    except ValueError:
        return
    for one in (*local, parts.path):
        yield unquote(one).lstrip("/")


def _csv(text: str) -> Iterator[Given]:
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    for line, row in read_csv(text, delimiter, MAX_ROWS):
        yield _row(row, f"line {line}")


def _jsonl(text: str) -> Iterator[Given]:
    for number, line in enumerate(text.split("\n"), 1):
        if number > MAX_ROWS:
            raise Refused(f"it has more than {MAX_ROWS:,} lines")
        if line.strip():
            try:
                row = read_json(line)
            except Refused as error:
                raise Refused(f"line {number}: {error}") from None
            if not isinstance(row, Mapping):
                raise Refused(f"line {number} is {shown(row)}; allowed: an object")
            yield _row(row, f"line {number}")


def _row(row: Mapping[str, Any], where: str) -> Given:
    missing = next((name for name in (FILE, LABEL) if name not in row), None)
    if missing:
        listed = ", ".join(shown(name) for name in list(row)[:5])
        raise Refused(f"{where} has {listed}; allowed: {FILE} and {LABEL}, and others beside them")
    return Given(_text(row[FILE], FILE, where), _label(row[LABEL], where), where)


def _label_studio(text: str) -> Iterator[Given]:
    """Tasks as Label Studio exports them (JSON), or in its short form (JSON-MIN)."""
    for number, task in enumerate(read_json_list(text, MAX_ROWS), 1):
        where = f"task {number}"
        if not isinstance(task, Mapping):
            raise Refused(f"{where} is {shown(task)}; allowed: an object")
        data = task.get("data", task)
        if not isinstance(data, Mapping) or "image" not in data:
            raise Refused(f"{where} has no image; allowed: a task with data.image")
        image = _text(data["image"], "image", where)
        yield Given(image, _choice(task, where), where)


def _choice(task: Mapping[str, Any], where: str) -> str | None:
    """The one choice of a task; None where there is none, or annotators contradict each other."""
    if "annotations" not in task:
        return _label(task.get("choice"), where)
    found = {
        _label(choice, where)
        for annotation in _dicts(task["annotations"])
        if not annotation.get("was_cancelled")
        for result in _dicts(annotation.get("result"))
        if result.get("type") == "choices"
        for value in _dicts([result.get("value")])
        for choice in (value.get("choices") or ())
    } - {None}
    return found.pop() if len(found) == 1 else None


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _text(value: Any, what: str, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise Refused(f"{where}: {what} is {shown(value)}; allowed: text")
    return value


def _label(value: Any, where: str) -> str | None:
    """The label as text; None where there is none. A cell may be marked as in `escaping`."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Refused(f"{where}: {LABEL} is {shown(value)}; allowed: text or a whole number")
    return spreadsheet_plain(str(value)).strip() or None


_READERS = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _jsonl,
    ".json": _label_studio,
}
