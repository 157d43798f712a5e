"""A run step by step, read off its log: what was known, asked, said and measured at each.

Pure: nothing is trained or scored. Owns what a step shows and how two steps differ; which labels
count is the log's business (`store.log`), how it is drawn `figures.history`'s.
"""

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
    """One state of a run: so many labels, the model trained on them, what came next.

    Attributes:
        number: labelled batches before it (k in the report).
        after: the last submission in the training set; 0 for the initial set alone.
        step: what was measured; None where that was left out or is still to come.
        query: what was asked next; None when nothing was.
        submission: the answers to it; None while it waits for them.
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
        answered: whether it was labelled or skipped.
        given: its label; None while it has none.
        truth: the data set's label, or UNKNOWN.
    """

    image_id: int
    answered: bool
    given: int | None
    truth: int

    @property
    def is_wrong(self) -> bool:
        """Whether it was given another label than the data set's; never where that is unknown."""
        return self.given is not None and self.truth not in (self.given, UNKNOWN)


def moments(log: RunState) -> tuple[Moment, ...]:
    """Every state of the run, by growing labels."""
    steps = {step.after: step for step in log.steps}
    found, after, n_labelled = [], 0, log.run.n_initial
    for number, submission in enumerate(log.submissions):
        query = log.queries[submission.query_id]
        found.append(Moment(number, n_labelled, after, steps.get(after), query, submission))
        after, n_labelled = submission.submission_id, n_labelled + len(submission.labels)
    last = Moment(len(found), n_labelled, after, steps.get(after), log.open_query, None)
    return (*found, last)


def at_labels(moments: Sequence[Moment], n_labelled: int) -> Moment:
    """The last of the moments with at most so many labels; the first where all have more."""
    return next((one for one in reversed(moments) if one.n_labelled <= n_labelled), moments[0])


def asked_images(moment: Moment, dataset: ImageDataset) -> list[AskedImage]:
    """The images asked for next, in the order of the ranking: those answered, else those shown."""
    if moment.query is None:
        return []
    said = {a.image_id: a.label for a in moment.submission.answers} if moment.submission else {}
    ids = [i for i in moment.query.ranking if i in said] if said else moment.query.shown()
    return [AskedImage(i, i in said, said.get(i), int(dataset.labels[i])) for i in ids]


def class_counts(
    log: RunState, moment: Moment, dataset: ImageDataset, split: Split
) -> tuple[np.ndarray, np.ndarray]:
    """(labels by class in the training set, images by true class left in the pool), int64 [C].

    The training set is counted by the labels it was given, wrong ones included; an initial image
    drawn twice counts twice. Pool images whose class is unknown are not counted.
    """
    given: list[int] = dataset.labels[split.initial].tolist()
    gone: list[int] = []
    for submission in log.submissions:
        if submission.submission_id <= moment.after:
            given += submission.labels.values()
            gone += [answer.image_id for answer in submission.answers]
    pool = split.pool[~np.isin(split.pool, gone) & dataset.known[split.pool]]
    classes = dataset.n_classes
    return (
        np.bincount(given, minlength=classes),
        np.bincount(dataset.labels[pool], minlength=classes),
    )


def n_wrong(log: RunState, moment: Moment, dataset: ImageDataset) -> int:
    """Labels of the training set, beyond the initial ones, that differ from the data set's."""
    given = [
        pair
        for submission in log.submissions
        if submission.submission_id <= moment.after
        for pair in submission.labels.items()
    ]
    return sum(dataset.labels[image_id] not in (label, UNKNOWN) for image_id, label in given)


def class_accuracy(confusion: Confusion) -> np.ndarray:
    """[C] share of each class's test images given their class; NaN for a class without images."""
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
