"""The report's learner: a Bayesian CNN whose samples score the pool and the test images."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dal_core.acquisition import registry
from dal_core.acquisition.batch import Candidates, Places, select
from dal_core.acquisition.coordinates import N_FITTED, PixelSpace
from dal_core.acquisition.top_k import tie_order
from dal_core.data.base import ImageDataset
from dal_core.learner.base import Arrays, Facts, Fitted, ImageProgress, matches
from dal_core.learner.calibration import Calibration, calibration
from dal_core.posterior.base import CPU, ImageKind, LabelledImages, PosteriorModel, make_posterior
from dal_core.posterior.untrained import Untrained
from dal_core.protocol.parameters import Protocol
from dal_core.protocol.randomness import Purpose, numpy_generator, torch_seed
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.run.events import RANKING_KEPT, Confusion, Query, StepResult
from dal_core.run.labelled import Labelled
from dal_core.run.splits import Split, split_of
from dal_core.training.loop import Training, Watch

FIRST_BATCH = "typiclust"  # chooses by the pixels alone


@dataclass
class FittedCNN:
    """A model and the labels it was fitted to.

    Attributes:
        spec_key: key of the run's spec (`RunSpec.key`).
        seconds: duration of each part that was done (train, evaluate, score).
    """

    model: PosteriorModel
    labelled: Labelled
    spec_key: str
    seconds: dict[str, float]

    @property
    def n_labelled(self) -> int:
        """Number of labels it was fitted to."""
        return self.labelled.n_labelled

    @property
    def after(self) -> int:
        """Id of the last submission among them; 0 if none."""
        return self.labelled.after

    @property
    def corrected(self) -> int:
        """Id of the last correction among them; 0 if none."""
        return self.labelled.corrected

    def dump(self) -> tuple[Arrays, Facts]:
        """The weights, and facts about the training and the labels."""
        training = self.model.training
        return self.model.arrays(), {
            "spec": self.spec_key,
            "after": self.after,
            "corrected": self.corrected,
            "n_labelled": self.n_labelled,
            "train_losses": training.train_losses,
            "val_losses": training.val_losses,
            "best_epoch": training.best_epoch,
            "seconds": self.seconds,
        }


class BayesianCNNLearner:
    """The procedure of the report (section 3.1; docs/method.md, section 5), with any posterior.

    Args:
        spec: the run's data, protocol, acquisition function and seed.
        dataset: the data that the run was made with.
        device: where tensors are computed (see `device.choose_device`); random numbers are drawn
            on the CPU.
        helper: an executor with one thread, to use a second core; results do not change.
        alive: called at least every few seconds while a method computes.

    Raises:
        ProtocolError: the data set is too small for the protocol.
        ValueError: the run was made with other data.
    """

    def __init__(
        self,
        spec: RunSpec,
        dataset: ImageDataset,
        device: torch.device = CPU,
        helper: Executor | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        if spec.fingerprint != dataset.fingerprint:
            raise ValueError(
                f"this run was made on other data: its fingerprint is {spec.fingerprint[:12]}, "
                f"that of {dataset.name} is {dataset.fingerprint[:12]}"
            )
        self.spec, self.dataset = spec, dataset
        self.device, self.helper, self.alive = device, helper, alive
        self.split: Split = split_of(spec, dataset)
        kind = ImageKind(
            dataset.image_shape, dataset.n_classes, dataset.pixel_mean, dataset.pixel_std
        )
        self.posterior = make_posterior(spec.protocol, kind, device, helper, alive)

    @property
    def protocol(self) -> Protocol:
        """The run's parameters."""
        return self.spec.protocol

    # -- the five methods of a learner ---------------------------------------------------------

    def fit(self, labelled: Labelled, watch: Watch | None = None) -> FittedCNN:
        """Train from scratch on these labels (docs/method.md, section 5.1)."""
        if not labelled.n_labelled:
            return self.fitted(Untrained(self.dataset.n_classes), labelled)
        is_bound = self.spec.acquisition == FULL_DATA
        model = self.posterior.fit(
            self.dataset.images[labelled.ids],
            labelled.labels,
            lambda purpose: self.seed(purpose, labelled.n_labelled),
            validation=self.validation() if self.protocol.weights == "best" else None,
            # Only the full-data bound uses mini-batches; for runs, the training set is one batch.
            batch_size=self.protocol.full_data_batch_size if is_bound else None,
            watch=watch,
        )
        return self.fitted(model, labelled)

    def query(
        self,
        fitted: Fitted,
        labelled: Labelled,
        progress: ImageProgress | None = None,
        n_kept: int | None = None,
        asked: Collection[int] = (),
    ) -> tuple[Query, np.ndarray | None]:
        """Choose from the pool by the acquisition function (docs/method.md, 3 and 5.3).

        Images already asked need not be in the pool's subset. The model's samples do not depend on
        them. If nothing else is in the pool, they are ranked.
        """
        own = _own(fitted)
        if not matches(own, labelled):
            raise ValueError("the model was fitted to other labels; call fit() first")
        started = time.perf_counter()
        ids = self.pool_subset(labelled)
        if not len(ids):
            raise ValueError("the pool is empty: there is no image left to ask for")
        acquisition = self.acquisition_at(labelled.n_labelled)
        batch, probs = select(
            registry.get(acquisition),
            self.candidates(own, ids, acquisition, progress, asked=asked),
            RANKING_KEPT,
            n_passes_kept=n_kept or 2 * self.protocol.n_samples_to_acquire,
        )
        query = Query(
            query_id=uuid.uuid4().hex,
            n_labelled=labelled.n_labelled,
            asked_by=own.n_labelled,
            ranking=tuple(batch.ids.tolist()),
            scores=tuple(batch.gains.tolist()),
            batch_size=self.protocol.n_samples_to_acquire,
            after=labelled.after,
            corrected=labelled.corrected,
        )
        if probs is None:
            return query, None
        own.seconds["score"] = time.perf_counter() - started
        return query, probs.cpu().numpy()

    def evaluate(self, fitted: Fitted, progress: ImageProgress | None = None) -> StepResult:
        """Test accuracy, mutual information and calibration (docs/method.md, section 5.2).

        The predicted class has the highest mean over the T passes; BALD is averaged over the test
        images. All are None without a test set.
        """
        own = _own(fitted)
        if not len(self.split.test):
            return _result(own)
        started = time.perf_counter()
        ids = self.test_subset(own.n_labelled)
        score = registry.scorer("bald", self.protocol.entropy_eps)
        labels, means, predicted, information = self.dataset.labels[ids], [], [], 0.0
        for probs in self._passes(own, ids, Purpose.MC_DROPOUT_TEST, progress):
            mean = probs.mean(0)  # [n, C]
            means.append(mean.cpu().numpy())
            predicted.append(mean.argmax(-1).cpu().numpy())
            information += float(score(probs).cpu().double().sum())
        confusion = confusion_counts(labels, np.concatenate(predicted), self.dataset.n_classes)
        calibrated = calibration(np.concatenate(means), labels)
        own.seconds["evaluate"] = time.perf_counter() - started
        return _result(
            own,
            accuracy=int(confusion.trace()) / len(ids),
            mutual_information=information / len(ids),
            confusion=tuple(tuple(row) for row in confusion.tolist()),
            calibrated=calibrated,
        )

    def inspect(self, fitted: Fitted, image_ids: Sequence[int]) -> np.ndarray:
        """Passes for any images, to show to people: float32 [T, N, C]."""
        ids = np.asarray(image_ids, dtype=np.int64)
        passes = self._passes(_own(fitted), ids, Purpose.MC_DROPOUT_SHOWN, None)
        return torch.cat(list(passes), dim=1).cpu().numpy()

    def load(
        self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], labelled: Labelled
    ) -> FittedCNN | None:
        """Restore a model from `FittedCNN.dump`; None if it is from another run or labels."""
        try:
            # Files of versions without corrections lack this fact.
            state = facts["after"], facts.get("corrected", 0)
            if facts["spec"] != self.spec.key or state != (labelled.after, labelled.corrected):
                return None
            train_losses, val_losses = tuple(facts["train_losses"]), tuple(facts["val_losses"])
            training = Training(
                train_losses, val_losses, facts["best_epoch"], facts["seconds"]["train"]
            )
            if not labelled.n_labelled:
                return self.fitted(Untrained(self.dataset.n_classes), labelled)
            return self.fitted(self.posterior.load(arrays, training), labelled)
        except (KeyError, TypeError, ValueError):  # written by a version with another format
            return None

    # -- parts of these methods ----------------------------------------------------------------

    def fitted(self, model: PosteriorModel, labelled: Labelled) -> FittedCNN:
        """The result of a fit: a model that was trained on these labels."""
        seconds = {"train": model.training.seconds}
        return FittedCNN(model, labelled, self.spec.key, seconds)

    def acquisition_at(self, n_labelled: int) -> str:
        """The function that chooses at this size of the training set.

        Before the first label there is no model to ask. The most typical image of each cluster is
        then asked for, unless the run's function needs no model (docs/method.md, section 4).
        """
        own = self.spec.acquisition
        needs_nothing = own != FULL_DATA and registry.get(own).needs == "nothing"
        return own if n_labelled or needs_nothing else FIRST_BATCH

    def seed(self, purpose: Purpose, n_labelled: int) -> int:
        """The seed for a purpose at a size of the training set."""
        return torch_seed(self.spec.seed, purpose, n_labelled)

    def validation(self) -> LabelledImages:
        """The images and labels for choosing which weights to keep."""
        ids = self.split.validation
        return self.dataset.images[ids], self.dataset.labels[ids]

    def pool_subset(self, labelled: Labelled) -> np.ndarray:
        """Ids of the pool images scored at this step, in the order of the seed's permutation.

        A permutation of the whole data set is drawn, and the subset is its first
        `pool_subset_size` ids that are still in the pool. So runs of one seed score nearly the
        same images, whatever their acquisition function (docs/method.md, section 13).
        """
        generator = numpy_generator(self.spec.seed, Purpose.POOL_SUBSET, labelled.n_labelled)
        shuffled = generator.permutation(len(self.dataset.labels))
        in_pool = np.zeros(len(shuffled), dtype=bool)
        in_pool[labelled.unlabelled(self.split.pool)] = True
        kept = shuffled[in_pool[shuffled]]
        size = self.protocol.pool_subset_size
        return kept if size == "all" else kept[:size]

    def test_subset(self, n_labelled: int) -> np.ndarray:
        """Ids of the test images at a size of the training set, the same for every function."""
        size, test = self.protocol.test_subset_size, self.split.test
        if size == "all" or self.spec.acquisition == FULL_DATA:
            return test
        generator = numpy_generator(self.spec.seed, Purpose.TEST_SUBSET, n_labelled)
        return generator.permutation(test)[:size]

    def candidates(
        self,
        fitted: FittedCNN,
        ids: np.ndarray,
        acquisition: str | None = None,
        progress: ImageProgress | None = None,
        asked: Collection[int] = (),
    ) -> Candidates:
        """The images to choose from, with the random numbers of the choice.

        Args:
            ids: int64 [N], the pool images scored at this step (`pool_subset`).
            acquisition: the function that chooses; None for the run's own.
            asked: as for `query`.
        """
        name = acquisition or self.spec.acquisition
        if not asked or set(asked).issuperset(ids.tolist()):
            return self._candidates(fitted, ids, ids[:0], name, progress)
        outside = np.array(sorted(set(asked).difference(ids.tolist())), dtype=np.int64)
        whole = self._candidates(fitted, ids, outside, name, progress)
        return whole.without(np.flatnonzero(np.isin(whole.ids, list(asked))))

    def _candidates(
        self,
        fitted: FittedCNN,
        ids: np.ndarray,
        more: np.ndarray,
        acquisition: str,
        progress: ImageProgress | None,
    ) -> Candidates:
        """The images `ids`, then `more`, which change neither the samples nor the ties of `ids`."""
        seed, n_labelled = self.spec.seed, fitted.n_labelled
        ties = numpy_generator(seed, Purpose.TIES, n_labelled)
        needs_nothing = registry.get(acquisition).needs == "nothing"
        purpose = Purpose.RANDOM_SCORES if needs_nothing else Purpose.SELECTION
        both = np.concatenate([ids, more])
        priority = tie_order(len(ids), self.protocol.ties, ties)

        def passes() -> Iterable[Tensor]:
            yield from self._passes(fitted, ids, Purpose.MC_DROPOUT_POOL, progress)
            if len(more):
                yield from self._passes(fitted, more, Purpose.MC_DROPOUT_POOL, None)

        return Candidates(
            both,
            np.concatenate([priority, np.arange(len(ids), len(both))]),
            passes,
            numpy_generator(seed, purpose, n_labelled),
            joint=lambda positions, k: self._joint(fitted, both[positions], k),
            pixels=lambda: self._places(self._pixel_space.coordinates, fitted, both),
            features=lambda: self._places(fitted.model.hidden, fitted, both),
            n_samples=self.protocol.num_mc_samples,
            batch_size=self.protocol.n_samples_to_acquire,
            eps=self.protocol.entropy_eps,
        )

    @cached_property
    def _pixel_space(self) -> PixelSpace:
        """The same for every step."""
        return PixelSpace.of(self.dataset.images[self.split.pool[:N_FITTED]])

    def _places(
        self, points: Callable[[np.ndarray], Tensor], fitted: FittedCNN, ids: np.ndarray
    ) -> Places:
        """Where the candidates and the labelled images lie, by a function of images."""
        images = self.dataset.images
        return Places(points(images[ids]), points(images[fitted.labelled.ids]))

    def _joint(self, fitted: FittedCNN, ids: np.ndarray, k: int) -> Tensor:
        """[k, n, C] consistent samples of these images."""
        seed = self.seed(Purpose.CONSISTENT_POOL, fitted.n_labelled)
        chunks = fitted.model.sample_in_chunks(
            self.dataset.images[ids],
            k,
            seed,
            consistent=True,
            progress=lambda _done, _total: self.alive(),
            helper=self.helper,
        )
        return torch.cat([chunk.cpu() for chunk in chunks], dim=1)

    def _passes(
        self,
        fitted: FittedCNN,
        ids: np.ndarray,
        purpose: Purpose,
        progress: ImageProgress | None,
    ) -> Iterable[Tensor]:
        """The T passes of the images, in chunks [T, n, C]."""
        model, is_pool = fitted.model, purpose is Purpose.MC_DROPOUT_POOL
        sample = model.pool_in_chunks if is_pool else model.sample_in_chunks
        return sample(
            self.dataset.images[ids],
            self.protocol.num_mc_samples,
            self.seed(purpose, fitted.n_labelled),
            progress=progress or (lambda _done, _total: self.alive()),
            helper=self.helper,
        )


def _result(
    fitted: FittedCNN,
    accuracy: float | None = None,
    mutual_information: float | None = None,
    confusion: Confusion | None = None,
    calibrated: Calibration | None = None,
) -> StepResult:
    """A step's result: the given measurements, and the losses of the training."""
    training = fitted.model.training
    return StepResult(
        step=fitted.labelled.step,
        n_labelled=fitted.n_labelled,
        accuracy=accuracy,
        mutual_information=mutual_information,
        train_loss=training.train_loss,
        val_loss=training.val_loss,
        best_epoch=training.best_epoch,
        seconds={"train": 0.0, "evaluate": 0.0, "score": 0.0, **fitted.seconds},
        after=fitted.after,
        corrected=fitted.corrected,
        confusion=confusion,
        **({} if calibrated is None else vars(calibrated)),
    )


def confusion_counts(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """[C, C] int64: number of images by label (row) and predicted class (column)."""
    cells = np.bincount(labels * n_classes + predicted, minlength=n_classes**2)
    return cells.reshape(n_classes, n_classes)


def _own(fitted: Fitted) -> FittedCNN:
    if not isinstance(fitted, FittedCNN):
        raise TypeError(f"the model is a {type(fitted).__name__}, which this learner did not fit")
    return fitted
