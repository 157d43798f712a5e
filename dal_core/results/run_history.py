"""The history of a run, read from its log: labels, query, answers and results of each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dal_core.data.base import UNKNOWN, ImageDataset
from dal_core.run.environment import changes
from dal_core.run.events import Confusion, Query, StepResult, Submission
from dal_core.run.splits import Split
from dal_core.run.state import RunState


@dataclass(frozen=True)
class Moment:
    """One state of a run: its labels, their measurement, and the query that followed.

    Attributes:
        number: batches labelled before it (k in the report).
        n_labelled: labels in the training set.
        after: id of the last submission in the training set; 0 for the initial set alone.
        step: the measurement; None if the state was skipped or is not measured yet.
        query: the query that followed; None if there was none.
        submission: the answers to the query; None until they are given.
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
        given: the label given; None if it was skipped or not answered yet.
        truth: the data set's label; None if unknown.
    """

    image_id: int
    answered: bool
    given: int | None
    truth: int | None

    @property
    def is_wrong(self) -> bool:
        """Whether the label given differs from the data set's."""
        return None not in (self.given, self.truth) and self.given != self.truth


def moments(log: RunState) -> tuple[Moment, ...]:
    """Every state of the run, in order of increasing number of labels."""
    steps = {step.after: step for step in log.steps}
    found, after, n_labelled = [], 0, log.run.n_initial
    for number, submission in enumerate(log.submissions):
        query = log.queries[submission.query_id]
        found.append(Moment(number, n_labelled, after, steps.get(after), query, submission))
        after, n_labelled = submission.submission_id, n_labelled + len(submission.labels)
    last = Moment(len(found), n_labelled, after, steps.get(after), log.open_query, None)
    return (*found, last)


def resumed_elsewhere(log: RunState) -> str:
    """From which steps on the run was computed elsewhere, and what differed; empty if nowhere.

    The most recent three changes are named.
    """
    found = changes(step.environment for step in log.steps)
    told = [f"from {log.steps[i].n_labelled} labels on: {', '.join(what)}" for i, what in found]
    if not told:
        return ""
    several = f"{len(told)} times, the last three " if len(told) > 3 else ""
    return f"elsewhere, so bits may differ; {several}{'; '.join(told[-3:])}"


def at_labels(moments: Sequence[Moment], n_labelled: int) -> Moment:
    """The last moment with at most this many labels; the first if all have more."""
    return next((one for one in reversed(moments) if one.n_labelled <= n_labelled), moments[0])


def asked_images(moment: Moment, dataset: ImageDataset) -> list[AskedImage]:
    """The images of the moment's query, best first: those answered, or those shown if none is."""
    if moment.query is None:
        return []
    given = {a.image_id: a.label for a in moment.submission.answers} if moment.submission else {}
    ids = [i for i in moment.query.ranking if i in given] if given else moment.query.shown()
    return [AskedImage(i, i in given, given.get(i), _true_label(dataset, i)) for i in ids]


def _true_label(dataset: ImageDataset, image_id: int) -> int | None:
    label = int(dataset.labels[image_id])
    return None if label == UNKNOWN else label


def class_counts(
    log: RunState, moment: Moment, dataset: ImageDataset, split: Split
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of each class in the training set, and images of each true class in the pool.

    The training set is counted by the labels given, wrong ones included; an initial image drawn
    twice counts twice. Pool images of unknown class are not counted.

    Returns:
        Two int64 arrays [C]: the labels, then the pool images.
    """
    given: list[int] = dataset.labels[split.initial].tolist()
    answered: list[int] = []
    for submission in log.submissions:
        if submission.submission_id <= moment.after:
            given += submission.labels.values()
            answered += [answer.image_id for answer in submission.answers]
    pool = split.pool[~np.isin(split.pool, answered)]
    pool, n_classes = pool[dataset.known[pool]], dataset.n_classes
    return (
        np.bincount(given, minlength=n_classes),
        np.bincount(dataset.labels[pool], minlength=n_classes),
    )


def n_wrong(log: RunState, moment: Moment, dataset: ImageDataset) -> int:
    """Answers in the training set that differ from the data set's label, if that is known."""
    given = [
        pair
        for submission in log.submissions
        if submission.submission_id <= moment.after
        for pair in submission.labels.items()
    ]
    return sum(_true_label(dataset, image_id) not in (None, label) for image_id, label in given)


def class_accuracy(confusion: Confusion) -> np.ndarray:
    """[C] accuracy on the test images of each class; NaN for a class without images."""
    counts = np.array(confusion, dtype=np.float64)
    images = counts.sum(1)
    correct = np.diag(counts)
    return np.divide(correct, images, out=np.full(len(counts), np.nan), where=images > 0)


def worst_confusions(confusion: Confusion, n: int = 3) -> list[tuple[int, int, int]]:
    """The most frequent mistakes as (label, predicted, images), most frequent first."""
    counts = np.array(confusion)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:n]
    cells = [divmod(int(i), len(counts)) for i in order]
    return [
        (label, wrong, int(counts[label, wrong])) for label, wrong in cells if counts[label, wrong]
    ]
