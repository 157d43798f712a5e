"""A run's labels by file name, for pictures that a person brought in, and predictions for the rest.

What people gave, what was labelled before and what the model predicts are told apart in every form.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dal_core.data.base import ImageDataset
from dal_core.data.own.files import files
from dal_core.data.own.journal import Seen
from dal_core.exchange.model import WEIGHTS, NoModel
from dal_core.execution.checkpoints import load_fitted
from dal_core.learner.base import make_learner
from dal_core.limits.escaping import spreadsheet_safe
from dal_core.run.labelled import labelled_of, state_at
from dal_core.run.splits import split_of
from dal_core.run.state import RunState
from dal_core.store import artefacts
from dal_core.store.artefacts import ArtefactDamaged, ArtefactMissing
from dal_core.store.home import run_dir

FORMATS = ("metadata-csv", "metadata-jsonl", "label-studio", "predictions")
FOLDERS = "image-folder"


class NoFiles(ValueError):
    """The images of a run's data set have no files; the message is one line."""


@dataclass(frozen=True)
class FileLabel:
    """The class of one file.

    Attributes:
        source: who says so: "person", "oracle", "model", or "data" (labelled before the import).
        by: the person's name, or the run of the model.
        probability: of the class, where a model predicts it; None otherwise.
    """

    file_name: str
    label: str
    source: str
    by: str
    probability: float | None = None


def files_of(home: Path, dataset: ImageDataset) -> list[Seen]:
    """The file of every image. Raises NoFiles if there are none."""
    found = files(home, dataset.name)
    if len(found) != len(dataset):
        raise NoFiles(f"{dataset.name} has no picture files; allowed: pictures of your own")
    return found


def known_labels(log: RunState, dataset: ImageDataset, names: Sequence[str]) -> list[FileLabel]:
    """What people or the oracle answered, then what was known before; skipped images are left out.

    Args:
        names: the file of every image.
    """
    rows = []
    answered = set()
    for submission in log.submissions:
        for answer in log.in_ranking_order(submission):
            if answer.label is None:
                continue
            answered.add(answer.image_id)
            label = dataset.class_name(answer.label)
            who = submission.source, submission.annotator
            rows.append(FileLabel(names[answer.image_id], label, *who))
    for image_id in np.flatnonzero(dataset.known).tolist():
        if image_id not in answered:
            label = dataset.class_name(int(dataset.labels[image_id]))
            rows.append(FileLabel(names[image_id], label, "data", ""))
    return rows


def predict_rest(home: Path, log: RunState, dataset: ImageDataset) -> tuple[np.ndarray, np.ndarray]:
    """(int64 [n] images without a label, float32 [n, C] what the newest model predicts for them).

    Raises:
        NoModel: the run has no trained model on disk.
        ValueError: the run was made with other data.
    """
    run_id, path = log.run.run_id, run_dir(home, log.run.run_id) / WEIGHTS
    try:
        _, facts = artefacts.load(path)
        after, corrected = int(facts["after"]), int(facts.get("corrected", 0))
        state = state_at(log, after, corrected)
    except (ArtefactMissing, ArtefactDamaged, KeyError, ValueError):
        raise NoModel(f"run {run_id} has no usable model") from None
    split = split_of(log.run.spec, dataset)
    learner = make_learner(log.run.spec, dataset)
    fitted = load_fitted(path, learner, labelled_of(state, split, dataset, corrected))
    if fitted is None or not fitted.n_labelled:
        raise NoModel(f"run {run_id} has no model yet: it has not been fitted to labels")
    labelled = [image_id for image_id, _ in log.labels()]
    rest = np.setdiff1d(np.flatnonzero(~dataset.known), labelled)
    chunks = (learner.inspect(fitted, some.tolist()).mean(0) for some in _chunks(rest))
    mean = np.concatenate([np.empty((0, dataset.n_classes), np.float32), *chunks])
    return rest, mean


def predicted_labels(
    log: RunState, dataset: ImageDataset, names: Sequence[str], rest: np.ndarray, mean: np.ndarray
) -> list[FileLabel]:
    """The likeliest class of each of the remaining images, the surest first."""
    best = mean.argmax(1)
    chance = mean[np.arange(len(rest)), best] if len(rest) else mean[:, 0]
    return [
        FileLabel(
            names[rest[n]],
            dataset.class_name(int(best[n])),
            "model",
            log.run.run_id,
            round(float(chance[n]), 6),
        )
        for n in np.lexsort((rest, -chance))
    ]


def to_metadata_csv(rows: Iterable[FileLabel]) -> str:
    """`file_name,label` with the columns of `FileLabel`; `dal data add --labels` reads it."""
    lines = [[getattr(row, name) for name in _COLUMNS] for row in rows]
    return _csv(_COLUMNS, lines)


def to_metadata_jsonl(rows: Iterable[FileLabel]) -> str:
    """One object per file, in the form of Hugging Face's imagefolder."""
    objects = ({name: getattr(row, name) for name in _COLUMNS} for row in rows)
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)


def to_label_studio(rows: Iterable[FileLabel]) -> str:
    """Tasks of Label Studio: people's labels as annotations, the model's as predictions."""
    return json.dumps([_task(row) for row in rows], ensure_ascii=False, indent=1) + "\n"


def to_predictions(
    dataset: ImageDataset, names: Sequence[str], rest: np.ndarray, mean: np.ndarray
) -> str:
    """A CSV with the probability of every class for the images without a label."""
    header = ("file_name", "label", *(f"p({name})" for name in dataset.class_names))
    lines = [
        [names[i], dataset.class_name(int(p.argmax())), *(f"{value:.6f}" for value in p)]
        for i, p in zip(rest.tolist(), mean, strict=True)
    ]
    return _csv(header, lines)


_COLUMNS = ("file_name", "label", "source", "by", "probability")


def _csv(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([spreadsheet_safe(cell) for cell in header])
    writer.writerows([spreadsheet_safe(cell) for cell in line] for line in lines)
    return file.getvalue()


def _task(row: FileLabel) -> dict[str, Any]:
    result = [
        {
            "from_name": "choice",
            "to_name": "image",
            "type": "choices",
            "value": {"choices": [row.label]},
        }
    ]
    task: dict[str, Any] = {"data": {"image": row.file_name}, "annotations": [], "predictions": []}
    if row.source == "model":
        said = {"model_version": row.by, "score": row.probability, "result": result}
        task["predictions"].append(said)
    else:
        task["annotations"].append({"result": result, "meta": {"source": row.source, "by": row.by}})
    return task


def _chunks(ids: np.ndarray, size: int = 2_000) -> Iterable[np.ndarray]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
