"""The batch answered last beside the data set's labels and the network's predictions; pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dal_core.data.base import ImageDataset
from dal_core.run.events import Query
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_ui.shared.datasets import true_label


@dataclass(frozen=True)
class Revealed:
    """One answered image.

    Attributes:
        given: the label a person or the oracle gave; None for a skipped image.
        truth: the data set's label; None where it is unknown.
        predicted: the class with the highest mean probability over the passes, and `confidence`,
            that probability; both None where no prediction was stored.
    """

    image_id: int
    given: int | None
    truth: int | None
    predicted: int | None
    confidence: float | None

    @property
    def agrees(self) -> bool:
        """Whether the label given is the data set's."""
        return self.truth is not None and self.given == self.truth


def reveal(store: Store, dataset: ImageDataset, log: RunState) -> list[Revealed]:
    """The batch answered last, image by image, in the order of the ranking."""
    if not log.submissions:
        return []
    last = log.submissions[-1]
    query = log.queries[last.query_id]
    predictions = _predictions(store, query)
    given = {answer.image_id: answer.label for answer in last.answers}
    return [
        Revealed(i, given[i], true_label(dataset, i), *predictions.get(i, (None, None)))
        for i in query.ranking
        if i in given
    ]


def agreement(dataset: ImageDataset, log: RunState) -> tuple[int, int]:
    """(labels given by people that equal the data set's, all of them whose true label is known)."""
    given = [pair for s in log.submissions if s.source == "person" for pair in s.labels.items()]
    judged = [(truth, label) for i, label in given if (truth := true_label(dataset, i)) is not None]
    return sum(truth == label for truth, label in judged), len(judged)


def _predictions(store: Store, query: Query) -> dict[int, tuple[int, float]]:
    """Image id -> (predicted class, its mean probability), of the images with stored passes."""
    probs = store.shown_probs(query.query_id)  # [T, n, C] of the first n of the ranking
    if probs is None:
        return {}
    mean: np.ndarray = probs.mean(0)
    return {
        image_id: (int(row.argmax()), float(row.max()))
        for image_id, row in zip(query.ranking, mean, strict=False)
    }
