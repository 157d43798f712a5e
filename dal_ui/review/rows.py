"""The rows of the review: every label given, how suspicious it is, and which to show; pure.

A label is suspicious in proportion to the network's mean probability of the other classes. The
network has learned from these labels, so the ones it still doubts are worth checking first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dal_core.data.base import ImageDataset
from dal_core.execution.predictions import Predictions
from dal_core.results.labelling_cost import counted
from dal_core.run.events import Source
from dal_core.run.state import RunState
from dal_ui.shared.datasets import true_label


@dataclass(frozen=True)
class ReviewRow:
    """One answered image.

    Attributes:
        position: place in the order of answering, from 1.
        label: the label now; None for a skipped image.
        first: the label before any correction.
        asked_at: labels in the training set when the image was asked for.
        seconds: labelling time (`counted`); None where no time was measured.
        predicted: the class the network finds likeliest, and `confidence`, its probability; None
            where the newest model has no prediction.
        doubt: the network's probability of all classes other than `label`; None for a skipped
            image, and where the newest model has no prediction.
        truth: the data set's label; None where it is unknown.
    """

    image_id: int
    position: int
    label: int | None
    first: int | None
    source: Source
    asked_at: int
    seconds: float | None
    predicted: int | None
    confidence: float | None
    doubt: float | None
    truth: int | None

    @property
    def corrected(self) -> bool:
        """Whether a correction has changed the label."""
        return self.first != self.label

    @property
    def network_differs(self) -> bool:
        """Whether the network would label it differently."""
        return self.label is not None and self.predicted not in (None, self.label)

    @property
    def data_differs(self) -> bool:
        """Whether the data set labels it differently."""
        return self.label is not None and self.truth not in (None, self.label)


SHOWN: Mapping[str, Callable[[ReviewRow], bool]] = {
    "All labels": lambda row: True,
    "You and the network differ": lambda row: row.network_differs,
    "You and the data set differ": lambda row: row.data_differs,
    "Skipped": lambda row: row.label is None,
    "Corrected": lambda row: row.corrected,
}
ORDERS: Mapping[str, Callable[[ReviewRow], tuple[float, ...]]] = {
    "Most suspicious first": lambda row: (-(row.doubt if row.doubt is not None else -1.0),),
    "Newest first": lambda row: (-row.position,),
    "In the order of labelling": lambda row: (row.position,),
    "By your label": lambda row: (row.label is None, row.label or 0, row.position),
    "Slowest first": lambda row: (-(row.seconds or 0.0), row.position),
}


def review_rows(
    log: RunState, dataset: ImageDataset, predictions: Predictions | None
) -> list[ReviewRow]:
    """Every answered image in the order of answering, with the newest predictions."""
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
            rows.append(
                ReviewRow(
                    image_id=image_id,
                    position=len(rows) + 1,
                    label=label,
                    first=before.get(image_id, label),
                    source=submission.source,
                    asked_at=asked_at,
                    seconds=counted(answer.seconds),
                    predicted=None if mean is None else int(mean.argmax()),
                    confidence=None if mean is None else float(mean.max()),
                    doubt=None if mean is None or label is None else 1.0 - float(mean[label]),
                    truth=true_label(dataset, image_id),
                )
            )
    return rows


def chosen(
    rows: Sequence[ReviewRow],
    shown: str,
    order: str,
    search: str,
    class_names: Sequence[str],
) -> list[ReviewRow]:
    """The rows to show, in the given order; equal ones as they were answered.

    Args:
        shown, order: keys of `SHOWN` and `ORDERS`.
        search: the name of a class finds the images that you, the network or the data set label
            so; any other number finds the image; nothing finds everything.
    """
    wanted = search.strip().lower()
    names = [name.lower() for name in class_names]
    label = names.index(wanted) if wanted in names else None

    def is_found(row: ReviewRow) -> bool:
        if label is not None:
            return label in (row.label, row.predicted, row.truth)
        return not wanted or wanted.removeprefix("#") == str(row.image_id)

    kept = [row for row in rows if SHOWN[shown](row) and is_found(row)]
    return sorted(kept, key=ORDERS[order])


def summary(rows: Sequence[ReviewRow]) -> str:
    """The counts above the table."""
    skipped = sum(row.label is None for row in rows)
    corrected = sum(row.corrected for row in rows)
    line = f"{len(rows) - skipped} labels, {skipped} skipped, {corrected} corrected"
    differing = []
    if any(row.doubt is not None for row in rows):
        differing.append(f"network {sum(row.network_differs for row in rows)}")
    if any(row.truth is not None for row in rows):
        differing.append(f"data set {sum(row.data_differs for row in rows)}")
    return f"{line}. Labelled differently by: {', '.join(differing)}." if differing else f"{line}."
