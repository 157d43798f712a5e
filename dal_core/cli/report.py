"""`dal report`: write the tables and figures of records to a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dal_core.cli import experiments, values
from dal_core.cli.errors import WrongUse
from dal_core.data import catalogue
from dal_core.data.base import DataError, ImageDataset
from dal_core.data.catalogue import DATASETS
from dal_core.record_file.io import read_record
from dal_core.record_file.schema import Record, protocol_params
from dal_core.record_file.sync import FILE_NAME, refresh_records, stored_record
from dal_core.report.write import write_report
from dal_core.store.home import default_home

COMPARED = (2, 4)  # fewest and most records of a comparison


def report(
    records: Sequence[str],
    out: str,
    *,
    dataset: str | None,
    compare: bool,
    calibration: bool,
    force: bool,
    home: Path | None,
) -> None:
    """Write the report of records, merged into one or, with `compare`, compared with the first.

    Args:
        records: paths of record files or their folders, or ids of experiments.
        out: the folder to write to.

    Raises:
        WrongUse: a record does not exist, or the folder is not empty; nothing is written.
        RecordError: a record cannot be read, or several cannot be merged.
    """
    if dataset is not None:
        values.dataset(dataset)
    if compare and not COMPARED[0] <= len(records) <= COMPARED[1]:
        raise WrongUse(
            f"--compare with {len(records)} records; allowed: {COMPARED[0]} to {COMPARED[1]}"
        )
    folder = _folder(out, force)
    read = [_record(text, home) for text in records]
    named = dict(zip(_names(read, records), read, strict=True))
    first, others = next(iter(named)), list(named)[1:]
    written = write_report(
        read[:1] if compare else read,
        folder,
        dataset=_images(dataset, read[0]),
        against={name: [named[name]] for name in others} if compare else None,
        name=first,
        calibration=calibration,
    )
    if calibration and not any(path.name.startswith("calibration_") for path in written):
        print("dal: no step of these records has measures of calibration", file=sys.stderr)
    print(f"{len(written)} files in {folder}; start with {written[0]}")


def _record(text: str, home: Path | None) -> Record:
    """The record in a file or folder, or the present record of a stored experiment."""
    path = values.path("RECORD", text)
    for file in (path, path / FILE_NAME):
        if file.is_file():
            return read_record(file)
    where = home or default_home()
    if not text or "/" in text or not where.is_dir():
        raise WrongUse(f"RECORD is {text!r}; allowed: a record file, or an experiment's id")
    store = values.open_store(home, create=False)
    found = experiments.find(store, text, "RECORD").experiment_id
    record = stored_record(store, found)
    missing = len(store.experiments.run_ids(found)) - len(store.experiments.runs(found))
    if missing:
        print(f"dal: {missing} of its runs are damaged and left out", file=sys.stderr)
    try:
        refresh_records(store, found)
    except OSError as error:  # a full or read-only disk; the report does not need the file
        print(f"dal: its record file was not written: {error.strerror}", file=sys.stderr)
    return record


def _folder(out: str, force: bool) -> Path:
    folder = values.path("--out", out)
    if folder.exists() and not folder.is_dir():
        raise WrongUse(f"--out is {out!r}, which is a file; allowed: a folder, created if needed")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise WrongUse(f"--out is {out!r}, which is not empty; add --force to write to it")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WrongUse(f"--out is {out!r}: {error.strerror}; allowed: a folder") from None
    return folder


def _names(records: Sequence[Record], typed: Sequence[str]) -> list[str]:
    """A name for each record of a comparison: its protocol if all differ, else its file."""
    names = [str(protocol_params(record).get("protocol") or "") for record in records]
    if all(names) and len(set(names)) == len(names):
        return names
    stems = [Path(text).parent.name if Path(text).name == FILE_NAME else text for text in typed]
    return stems if len(set(stems)) == len(stems) else [f"{s} ({i})" for i, s in enumerate(stems)]


def _images(name: str | None, record: Record) -> ImageDataset | None:
    """The data set of figure 1: the one given, else the record's if it is on this machine."""
    if name is not None:
        return catalogue.load(name)
    in_record = str(protocol_params(record).get("dataset") or "mnist")
    if in_record not in DATASETS:
        return None
    try:
        return catalogue.load(in_record)
    except DataError as error:
        print(f"dal: without figure 1: {' '.join(str(error).split())}", file=sys.stderr)
        return None
