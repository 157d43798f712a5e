"""A run step by step, read from its log: what was known, asked, answered and measured at each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dal_core.data.base import UNKNOWN, ImageDataset
from dal_core.run.events import Confusion, Query, StepResult, Submission
from dal_core.run.splits import Split
from dal_core.run.state import RunState


@dataclass(frozen=True)
class Moment:
    """One state of a run: its labels, the model trained on them, and what came next.

    Attributes:
        number: labelled batches before it (k in the report).
        after: the last submission in the training set; 0 for the initial set alone.
        step: what was measured; None if it was left out or has not happened yet.
        query: what was asked next; None if nothing was.
        submission: the answers to the query; None while it waits for them.
    """

    number: int
    n_labelled: int
    after: int
    step: StepResult | None
    query: Query | None
    submission: Submission | None


@dataclass(frozen=True)
class AskedImage:
    """One image of a query.

    Attributes:
        answered: it was labelled or skipped.
        given: the label; None if it was skipped or not answered yet.
        truth: the data set's label; None if that is unknown.
    """

    image_id: int
    answered: bool
    given: int | None
    truth: int | None

    @property
    def is_wrong(self) -> bool:
        """Whether its label differs from the data set's."""
        return None not in (self.given, self.truth) and self.given != self.truth


def moments(log: RunState) -> tuple[Moment, ...]:
    """Every state of the run, by ascending number of labels."""
    steps = {step.after: step for step in log.steps}
    found, after, n_labelled = [], 0, log.run.n_initial
    for number, submission in enumerate(log.submissions):
        query = log.queries[submission.query_id]
        found.append(Moment(number, n_labelled, after, steps.get(after), query, submission))
        after, n_labelled = submission.submission_id, n_labelled + len(submission.labels)
    last = Moment(len(found), n_labelled, after, steps.get(after), log.open_query, None)
    return (*found, last)


def at_labels(moments: Sequence[Moment], n_labelled: int) -> Moment:
    """The last moment with at most this many labels; the first if all have more."""
    return next((one for one in reversed(moments) if one.n_labelled <= n_labelled), moments[0])


def asked_images(moment: Moment, dataset: ImageDataset) -> list[AskedImage]:
    """The images asked for next, by rank: those answered or, before an answer, those shown."""
    if moment.query is None:
        return []
    said = {a.image_id: a.label for a in moment.submission.answers} if moment.submission else {}
    ids = [i for i in moment.query.ranking if i in said] if said else moment.query.shown()
    return [AskedImage(i, i in said, said.get(i), _truth(dataset, i)) for i in ids]


def _truth(dataset: ImageDataset, image_id: int) -> int | None:
    label = int(dataset.labels[image_id])
    return None if label == UNKNOWN else label


def class_counts(
    log: RunState, moment: Moment, dataset: ImageDataset, split: Split
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of each class in the training set, and images of each true class in the pool.

    The training set is counted by the labels given, wrong ones included; an initial image drawn
    twice counts twice. Pool images of unknown class are not counted.

    Returns:
        Two int64 [C].
    """
    given: list[int] = dataset.labels[split.initial].tolist()
    gone: list[int] = []
    for submission in log.submissions:
        if submission.submission_id <= moment.after:
            given += submission.labels.values()
            gone += [answer.image_id for answer in submission.answers]
    pool = split.pool[~np.isin(split.pool, gone)]
    pool, n_classes = pool[dataset.known[pool]], dataset.n_classes
    return (
        np.bincount(given, minlength=n_classes),
        np.bincount(dataset.labels[pool], minlength=n_classes),
    )


def n_wrong(log: RunState, moment: Moment, dataset: ImageDataset) -> int:
    """Given labels in the training set that differ from the data set's, where that is known."""
    given = [
        pair
        for submission in log.submissions
        if submission.submission_id <= moment.after
        for pair in submission.labels.items()
    ]
    return sum(_truth(dataset, image_id) not in (None, label) for image_id, label in given)


def class_accuracy(confusion: Confusion) -> np.ndarray:
    """[C] share of each class's test images predicted right; NaN for a class without images."""
    counts = np.array(confusion, dtype=np.float64)
    of_class = counts.sum(1)
    right = np.diag(counts)
    return np.divide(right, of_class, out=np.full(len(counts), np.nan), where=of_class > 0)


def worst_confusions(confusion: Confusion, n: int = 3) -> list[tuple[int, int, int]]:
    """The most frequent mistakes as (label, predicted, images), most frequent first."""
    counts = np.array(confusion)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:n]
    cells = [(int(i) // len(counts), int(i) % len(counts)) for i in order]
    return [(label, said, int(counts[label, said])) for label, said in cells if counts[label, said]]
