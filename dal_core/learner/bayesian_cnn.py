"""The active-learning loop as a state machine: fit, query, evaluate, answer, skip, undo.

A `Learner` holds one run in memory: its spec, its data, what was answered, and the current model.
It knows nothing of disks, processes or people: the store keeps the log it is rebuilt from
(`replay`), the worker decides when to call what, and whoever answers calls `answer`.

    needs a fit --fit--> fitted --query--> asked --answer--> needs a fit

`evaluate` is allowed whenever there is a model. What is labelled has one owner, the list of
answered queries; the training set, the skipped images and the pool are derived from it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from dal_core.acquisition import registry
from dal_core.acquisition.batch import Candidates, select
from dal_core.acquisition.top_k import tie_order
from dal_core.data.base import ImageDataset
from dal_core.models.networks import BayesianCNN, build_model, normalise
from dal_core.posterior.mc_dropout import chunked_passes
from dal_core.protocol.parameters import Protocol
from dal_core.protocol.randomness import Purpose, numpy_generator, torch_seed
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.run.answers import check_answers
from dal_core.run.events import RANKING_KEPT, Answer, Confusion, Query, StepResult
from dal_core.run.splits import Split, split_of
from dal_core.training.loop import BatchOrder, Training, Watch, train

Progress = Callable[[int, int], None]  # (images done, images in all)
CPU = torch.device("cpu")


class StateError(RuntimeError):
    """The loop was called out of order (a query before a fit, an answer without a query)."""


@dataclass(frozen=True)
class Answered:
    """A query with what was said to it."""

    query: Query
    answers: tuple[Answer, ...]
    submission_id: int

    def labels(self) -> list[tuple[int, int]]:
        """(image id, label) in the order of the ranking, however they were typed.

        A fit depends on the order of its images, so the order is the model's, not the person's.
        """
        given = {a.image_id: a.label for a in self.answers if a.label is not None}
        return [(image_id, given[image_id]) for image_id in self.query.ranking if image_id in given]

    @cached_property
    def n_labels(self) -> int:
        """How many; counted once, since it is asked for at every turn."""
        return len(self.labels())

    def skipped(self) -> list[int]:
        """Images that nobody could tell; they leave the pool without a label."""
        return [a.image_id for a in self.answers if a.label is None]


@dataclass
class Fitted:
    """A trained model with the measurements that belong to it."""

    model: BayesianCNN
    training: Training
    n_labelled: int
    after: int
    seconds: dict[str, float] = field(default_factory=dict)
    corrected: int = 0


class Learner:
    """One run in memory (report, section 3.1).

    Args:
        spec: what makes the run this run.
        dataset: the data it was made on.
        device: where it trains and scores (see `device.choose_device`); random numbers are
            drawn on the CPU whatever it is.
        helper: one thread for a second core, if there is one to spare; changes no result.

    Raises:
        ProtocolError: the data set is too small for the protocol.
        ValueError: the data are not those the run was made on.
    """

    def __init__(
        self,
        spec: RunSpec,
        dataset: ImageDataset,
        device: torch.device = CPU,
        helper: Executor | None = None,
    ) -> None:
        if spec.fingerprint != dataset.fingerprint:
            raise ValueError(
                f"this run was made on other data: its fingerprint is {spec.fingerprint[:12]}, "
                f"that of {dataset.name} is {dataset.fingerprint[:12]}"
            )
        self.spec = spec
        self.dataset = dataset
        self.device, self.helper = device, helper
        self.split: Split = split_of(spec, dataset)
        self.answered: list[Answered] = []
        self.open_query: Query | None = None
        self.fitted: Fitted | None = None
        self.corrected = 0  # id of the last correction among the labels; 0: none
        self._skipping: list[int] = []

    # -- what is known -------------------------------------------------------------------------

    @property
    def protocol(self) -> Protocol:
        """The run's parameters."""
        return self.spec.protocol

    @property
    def after(self) -> int:
        """Id of the last submission in the training set; 0 for the initial set alone."""
        return self.answered[-1].submission_id if self.answered else 0

    @property
    def n_labelled(self) -> int:
        """Labels in the training set; an initial image drawn twice counts twice."""
        return len(self.split.initial) + sum(entry.n_labels for entry in self.answered)

    @property
    def step(self) -> int:
        """Acquisition steps answered so far (k in the report)."""
        return len(self.answered)

    @property
    def skipped(self) -> set[int]:
        """Images skipped in answered queries."""
        return {image_id for entry in self.answered for image_id in entry.skipped()}

    def training_set(self) -> tuple[np.ndarray, np.ndarray]:
        """Image ids and labels, int64 [n], in training order.

        The initial images carry the data set's labels; every other label is an answer.
        """
        given = [pair for entry in self.answered for pair in entry.labels()]
        ids = np.array([image_id for image_id, _ in given], dtype=np.int64)
        labels = np.array([label for _, label in given], dtype=np.int64)
        initial = self.split.initial
        return np.concatenate([initial, ids]), np.concatenate(
            [self.dataset.labels[initial], labels]
        )

    def pool(self) -> np.ndarray:
        """Ids that may still be asked for, ascending."""
        ids, _ = self.training_set()
        gone = np.concatenate([ids, np.array(sorted(self.skipped), dtype=np.int64)])
        return self.split.pool[~np.isin(self.split.pool, gone)]

    # -- the loop ------------------------------------------------------------------------------

    def fit(self, watch: Watch | None = None) -> Training:
        """Train from scratch on the current labels (SPEC section 5.1).

        `watch` sees every epoch and may raise to give up; the learner is then as it was.
        """
        n, seed = self.n_labelled, self.spec.seed
        ids, labels = self.training_set()
        model = self.fresh_model()
        training = train(
            model,
            self._images(ids),
            torch.from_numpy(labels).to(self.device),
            self.protocol,
            torch.Generator().manual_seed(torch_seed(seed, Purpose.TRAINING_DROPOUT, n)),
            self._validation() if self.protocol.weights == "best" else None,
            watch,
            self._batches(),
            helper=self.helper,
        )
        self.take(model, training)
        return training

    def take(self, model: BayesianCNN, training: Training) -> None:
        """Make a model that was trained on the current labels the run's own."""
        seconds = {"train": training.seconds}
        self.fitted = Fitted(model, training, self.n_labelled, self.after, seconds, self.corrected)

    def query(
        self, progress: Progress | None = None, n_kept: int | None = None
    ) -> tuple[Query, np.ndarray | None]:
        """Score the pool and ask for the best images (SPEC sections 3 and 5.3).

        Args:
            n_kept: of how many images the passes are wanted; None: 2 b, those that may be shown.

        Returns:
            The query, and the passes [T, R, C] float32 of the first R = `n_kept` images of its
            ranking (None for random acquisition, which makes no forward pass).

        Raises:
            StateError: there is no model for the current labels, or nothing is left to ask for.
        """
        fitted = self._model()
        started = time.perf_counter()
        ids = self.pool_subset()
        if not len(ids):
            raise StateError("the pool is empty: there is no image left to ask for")
        batch, probs = select(
            registry.get(self.spec.acquisition),
            self._pool_candidates(fitted.model, ids, progress),
            RANKING_KEPT,
            n_passes_kept=n_kept or 2 * self.protocol.n_samples_to_acquire,
            eps=self.protocol.entropy_eps,
        )
        query = Query(
            query_id=uuid.uuid4().hex,
            n_labelled=self.n_labelled,
            asked_by=fitted.n_labelled,
            ranking=tuple(batch.ids.tolist()),
            scores=tuple(batch.gains.tolist()),
            batch_size=self.protocol.n_samples_to_acquire,
            after=self.after,
            corrected=self.corrected,
        )
        self.open_query, self._skipping = query, []
        if probs is None:
            return query, None
        fitted.seconds["score"] = time.perf_counter() - started
        return query, probs.cpu().numpy()

    def evaluate(self, progress: Progress | None = None) -> StepResult:
        """Test accuracy and mean test mutual information (SPEC section 5.2).

        The mean over the T passes decides the class; BALD is averaged over the test images.
        Without a test set both are None.
        """
        fitted = self._model()
        if not len(self.split.test):
            return self._result(fitted, None, None, None)
        started = time.perf_counter()
        ids = self.test_subset(fitted.n_labelled)
        seed = torch_seed(self.spec.seed, Purpose.MC_DROPOUT_TEST, fitted.n_labelled)
        score = registry.scorer("bald", self.protocol.entropy_eps)
        labels, predicted, information = self.dataset.labels[ids], [], 0.0
        for probs in self._passes(fitted.model, ids, seed, progress):
            predicted.append(probs.mean(0).argmax(-1).cpu().numpy())
            information += float(score(probs).cpu().double().sum())
        confusion = confusion_counts(labels, np.concatenate(predicted), self.dataset.n_classes)
        fitted.seconds["evaluate"] = time.perf_counter() - started
        accuracy = int(confusion.trace()) / len(ids)
        counts = tuple(tuple(row) for row in confusion.tolist())
        return self._result(fitted, accuracy, information / len(ids), counts)

    def _result(
        self,
        fitted: Fitted,
        accuracy: float | None,
        mutual_information: float | None,
        confusion: Confusion | None,
    ) -> StepResult:
        return StepResult(
            step=self.step,
            n_labelled=fitted.n_labelled,
            accuracy=accuracy,
            mutual_information=mutual_information,
            train_loss=fitted.training.train_loss,
            val_loss=fitted.training.val_loss,
            best_epoch=fitted.training.best_epoch,
            seconds={"train": 0.0, "evaluate": 0.0, "score": 0.0, **fitted.seconds},
            after=fitted.after,
            corrected=fitted.corrected,
            confusion=confusion,
        )

    def inspect(self, image_ids: Sequence[int]) -> np.ndarray:
        """The passes [T, N, C] of some images under the current model, for showing to people."""
        fitted = self._model()
        seed = torch_seed(self.spec.seed, Purpose.MC_DROPOUT_SHOWN, fitted.n_labelled)
        passes = self._passes(fitted.model, np.asarray(image_ids, dtype=np.int64), seed, None)
        return torch.cat(list(passes), dim=1).cpu().numpy()

    def skip(self, image_id: int) -> tuple[int, ...]:
        """Set an image of the open query aside ("can't tell"); returns the images now shown."""
        query = self._open()
        if image_id not in query.shown(self._skipping):
            raise ValueError(f"image {image_id} is not among the images shown")
        self._skipping.append(image_id)
        return query.shown(self._skipping)

    def answer(
        self, answers: Mapping[int, int | None] | Iterable[Answer], submission_id: int | None = None
    ) -> None:
        """Take the answers to the open query: image id -> label, or None for skipped.

        The labelled and the skipped leave the pool; the model is out of date from here on.

        Raises:
            StateError: no query is open.
            AnswerError: the labelled images are not exactly the images shown.
        """
        query = self._open()
        given = _as_answers(answers)
        mentioned = {answer.image_id for answer in given}
        given += [Answer(i, None) for i in self._skipping if i not in mentioned]
        given = list(check_answers(query, given, self.dataset.n_classes))
        number = submission_id if submission_id is not None else self.after + 1
        self.answered.append(Answered(query, tuple(given), number))
        self.open_query, self.fitted, self._skipping = None, None, []

    def undo(self) -> Query:
        """Take back the last answered query and ask it again under a new id.

        The model that asked it had the labels we are back at, so nothing needs to be refitted to
        answer it once more.

        Raises:
            StateError: nothing was answered yet.
        """
        if not self.answered:
            raise StateError("there is nothing to undo: no query was answered yet")
        self.open_query = reasked(self.answered.pop().query)
        self.fitted, self._skipping = None, []
        return self.open_query

    def replay(
        self, answered: Iterable[Answered], open_query: Query | None = None, corrected: int = 0
    ) -> None:
        """Become the state a log describes; a model that still fits that state is kept.

        Nothing is trained, and nothing is validated again: the log was validated when written.

        Args:
            answered: as they stand now, corrections included.
            corrected: id of the last of these corrections; 0: none.
        """
        self.answered, self.open_query, self._skipping = list(answered), open_query, []
        self.corrected = corrected
        if self.fitted is not None and not self.matches_current_labels(
            self.fitted.after, self.fitted.corrected
        ):
            self.fitted = None

    def matches_current_labels(self, after: int, corrected: int) -> bool:
        """Whether a model of that submission and correction has today's training set."""
        return (after, corrected) == (self.after, self.corrected)

    # -- subsets and models --------------------------------------------------------------------

    def pool_subset(self) -> np.ndarray:
        """The pool images scored at this step, in the order of the seed's permutation.

        The first `pool_subset_size` still in the pool of a permutation of all ids: paired across
        acquisition functions as far as it can be (DESIGN section 3).
        """
        generator = numpy_generator(self.spec.seed, Purpose.POOL_SUBSET, self.n_labelled)
        shuffled = generator.permutation(len(self.dataset.labels))
        in_pool = np.zeros(len(shuffled), dtype=bool)
        in_pool[self.pool()] = True
        kept = shuffled[in_pool[shuffled]]
        size = self.protocol.pool_subset_size
        return kept if size == "all" else kept[:size]

    def test_subset(self, n_labelled: int) -> np.ndarray:
        """The test images measured at a training set size; the same for every function."""
        size, test = self.protocol.test_subset_size, self.split.test
        if size == "all" or self.spec.acquisition == FULL_DATA:
            return test
        generator = numpy_generator(self.spec.seed, Purpose.TEST_SUBSET, n_labelled)
        return generator.permutation(test)[:size]

    def fresh_model(self) -> BayesianCNN:
        """The model with the initial weights of the current step."""
        seed = torch_seed(self.spec.seed, Purpose.INITIAL_WEIGHTS, self.n_labelled)
        return new_model(self.protocol, self.dataset, seed).to(self.device)

    def _pool_candidates(
        self, model: BayesianCNN, ids: np.ndarray, progress: Progress | None
    ) -> Candidates:
        """The images to choose from, in the order of `ids`, and where chance comes in."""
        seed, n = self.spec.seed, self.n_labelled
        ties = numpy_generator(seed, Purpose.TIES, n)
        mask_seed = torch_seed(seed, Purpose.MC_DROPOUT_POOL, n)
        return Candidates(
            ids,
            tie_order(len(ids), self.protocol.ties, ties),
            lambda: self._passes(model, ids, mask_seed, progress),
            numpy_generator(seed, Purpose.RANDOM_SCORES, n),
        )

    def _passes(
        self, model: BayesianCNN, ids: np.ndarray, seed: int, progress: Progress | None
    ) -> Iterable[Tensor]:
        images = self.dataset.images[ids]
        n_passes = self.protocol.num_mc_samples
        return chunked_passes(model, images, n_passes, seed, progress, self.helper)

    def _images(self, ids: np.ndarray) -> Tensor:
        data = self.dataset
        return normalise(data.images[ids], data.pixel_mean, data.pixel_std).to(self.device)

    def _validation(self) -> tuple[Tensor, Tensor]:
        ids = self.split.validation
        return self._images(ids), torch.from_numpy(self.dataset.labels[ids]).to(self.device)

    def _batches(self) -> BatchOrder | None:
        """Mini-batches for the full-data bound; a run's training set is one batch."""
        if self.spec.acquisition != FULL_DATA:
            return None
        seed = torch_seed(self.spec.seed, Purpose.BATCH_ORDER, self.n_labelled)
        size = self.protocol.full_data_batch_size
        return BatchOrder(size, torch.Generator().manual_seed(seed))

    def _model(self) -> Fitted:
        """The model of the current labels: whatever changes the labels drops the model."""
        if self.fitted is None:
            raise StateError("there is no model for the current labels; call fit() first")
        return self.fitted

    def _open(self) -> Query:
        if self.open_query is None:
            raise StateError("no query is open; call query() first")
        return self.open_query


def new_model(protocol: Protocol, dataset: ImageDataset, seed: int) -> BayesianCNN:
    """The protocol's network for images and classes of this data set, freshly initialised."""
    return build_model(
        protocol.which_model,
        protocol.dropout,
        seed,
        dataset.image_shape,
        dataset.n_classes,
        dataset.pixel_mean,
        dataset.pixel_std,
    )


def confusion_counts(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """[C, C] int64: images by label (row) and predicted class (column)."""
    cells = np.bincount(labels * n_classes + predicted, minlength=n_classes**2)
    return cells.reshape(n_classes, n_classes)


def reasked(query: Query) -> Query:
    """The same question under a new id."""
    return Query(**{**vars(query), "query_id": uuid.uuid4().hex})


def _as_answers(answers: Mapping[int, int | None] | Iterable[Answer]) -> list[Answer]:
    if isinstance(answers, Mapping):
        return [Answer(image_id, label) for image_id, label in answers.items()]
    return list(answers)
