"""The model of a step, brought back from a run's stored weights in the state it asked from.

Owns the way from a log and a file to a `Learner` that has its model. It trains nothing: where
there are no weights there is no model, and whoever wants one asks a worker.
"""

from __future__ import annotations

from pathlib import Path

from dal_core.checkpoint import load_fitted, stored_after
from dal_core.datasets import Dataset
from dal_core.learner import Answered, Fitted, Learner
from dal_core.store.log import RunLog


def stored_step(folder: Path, log: RunLog, dataset: Dataset) -> Learner | None:
    """The run's newest stored model, in a learner whose labels are those it was trained on.

    While a newer model is in training that is an earlier state of the run than the log's.

    Args:
        folder: of the run's files.
        log: the run's log.
        dataset: the data the run was made on.

    Returns:
        None where no weights are stored, or only those of answers taken back since.

    Raises:
        ValueError: the data are not those the run was made on.
    """
    after = stored_after(folder)
    if after is None or not log.is_state(after):
        return None
    learner = learner_at(log, dataset, after)
    learner.fitted = load_fitted(folder, learner, log.run.spec.key)
    return learner if learner.fitted is not None else None


def learner_at(log: RunLog, dataset: Dataset, after: int) -> Learner:
    """A learner in the state just after the submission `after` (0: the initial set), no model."""
    learner = Learner(log.run.spec, dataset)
    learner.replay(
        Answered(log.queries[one.query_id], one.answers, one.submission_id)
        for one in log.submissions
        if one.submission_id <= after
    )
    return learner


def fitted_of(learner: Learner) -> Fitted:
    """The learner's model. Raises ValueError where it has none."""
    if learner.fitted is None:
        raise ValueError("the learner has no model; load one or fit it first")
    return learner.fitted
