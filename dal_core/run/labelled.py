"""The training set of a run at one of its states, as arrays for a learner."""

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
    """The training set of one state of a run, and other facts about that state.

    Attributes:
        ids: int64 [n] image ids in training order, the initial set first. An image that was drawn
            twice for the initial set occurs twice.
        labels: int64 [n], the label of each image in `ids`.
        skipped: images that left the pool without a label.
        after: id of the last submission among the labels; 0 if there is none.
        corrected: id of the last correction among the labels; 0 if there is none.
        step: number of submissions so far (k in the report).
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
        """The ids in `pool` (int64) that may still be asked for, in the order given."""
        gone = np.concatenate([self.ids, np.array(sorted(self.skipped), dtype=np.int64)])
        return pool[~np.isin(pool, gone)]


def labelled_of(
    state: RunState, split: Split, dataset: ImageDataset, corrected: int | None = None
) -> Labelled:
    """The training set of a state of a run.

    The initial images have the data set's labels; all others have the labels that were answered.

    Args:
        corrected: value for the field `corrected`; None for the last correction of `state`.
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
    """An earlier state of a run: just after the submission `after`, with its labels at that time.

    Args:
        corrected: the last correction to apply; later ones are undone.

    Raises:
        ValueError: `after` is neither 0 nor a submission that is not retracted.
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
    """The submission with the given labels by (submission id, image id); others are kept."""
    answers: list[Answer] = []
    for answer in submission.answers:
        key = submission.submission_id, answer.image_id
        answers.append(replace(answer, label=labels.get(key, answer.label)))
    return replace(submission, answers=tuple(answers))
