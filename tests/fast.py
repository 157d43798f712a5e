"""Runs that are over in a moment: the embedded images, few epochs, few passes."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dal_core.data.base import ImageDataset, build
from dal_core.explain.step import ModelStep
from dal_core.learner.base import Fitted, ImageProgress
from dal_core.learner.bayesian_cnn import BayesianCNNLearner, FittedCNN
from dal_core.protocol.parameters import Protocol, override
from dal_core.protocol.presets import PRESETS
from dal_core.protocol.run_spec import RunSpec
from dal_core.run import oracle
from dal_core.run.events import Answer, Query, StepResult, Submission
from dal_core.run.labelled import Labelled, labelled_of
from dal_core.run.rows import RunRow
from dal_core.run.rules import check_complete, clean_answers
from dal_core.run.state import RunState
from dal_core.training.loop import Watch


def protocol(**changes: Any) -> Protocol:
    """`quick`, made faster still."""
    sizes = {"val_size": 100, "test_size": 200, "pool_subset_size": 300, "test_subset_size": 100}
    work = {"n_epochs": 6, "num_mc_samples": 4, "n_acquisition_steps": 5}
    return override(PRESETS["quick"], {**sizes, **work, **changes})


class Run:
    """A run in memory: rows as the store has them, and a learner with the model of their state."""

    def __init__(self, learner: BayesianCNNLearner) -> None:
        self.learner = learner
        spec, split = learner.spec, learner.split
        self.row = RunRow("run-1", "", "person", False, spec, len(split.initial), {}, {}, "")
        self.queries: list[Query] = []
        self.submissions: list[Submission] = []
        self.retracted: set[int] = set()
        self.model: FittedCNN | None = None

    @property
    def state(self) -> RunState:
        return RunState.from_events(
            self.row,
            queries=self.queries,
            submissions=self.submissions,
            retracted=self.retracted,
            steps=(),
        )

    @property
    def labelled(self) -> Labelled:
        return labelled_of(self.state, self.learner.split, self.learner.dataset)

    @property
    def fitted(self) -> FittedCNN:
        """The newest model."""
        assert self.model is not None, "fit first"
        return self.model

    @property
    def step(self) -> ModelStep:
        """The newest model as the explain page has it."""
        return ModelStep(self.learner, self.state, self.labelled, self.fitted)

    def training_set(self) -> tuple[np.ndarray, np.ndarray]:
        return self.labelled.ids, self.labelled.labels

    def pool(self) -> np.ndarray:
        return self.labelled.unlabelled(self.learner.split.pool)

    def step_pool(self) -> np.ndarray:
        """The pool images that are scored at this step."""
        return self.learner.pool_subset(self.labelled)

    def fit(self, watch: Watch | None = None) -> None:
        self.model = self.learner.fit(self.labelled, watch)

    def query(
        self,
        progress: ImageProgress | None = None,
        n_kept: int | None = None,
        asked: Collection[int] = (),
    ) -> tuple[Query, np.ndarray | None]:
        query, probs = self.learner.query(self.fitted, self.labelled, progress, n_kept, asked)
        self.queries.append(query)
        return query, probs

    def evaluate(self, progress: ImageProgress | None = None) -> StepResult:
        return self.learner.evaluate(self.fitted, progress)

    def answer(self, answers: Mapping[int, int | None] | Iterable[Answer]) -> None:
        """Answer the open query, for image id -> label, None for skipped."""
        query = self.state.open_query
        assert query is not None, "ask first"
        if isinstance(answers, Mapping):
            answers = [Answer(image_id, label) for image_id, label in answers.items()]
        given = clean_answers(list(answers), self.learner.dataset.n_classes)
        check_complete(query, given)
        number = len(self.submissions) + 1
        self.submissions.append(Submission(number, query.query_id, "ann", "person", "", given))

    def undo(self) -> Query:
        """Take the last answers back and ask the same again."""
        last = self.state.submissions[-1]
        query = self.state.queries[last.query_id]
        self.retracted.add(last.submission_id)
        self.queries.append(Query(**{**vars(query), "query_id": uuid.uuid4().hex}))
        return self.queries[-1]

    def with_labels_of(self, other: Run) -> Run:
        """This run with the history of another, and no model."""
        self.queries, self.submissions = list(other.queries), list(other.submissions)
        self.retracted, self.model = set(other.retracted), None
        return self


def learner(
    dataset: ImageDataset, acquisition: str = "bald", seed: int = 1, **changes: Any
) -> BayesianCNNLearner:
    """A learner under the fast protocol with some changes."""
    spec = RunSpec(dataset.fingerprint, protocol(**changes), acquisition, seed)
    return BayesianCNNLearner(spec, dataset)


def run(dataset: ImageDataset, acquisition: str = "bald", seed: int = 1, **changes: Any) -> Run:
    """A run at its start, under the fast protocol with some changes."""
    return Run(learner(dataset, acquisition, seed, **changes))


def steps(run: Run, n: int) -> list[tuple[StepResult, Query]]:
    """Fit, evaluate, ask and let the oracle answer, n times."""
    done = []
    for _ in range(n):
        run.fit()
        result = run.evaluate()
        query, _ = run.query()
        run.answer(oracle.answer(query, run.learner.dataset))
        done.append((result, query))
    return done


def measured(result: StepResult) -> tuple[float | None, ...]:
    """What of a result must repeat bit for bit; not how long it took."""
    return (
        result.step,
        result.n_labelled,
        result.accuracy,
        result.mutual_information,
        result.train_loss,
        result.val_loss,
        result.best_epoch,
        result.nll,
        result.brier,
        result.ece,
    )


def weights(fitted: Fitted) -> list[np.ndarray]:
    """The model's weights, for comparing bit for bit."""
    return list(fitted.dump()[0].values())


def same(ones: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> bool:
    """Whether two lists of arrays are equal to the last bit."""
    pairs = zip(ones, others, strict=True)
    return all(one.tobytes() == other.tobytes() for one, other in pairs)


def few_images(dataset: ImageDataset, per_class: int) -> ImageDataset:
    """The first images of each class, as a data set of its own."""
    chosen = [np.flatnonzero(dataset.labels == c)[:per_class] for c in range(dataset.n_classes)]
    ids = np.concatenate(chosen)
    return build(dataset.name, "a few", dataset.images[ids], dataset.labels[ids])
