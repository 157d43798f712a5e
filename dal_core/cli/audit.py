"""`dal audit`: label a run's audit images by a file, and print the accuracy with its interval."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from dal_core.cli import values
from dal_core.cli.errors import Failed, WrongUse
from dal_core.data import catalogue
from dal_core.data.base import DataError, ImageDataset
from dal_core.data.own.files import file_names
from dal_core.data.own.labels_in import MAX_BYTES, Files, assign, read_labels
from dal_core.limits.files import read_file
from dal_core.limits.refused import Refused
from dal_core.limits.text import shown, visible
from dal_core.results.audit import audit_points
from dal_core.run.splits import split_of
from dal_core.store.audit import add_answers, read_answers, read_predictions


def audit(
    text: str, labels: str | None, by: str | None, *, home: Path | None, as_json: bool
) -> None:
    """Store the labels of a file, then print the audit. Raises WrongUse, DataError, Failed."""
    store = values.open_store(home, create=False)
    run = values.find_run(store, text)
    dataset = catalogue.load(run.spec.protocol.dataset)
    ids = split_of(run.spec, dataset).audit.tolist()
    if not ids:
        raise WrongUse(
            f"RUN is {shown(text)}, which has no audit; allowed: a run with audit_size above 0"
        )
    names = file_names(store.home, dataset.name) or [str(i) for i in range(len(dataset))]
    if (labels is None) != (by is None):
        raise WrongUse("--labels and --by are given together, or neither")
    if labels is not None and by is not None:
        found = _read(values.path("--labels", labels), dataset, [names[i] for i in ids])
        by_id = {i: found[names[i]] for i in ids if names[i] in found}
        size = dataset.n_classes
        try:
            add_answers(store.home, run.run_id, by_id, by, audit=ids, n_classes=size)
        except ValueError as error:
            raise WrongUse(f"--by: {error}") from None
        except OSError as error:
            raise Failed(f"the answers were not stored: {error.strerror}") from None
    answers = read_answers(store.home, run.run_id)
    points = audit_points(ids, read_predictions(store.home, run.run_id), answers)
    left = [names[i] for i in ids if i not in answers]
    if as_json:
        print(json.dumps({"points": [asdict(one) for one in points], "to_label": left}))
        return
    for one in points:
        print(
            f"{one.n_labelled} labels: {one.n_right} of {one.n} right, "
            f"95% interval {one.low:.1%} to {one.high:.1%}"
        )
    if left:
        print(f"{len(left)} of {len(ids)} audit images have no label yet:")
        print("\n".join(visible(name) for name in left))


def _read(path: Path, dataset: ImageDataset, audit: list[str]) -> dict[str, int]:
    """The class of each audit image in a file of labels; other files in it are ignored."""
    try:
        given = read_labels(path.name, read_file(path, MAX_BYTES))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except Refused as error:
        raise DataError(f"{path}: {error}") from None
    found, _ = assign(given, Files(audit), path.name)
    wrong = next((label for label in found.values() if label not in dataset.class_names), None)
    if wrong is not None:
        listed = ", ".join(dataset.class_names[:10])
        raise WrongUse(f"--labels: {path.name} has {shown(wrong)}; allowed: {listed}")
    return {name: dataset.class_names.index(label) for name, label in found.items()}
