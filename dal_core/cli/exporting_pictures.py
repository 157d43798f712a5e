"""`dal export` for pictures that a person brought in: labels by file name, folders, predictions."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from dal_core.cli import values
from dal_core.cli.errors import Failed, WrongUse
from dal_core.data import catalogue
from dal_core.data.base import ImageDataset
from dal_core.data.own.about import read_about
from dal_core.data.own.place import folder_of
from dal_core.exchange import pictures_out as out
from dal_core.exchange.folders_out import write_folders
from dal_core.exchange.model import NoModel
from dal_core.limits.text import visible
from dal_core.run.state import RunState


def rendered(home: Path, text: str, log: RunState, form: str, rest: bool) -> str:
    """The run in one of `pictures_out.FORMATS`. Raises WrongUse."""
    dataset = catalogue.load(log.run.spec.protocol.dataset)
    names = _names(home, text, dataset)
    if form == "predictions":
        ids, mean = _predicted(home, text, log, dataset)
        return out.to_predictions(dataset, names, ids, mean)
    rows = _rows(home, text, log, dataset, names, rest)
    writers = {
        "metadata-csv": out.to_metadata_csv,
        "metadata-jsonl": out.to_metadata_jsonl,
        "label-studio": out.to_label_studio,
    }
    return writers[form](rows)


def folders(text: str, to: Path, *, home: Path | None, rest: bool, link: bool) -> None:
    """Write a folder for each class. Raises WrongUse, DataError, Failed."""
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise WrongUse(f"--out is '{to}', which exists; allowed: a new or empty folder")
    if not to.absolute().parent.is_dir():
        raise WrongUse(f"--out is '{to}'; allowed: a folder in one that exists")
    store = values.open_store(home, create=False)
    log = store.log(values.find_run(store, text).run_id)
    dataset = catalogue.load(log.run.spec.protocol.dataset)
    names = _names(store.home, text, dataset)
    source = Path(read_about(folder_of(store.home, dataset.name)).source)
    if link and not source.is_dir():
        raise WrongUse(f"--link is given, but the pictures came from {source}; allowed: a folder")
    seen = {one.file: one for one in out.files_of(store.home, dataset)}
    rows = _rows(store.home, text, log, dataset, names, rest)
    n_written, left_out = write_folders(source, rows, seen, to.absolute(), link=link)
    for why, count in Counter(why for _, why in left_out).most_common():
        first = next(name for name, other in left_out if other == why)
        print(f"dal: left out, {why}: {count} ({visible(first)})", file=sys.stderr)
    if rows and not n_written:
        raise Failed(f"no picture in {source} is as it was imported")
    print(f"wrote {n_written} pictures to {visible(str(to))}", file=sys.stderr)


def _names(home: Path, text: str, dataset: ImageDataset) -> list[str]:
    try:
        return [one.file for one in out.files_of(home, dataset)]
    except out.NoFiles as error:
        raise WrongUse(f"RUN is {text!r}; {error}") from None


def _rows(
    home: Path, text: str, log: RunState, dataset: ImageDataset, names: list[str], rest: bool
) -> list[out.FileLabel]:
    rows = out.known_labels(log, dataset, names)
    if rest:
        ids, mean = _predicted(home, text, log, dataset)
        rows += out.predicted_labels(log, dataset, names, ids, mean)
    return rows


def _predicted(
    home: Path, text: str, log: RunState, dataset: ImageDataset
) -> tuple[np.ndarray, np.ndarray]:
    try:
        return out.predict_rest(home, log, dataset)
    except NoModel as error:
        raise WrongUse(f"RUN is {text!r}; {error}; allowed: a run that has been fitted") from None
