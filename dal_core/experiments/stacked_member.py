"""One of the runs that are trained as a stack: its learner and its state."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from dal_core.acquisition import registry
from dal_core.learner.base import Fitted, ImageProgress
from dal_core.learner.bayesian_cnn import BayesianCNNLearner, FittedCNN
from dal_core.models.networks import BayesianCNN
from dal_core.posterior.mc_dropout import McDropout, McDropoutModel
from dal_core.protocol import posteriors
from dal_core.protocol.randomness import Purpose
from dal_core.run.events import Query, StepResult
from dal_core.run.labelled import Labelled
from dal_core.run.next_task import Task, answers_itself, next_task
from dal_core.run.state import RunState
from dal_core.run.stop_rules import finished
from dal_core.training.loop import Watch


class Member(BayesianCNNLearner):
    """A learner that can be given a model and passes computed together with those of other runs.

    `trained` and `passes` are each used once. Without them the learner computes them itself.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.trained: McDropoutModel | None = None
        self.passes: dict[int, list[Tensor]] = {}  # mask seed -> chunks [T, n, C]
        self.seconds: dict[str, float] = {}  # part -> this run's share of the passes' time
        self._pool_subset: tuple[tuple[int, int], np.ndarray] | None = None

    @property
    def is_stackable(self) -> bool:
        """Whether its posterior supports stacked training, and there is always one to train."""
        has_labels = self.protocol.initial_set == "balanced"
        return has_labels and posteriors.get(self.protocol.posterior).lockstep

    def forget(self) -> None:
        """Drop precomputed results that were not used."""
        self.trained, self.passes, self.seconds = None, {}, {}

    def untrained(self, n_labelled: int) -> BayesianCNN:
        """The network with the initial weights of the step with `n_labelled` labels."""
        assert isinstance(self.posterior, McDropout)
        return self.posterior.untrained(self.seed(Purpose.INITIAL_WEIGHTS, n_labelled))

    def fit(self, labelled: Labelled, watch: Watch | None = None) -> FittedCNN:
        if self.trained is None:
            return super().fit(labelled, watch)
        model, self.trained = self.trained, None
        return self.fitted(model, labelled)

    def evaluate(self, fitted: Fitted, progress: ImageProgress | None = None) -> StepResult:
        result = super().evaluate(fitted, progress)
        return replace(result, seconds=self._with_share(result.seconds, fitted, "evaluate"))

    def query(
        self,
        fitted: Fitted,
        labelled: Labelled,
        progress: ImageProgress | None = None,
        n_kept: int | None = None,
        asked: Collection[int] = (),
    ) -> tuple[Query, np.ndarray | None]:
        result = super().query(fitted, labelled, progress, n_kept, asked)
        self._with_share({}, fitted, "score")
        return result

    def pool_subset(self, labelled: Labelled) -> np.ndarray:
        """Cached, because a step needs it twice and drawing it permutes all ids of the data set."""
        state = labelled.after, labelled.corrected
        if self._pool_subset is None or self._pool_subset[0] != state:
            self._pool_subset = state, super().pool_subset(labelled)
        return self._pool_subset[1]

    def _passes(
        self, fitted: FittedCNN, ids: np.ndarray, purpose: Purpose, progress: ImageProgress | None
    ) -> Iterable[Tensor]:
        ready = self.passes.pop(self.seed(purpose, fitted.n_labelled), None)
        return super()._passes(fitted, ids, purpose, progress) if ready is None else ready

    def _with_share(
        self, seconds: Mapping[str, float], fitted: Fitted, part: str
    ) -> dict[str, float]:
        """Add this run's share of the stacked passes' time to the seconds stored with the model."""
        assert isinstance(fitted, FittedCNN)
        share = self.seconds.pop(part, None)
        if share is not None:
            fitted.seconds[part] += share
        return {**seconds, **fitted.seconds}


@dataclass(frozen=True)
class Entrant:
    """A run that takes part in a stacked step, in its state when the step began."""

    state: RunState
    learner: Member
    labelled: Labelled
    fitted: FittedCNN | None

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self.state.run.run_id

    @property
    def task(self) -> Task:
        """What the run needs next."""
        return next_task(self.state).task

    @property
    def network(self) -> BayesianCNN:
        """The trained network, from this step's fit or from an earlier one."""
        model = self.learner.trained or (self.fitted and self.fitted.model)
        assert isinstance(model, McDropoutModel)
        return model.network

    @property
    def will_ask(self) -> bool:
        """Whether its task will score the pool, as far as is known before the measurement."""
        function = registry.find(self.state.run.spec.acquisition)
        if function is None or function.needs == "nothing" or self.state.is_asked:
            return False
        after_measuring = answers_itself(self.state) and not finished(self.state)
        return self.task is Task.QUERY or (self.task is Task.EVALUATE and after_measuring)

    def seed(self, purpose: Purpose) -> int:
        """The random seed of a purpose at this step (docs/method.md, section 13)."""
        return self.learner.seed(purpose, self.labelled.n_labelled)

    def images(self, purpose: Purpose) -> np.ndarray:
        """int64 [n] ids of the images that the passes of a purpose need."""
        if purpose is Purpose.MC_DROPOUT_TEST:
            return self.learner.test_subset(self.labelled.n_labelled)
        return self.learner.pool_subset(self.labelled)
