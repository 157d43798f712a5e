"""Coverage-guided fuzzing of one reader with atheris, in a process of its own.

    python -m tests.fuzz.guided {record | labels} [options of libFuzzer]

libFuzzer changes inputs so that they reach code that no earlier one reached. An exception that the
reader should not raise ends the process with its traceback.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(
    include=["dal_core.limits", "dal_core.record_file", "dal_core.exchange"]
):
    from dal_core.exchange.labels_in import LabelFileError, read_labels
    from dal_core.limits.text import visible
    from dal_core.record_file.io import read_record
    from dal_core.record_file.schema import curves
    from dal_core.record_file.validate import RecordError


def record(content: bytes) -> None:
    try:
        curves(read_record(content))
    except RecordError as error:
        check(error)


def labels(content: bytes) -> None:
    try:
        read_labels(content, 10)
    except LabelFileError as error:
        check(error)


def check(error: Exception) -> None:
    if visible(str(error)) != str(error):
        raise AssertionError(f"not one line: {str(error)!r}")


if __name__ == "__main__":
    reader = {"record": record, "labels": labels}[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], reader)
    atheris.Fuzz()
