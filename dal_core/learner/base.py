"""The interface of a learner, which workers and pages use.

A learner holds the run's parameters and data but no history. Every call is given the labels, or a
model that was fitted to them. Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dal_core.run.events import Query, StepResult
from dal_core.run.labelled import Labelled

if TYPE_CHECKING:
    import torch

    from dal_core.data.base import ImageDataset
    from dal_core.protocol.run_spec import RunSpec
    from dal_core.run.splits import Split
    from dal_core.training.loop import Watch

ImageProgress = Callable[[int, int], None]  # (images done, images in total)
Arrays = dict[str, np.ndarray]
Facts = dict[str, Any]  # serialisable as JSON


class Fitted(Protocol):
    """A model fitted to the labels of one state of a run.

    Attributes:
        n_labelled: number of labels it was fitted to.
        after, corrected: ids of the last submission and correction among them; 0 if none.
        seconds: duration of each part that was done (train, evaluate, score).
    """

    @property
    def n_labelled(self) -> int: ...
    @property
    def after(self) -> int: ...
    @property
    def corrected(self) -> int: ...
    @property
    def seconds(self) -> Mapping[str, float]: ...

    def dump(self) -> tuple[Arrays, Facts]:
        """The arrays and facts from which `Learner.load` restores the model.

        The facts contain the state: `n_labelled`, `after` and `corrected`.
        """
        ...


class Learner(Protocol):
    """Fits models to a run's labels, and uses them to ask and to measure."""

    @property
    def split(self) -> Split:
        """The images of the run by role."""
        ...

    def fit(self, labelled: Labelled, watch: Watch | None = None) -> Fitted:
        """Train from scratch on these labels.

        Args:
            watch: called after every epoch; may raise to stop the fit.
        """
        ...

    def query(
        self,
        fitted: Fitted,
        labelled: Labelled,
        progress: ImageProgress | None = None,
        n_kept: int | None = None,
        asked: Collection[int] = (),
    ) -> tuple[Query, np.ndarray | None]:
        """Choose the images to ask for next.

        Args:
            fitted: the model fitted to `labelled`.
            progress: called with (images done, N) while scoring.
            n_kept: number of images whose passes are returned; None for twice the batch, the most
                that a page shows.
            asked: images that were asked since those of `labelled`. The choice leaves them out and
                goes on after them.

        Returns:
            The query, and the passes [T, R, C] float32 of the first R = `n_kept` images of its
            ranking (None if the acquisition function needs no passes).

        Raises:
            ValueError: the pool is empty, or `fitted` was fitted to other labels.
        """
        ...

    def evaluate(self, fitted: Fitted, progress: ImageProgress | None = None) -> StepResult:
        """Measure the model on the test images of its step (docs/method.md, section 5.2)."""
        ...

    def inspect(self, fitted: Fitted, image_ids: Sequence[int]) -> np.ndarray:
        """Passes for any images, to show to people: float32 [T, N, C]."""
        ...

    def load(
        self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], labelled: Labelled
    ) -> Fitted | None:
        """Restore a model from `Fitted.dump`; None if it is from another run or other labels."""
        ...


def matches(fitted: Fitted, labelled: Labelled) -> bool:
    """Whether the model was fitted to these labels."""
    return (fitted.after, fitted.corrected) == (labelled.after, labelled.corrected)


def make_learner(
    spec: RunSpec,
    dataset: ImageDataset,
    device: torch.device | None = None,
    helper: Executor | None = None,
    alive: Callable[[], None] = lambda: None,
) -> Learner:
    """The learner of a run.

    Args:
        device: where tensors are computed; None for the CPU.
        helper: an executor with one thread, to use a second core; results do not change.
        alive: called at least every few seconds while the learner computes.

    Raises:
        ProtocolError: the data set is too small for the protocol.
        ValueError: the run was made with other data.
    """
    from dal_core.learner.bayesian_cnn import BayesianCNNLearner  # imports torch
    from dal_core.posterior.base import CPU  # imports torch

    return BayesianCNNLearner(spec, dataset, device or CPU, helper, alive)
