"""What workers and pages need of any learner.

A learner holds the run's parameters and data but no history: every call gets the labels, or the
model that was fitted to them. Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

ImageProgress = Callable[[int, int], None]  # (images done, images in all)
Arrays = dict[str, np.ndarray]
Facts = dict[str, Any]  # what JSON can hold


class Fitted(Protocol):
    """A model fitted to the labels of one state of a run.

    Attributes:
        n_labelled: labels it was fitted to.
        after, corrected: the last submission and the last correction among them; 0 for none.
        seconds: durations by part (train, evaluate, score), as far as they were done.
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
        """What `Learner.load` needs to bring the model back.

        The facts name the state: `n_labelled`, `after` and `corrected`.
        """
        ...


class Learner(Protocol):
    """Fits models to a run's labels, and asks and measures with them."""

    @property
    def split(self) -> Split:
        """The images of the run by role."""
        ...

    def fit(self, labelled: Labelled, watch: Watch | None = None) -> Fitted:
        """Train from scratch on these labels.

        Args:
            watch: called after every epoch; may raise to give the fit up.
        """
        ...

    def query(
        self,
        fitted: Fitted,
        labelled: Labelled,
        progress: ImageProgress | None = None,
        n_kept: int | None = None,
    ) -> tuple[Query, np.ndarray | None]:
        """Choose the images to ask for next.

        Args:
            fitted: fitted to `labelled`.
            n_kept: images whose passes are wanted; None for twice the batch, which is as many as
                a page may show.

        Returns:
            The query, and the passes [T, R, C] float32 of the first R = `n_kept` images of its
            ranking; None if it was ranked without passes.

        Raises:
            ValueError: the pool is empty, or `fitted` is of other labels.
        """
        ...

    def evaluate(self, fitted: Fitted, progress: ImageProgress | None = None) -> StepResult:
        """Measure the model on the test images of its step."""
        ...

    def inspect(self, fitted: Fitted, image_ids: Sequence[int]) -> np.ndarray:
        """Passes of any images, for showing them to people: float32 [T, N, C]."""
        ...

    def load(
        self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], labelled: Labelled
    ) -> Fitted | None:
        """A model that `Fitted.dump` gave; None if it is not of this run and these labels."""
        ...


def matches(fitted: Fitted, labelled: Labelled) -> bool:
    """Whether the model was fitted to these labels."""
    return (fitted.after, fitted.corrected) == (labelled.after, labelled.corrected)


def make_learner(
    spec: RunSpec,
    dataset: ImageDataset,
    device: torch.device | None = None,
    helper: Executor | None = None,
) -> Learner:
    """The learner of a run.

    Args:
        device: where tensors are computed; None for the CPU.
        helper: one thread for a second core; it changes no result.

    Raises:
        ProtocolError: the data set is too small for the protocol.
        ValueError: the run was made on other data.
    """
    from dal_core.learner.bayesian_cnn import BayesianCNNLearner  # imports torch
    from dal_core.posterior.base import CPU  # imports torch

    return BayesianCNNLearner(spec, dataset, device or CPU, helper)
