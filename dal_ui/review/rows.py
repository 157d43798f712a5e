"""What the review does, without drawing: every label given, how suspicious it is, corrections.

A label is suspicious as far as the network's mean prediction goes to other digits. The network has
learnt from these very labels, so what it still doubts is worth a look first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dal_core.data.base import ImageDataset
from dal_core.execution.predictions import Predictions
from dal_core.run.answers import AnswerError
from dal_core.run.events import Source
from dal_core.run.state import RunState
from dal_core.store.base import Store

LABEL = "your label"  # the column that can be changed


@dataclass(frozen=True)
class ReviewRow:
    """One answered image.

    Attributes:
        position: place in the order of answering, from 1.
        label: what it is said to be now; None: skipped, nobody could tell.
        first: what was said at first, where a correction has changed it.
        corrected: whether a correction has changed it.
        asked_at: labels there were when it was asked for.
        seconds: spent on it; None where nobody measured.
        believed: the digit the network thinks likeliest, and `confidence`, its probability; None
            where the newest model was not asked.
        doubt: probability of all other digits than `label`; None for skipped ones too.
        truth: what the data set says.
    """

    image_id: int
    position: int
    label: int | None
    first: int | None
    corrected: bool
    source: Source
    asked_at: int
    seconds: float | None
    believed: int | None
    confidence: float | None
    doubt: float | None
    truth: int

    @property
    def network_differs(self) -> bool:
        """Whether the network would label it otherwise."""
        return self.label is not None and self.believed not in (None, self.label)

    @property
    def data_differs(self) -> bool:
        """Whether the data set labels it otherwise."""
        return self.label is not None and self.truth != self.label


SHOWN: Mapping[str, Callable[[ReviewRow], bool]] = {
    "All labels": lambda row: True,
    "You and the network differ": lambda row: row.network_differs,
    "You and MNIST differ": lambda row: row.data_differs,
    "Skipped": lambda row: row.label is None,
    "Corrected": lambda row: row.corrected,
}
ORDERS: Mapping[str, Callable[[ReviewRow], tuple[float, ...]]] = {
    "Most suspicious first": lambda row: (-(row.doubt if row.doubt is not None else -1.0),),
    "Newest first": lambda row: (-row.position,),
    "In the order of labelling": lambda row: (row.position,),
    "By your label": lambda row: (10 if row.label is None else row.label, row.position),
    "Longest looked at first": lambda row: (-(row.seconds or 0.0), row.position),
}


def review_rows(
    log: RunState, dataset: ImageDataset, predictions: Predictions | None
) -> list[ReviewRow]:
    """Every answered image, in the order of answering, with the newest predictions about it."""
    means = (
        {}
        if predictions is None
        else dict(zip(predictions.image_ids, predictions.mean, strict=True))
    )
    before: dict[int, int | None] = {}
    for one in log.corrections:
        before.setdefault(one.image_id, one.before)
    rows: list[ReviewRow] = []
    for submission in log.submissions:
        asked_at = log.queries[submission.query_id].n_labelled
        for answer in submission.answers:
            image_id, label = answer.image_id, answer.label
            mean = means.get(image_id)
            first = before.get(image_id, label)
            rows.append(
                ReviewRow(
                    image_id=image_id,
                    position=len(rows) + 1,
                    label=label,
                    first=first,
                    corrected=first != label,
                    source=submission.source,
                    asked_at=asked_at,
                    seconds=answer.seconds,
                    believed=None if mean is None else int(mean.argmax()),
                    confidence=None if mean is None else float(mean.max()),
                    doubt=None if mean is None or label is None else 1.0 - float(mean[label]),
                    truth=int(dataset.labels[image_id]),
                )
            )
    return rows


def chosen(rows: Sequence[ReviewRow], shown: str, order: str, search: str) -> list[ReviewRow]:
    """The rows to look at, in the order asked for; equal ones as they were answered.

    Args:
        shown, order: keys of `SHOWN` and `ORDERS`.
        search: a digit finds what you, the network or the data set call so; a longer number the
            image; nothing everything.
    """
    kept = [row for row in rows if SHOWN[shown](row) and _is_found(row, search.strip())]
    return sorted(kept, key=ORDERS[order])


def _is_found(row: ReviewRow, search: str) -> bool:
    if not search:
        return True
    if len(search) == 1:
        return search in {str(row.label), str(row.believed), str(row.truth)}
    return search.removeprefix("#") == str(row.image_id)


def new_edits(
    edited: Mapping[int, Mapping[str, Any]], seen: Mapping[int, int | None], ids: Sequence[int]
) -> dict[int, int | None]:
    """What was changed in the table since it was looked at last: image id -> label.

    Args:
        edited: the table's changes by row since it was drawn first, each row's newest.
        seen: those obeyed already, by image id.
        ids: the image of each row.
    """
    labels = {ids[int(row)]: change[LABEL] for row, change in edited.items() if LABEL in change}
    return {i: label for i, label in labels.items() if i not in seen or seen[i] != label}


def correct(store: Store, log: RunState, image_id: int, label: int | None, annotator: str) -> str:
    """Correct one label; returns what to tell the person. Nothing changes where it is refused."""
    try:
        made = store.correct(log.run.run_id, image_id, label, annotator=annotator)
    except AnswerError as error:
        return f"Nothing was changed: {error}."
    before = "can't tell" if made.before is None else made.before
    now = "can't tell" if made.label is None else made.label
    return f"Image {image_id}: {before} is now {now}. The next model learns it so."


def summary(rows: Sequence[ReviewRow]) -> str:
    """The counts a person wants first."""
    skipped = sum(row.label is None for row in rows)
    corrected = sum(row.corrected for row in rows)
    parts = [f"{len(rows) - skipped} labels", f"{skipped} skipped", f"{corrected} corrected"]
    judged = [row for row in rows if row.doubt is not None]
    if judged:
        parts.append(f"the network differs on {sum(row.network_differs for row in judged)}")
    return f"{', '.join(parts)}, MNIST on {sum(row.data_differs for row in rows)}."
