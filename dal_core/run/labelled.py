"""What a learner trains on: the labels of a run at one of its states, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dal_core.run.events import Answer, Submission
from dal_core.run.state import RunState

if TYPE_CHECKING:
    from dal_core.data.base import ImageDataset
    from dal_core.run.splits import Split


@dataclass(frozen=True, eq=False)
class Labelled:
    """The training set of one state of a run, and what else a learner must know of that state.

    Attributes:
        ids: int64 [n] image ids in training order, the initial set first; an image that the
            protocol drew twice for the initial set is there twice.
        labels: int64 [n], one for each of `ids`.
        skipped: images that left the pool without a label.
        after: id of the last submission among the labels; 0 for the initial set alone.
        corrected: id of the last correction among the labels; 0 for none.
        step: submissions so far (k in the report).
    """

    ids: np.ndarray
    labels: np.ndarray
    skipped: frozenset[int]
    after: int
    corrected: int
    step: int

    @property
    def n_labelled(self) -> int:
        """Size of the training set."""
        return len(self.ids)

    def unlabelled(self, pool: np.ndarray) -> np.ndarray:
        """Those of `pool` (int64 ids) that may still be asked for, in the order given."""
        gone = np.concatenate([self.ids, np.array(sorted(self.skipped), dtype=np.int64)])
        return pool[~np.isin(pool, gone)]


def labelled_of(
    state: RunState, split: Split, dataset: ImageDataset, corrected: int | None = None
) -> Labelled:
    """The training set of a state of a run.

    The initial images have the data set's labels, all others the answers given.

    Args:
        corrected: what the result says was the last correction; None for the state's own.
    """
    answered = np.array(state.labels(), dtype=np.int64).reshape(-1, 2)
    return Labelled(
        ids=np.concatenate([split.initial, answered[:, 0]]),
        labels=np.concatenate([dataset.labels[split.initial], answered[:, 1]]),
        skipped=state.skipped,
        after=state.after,
        corrected=state.corrected if corrected is None else corrected,
        step=state.n_submissions,
    )


def state_at(state: RunState, after: int, corrected: int) -> RunState:
    """An earlier state of a run: just after the submission `after`, with the labels it had then.

    Args:
        corrected: the last correction to count; labels corrected later are as they were before.

    Raises:
        ValueError: `after` is not a state of the run.
    """
    then = state.until(after)
    later = [one for one in state.corrections if one.correction_id > corrected]
    before = {(one.submission_id, one.image_id): one.before for one in reversed(later)}
    submissions = tuple(_with_labels(one, before) for one in then.submissions)
    return replace(
        then,
        submissions=submissions,
        n_labelled=then.run.n_initial + sum(len(one.labels) for one in submissions),
        skipped=frozenset(image_id for one in submissions for image_id in one.skipped),
        corrections=tuple(one for one in then.corrections if one.correction_id <= corrected),
    )


def _with_labels(
    submission: Submission, labels: Mapping[tuple[int, int], int | None]
) -> Submission:
    """The submission with the labels given by (submission, image); the others stay."""
    answers: list[Answer] = []
    for answer in submission.answers:
        key = submission.submission_id, answer.image_id
        answers.append(replace(answer, label=labels.get(key, answer.label)))
    return replace(submission, answers=tuple(answers))
