"""A stored model of a run with the labels it was fitted to, for the explain page.

Nothing is trained here. If a model is not stored, a worker must compute it first
(`execution.recompute`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dal_core.data.base import ImageDataset
from dal_core.execution.checkpoints import FILE_NAME
from dal_core.execution.recompute import FOLDER, corrected_at, stored_model
from dal_core.learner.bayesian_cnn import BayesianCNNLearner, FittedCNN
from dal_core.posterior.base import PosteriorModel
from dal_core.posterior.mc_dropout import McDropoutModel
from dal_core.protocol import posteriors
from dal_core.protocol.parameters import Protocol
from dal_core.protocol.posteriors import PosteriorEntry
from dal_core.protocol.randomness import Purpose
from dal_core.run.labelled import Labelled, labelled_of, state_at
from dal_core.run.splits import Split
from dal_core.run.state import RunState
from dal_core.store.artefacts import read_facts
from dal_core.store.home import run_dir


@dataclass(frozen=True, eq=False)
class ModelStep:
    """A model and the state of the run it was fitted in.

    Attributes:
        state: the run just after the model's last submission, with its labels at that time.
        labelled: the labels of that state.
    """

    learner: BayesianCNNLearner
    state: RunState
    labelled: Labelled
    fitted: FittedCNN

    @property
    def protocol(self) -> Protocol:
        """The run's parameters."""
        return self.learner.protocol

    @property
    def dataset(self) -> ImageDataset:
        """The data that the run was made with."""
        return self.learner.dataset

    @property
    def split(self) -> Split:
        """The images of the run by role."""
        return self.learner.split

    @property
    def model(self) -> PosteriorModel:
        """The fitted posterior, which samples predictions."""
        return self.fitted.model

    @property
    def n_labelled(self) -> int:
        """Number of labels the model was fitted to."""
        return self.labelled.n_labelled

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.learner.spec.seed

    def seed_of(self, purpose: Purpose) -> int:
        """The seed for a purpose at this step."""
        return self.learner.seed(purpose, self.n_labelled)

    @property
    def posterior(self) -> PosteriorEntry:
        """What the posterior is called, and what its samples are."""
        return posteriors.get(self.protocol.posterior)

    @property
    def has_dropout(self) -> bool:
        """Whether the model can predict with other dropout rates."""
        return isinstance(self.model, McDropoutModel)

    @cached_property
    def pool_subset(self) -> np.ndarray:
        """int64 [N] ids of the pool images that the run scored at this step, in its order."""
        return self.learner.pool_subset(self.labelled)


def newest_model(home: Path, run_id: str) -> tuple[int, int] | None:
    """(last submission, last correction) of the run's newest stored model, or None."""
    return _state_of(run_dir(home, run_id) / FILE_NAME)


def stored_models(home: Path, state: RunState) -> list[tuple[int, int]]:
    """(last submission, last correction) of all stored models of the run, in ascending order.

    Models of retracted submissions are left out.
    """
    folder = run_dir(home, state.run.run_id)
    paths = [*(folder / FOLDER).glob("*.safetensors"), folder / FILE_NAME]
    known = {model for model in map(_state_of, paths) if model and state.is_state(model[0])}
    return sorted(known)


def stored_step(
    home: Path,
    state: RunState,
    dataset: ImageDataset,
    after: int | None = None,
    corrected: int | None = None,
) -> ModelStep | None:
    """A stored model of the run.

    Args:
        home: where the run is stored.
        state: the run's present state.
        dataset: the data that the run was made with.
        after: the last submission in the model's training set. None: the newest stored model.
            While the next model is in training, this one belongs to an earlier state.
        corrected: the last correction in the model's training set; None: the value of the step's
            stored result.

    Returns:
        None if the model is not stored or its last submission was retracted.

    Raises:
        ValueError: the run was made with other data.
    """
    run_id = state.run.run_id
    if after is None:
        after, corrected = newest_model(home, run_id) or (None, None)
    if after is None or not state.is_state(after):
        return None
    corrected = corrected_at(state, after) if corrected is None else corrected
    learner = BayesianCNNLearner(state.run.spec, dataset)
    then = state_at(state, after, corrected)
    labelled = labelled_of(then, learner.split, dataset, corrected)
    fitted = stored_model(home, run_id, learner, labelled)
    return ModelStep(learner, then, labelled, fitted) if isinstance(fitted, FittedCNN) else None


def _state_of(path: Path) -> tuple[int, int] | None:
    facts = read_facts(path)
    if facts is None or "after" not in facts:
        return None
    return int(facts["after"]), int(facts.get("corrected", 0))
