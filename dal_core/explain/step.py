"""The model of a step, brought back from a run's stored weights in the state it asked from.

Owns which model is shown when nobody names a step. It trains nothing: where there are no weights
there is no model, and whoever wants one asks a worker (`stepweights`).
"""

from __future__ import annotations

from pathlib import Path

from dal_core.data.base import ImageDataset
from dal_core.execution.checkpoints import FILE_NAME, read_facts
from dal_core.execution.recompute import FOLDER, stored_learner
from dal_core.learner.bayesian_cnn import Fitted, Learner
from dal_core.run.state import RunState
from dal_core.store.home import run_dir


def newest_model(home: Path, run_id: str) -> tuple[int, int] | None:
    """(last submission, last correction) of the run's newest stored model; None without one."""
    return _state_of(run_dir(home, run_id) / FILE_NAME)


def stored_models(home: Path, log: RunState) -> list[tuple[int, int]]:
    """The states of the run whose models are stored, by growing labels.

    Those of answers taken back since are left out: they are no part of the run any more.
    """
    folder = run_dir(home, log.run.run_id)
    paths = [*(folder / FOLDER).glob("*.safetensors"), folder / FILE_NAME]
    known = {state for state in map(_state_of, paths) if state and log.is_state(state[0])}
    return sorted(known)


def stored_step(
    home: Path,
    log: RunState,
    dataset: ImageDataset,
    after: int | None = None,
    corrected: int | None = None,
) -> Learner | None:
    """A stored model of the run, in a learner whose labels are those it was trained on.

    Args:
        home: where the run is stored.
        log: the run's log.
        dataset: the data the run was made on.
        after: the last submission of the step wanted. None: the newest model, which is of an
            earlier state than the log's while the next one is in training.
        corrected: the last correction in the training set of the model wanted; None: that of the
            step as measured.

    Returns:
        None where no such weights are stored, or only those of answers taken back since.

    Raises:
        ValueError: the data are not those the run was made on.
    """
    if after is None:
        newest = newest_model(home, log.run.run_id)
        after, corrected = newest or (None, None)
    if after is None or not log.is_state(after):
        return None
    return stored_learner(home, log, after, dataset, corrected=corrected)


def fitted_of(learner: Learner) -> Fitted:
    """The learner's model. Raises ValueError where it has none."""
    if learner.fitted is None:
        raise ValueError("the learner has no model; load one or fit it first")
    return learner.fitted


def _state_of(path: Path) -> tuple[int, int] | None:
    facts = read_facts(path)
    if facts is None or "after" not in facts:
        return None
    return int(facts["after"]), int(facts.get("corrected", 0))
