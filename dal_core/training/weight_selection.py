"""The weights with the lowest validation loss, found in turn or beside the training.

Beside: while a person waits, the machine's second core is free, so a thread validates a snapshot
of an epoch while the next one trains (PyTorch lets go of the interpreter during its operations).
The epochs are looked at in the same order with the same sums (`validation`), so the weights are the
same to the last bit; only the losses become known later.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future

import torch
from torch import Tensor

from dal_core.models.networks import BayesianCNN
from dal_core.training.validation import Validation

AHEAD = 8  # epochs that training may be ahead; a validation takes from half to three epochs' time


class BestWeights:
    """Keeps a copy (not a reference) of the weights with the lowest validation loss so far."""

    def __init__(self, model: BayesianCNN, validation: Validation) -> None:
        self.model, self.validation = model, validation
        self.losses: list[float | None] = []
        self.best_epoch = 0
        self.weights: Sequence[Tensor] = ()

    def look(self, epoch: int) -> float | None:
        """Validate the model as it is after an epoch; the loss, None where it was given up."""
        validated = self.validation.measure(self.model)
        if validated.is_lowest:
            self.best_epoch, self.weights = epoch, snapshot(self.model)
        self.losses.append(validated.loss)
        return validated.loss

    def restore(self) -> None:
        """Put the best weights into the model."""
        put(self.weights, self.model)

    def close(self) -> None:
        """End; nothing is under way."""


class BestWeightsBeside:
    """The same, each look in a thread beside the training.

    Args:
        helper: an executor with exactly one thread, so that looks happen in order.
    """

    def __init__(self, model: BayesianCNN, validation: Validation, helper: Executor) -> None:
        self.model, self.helper = model, helper
        self._looks = BestWeights(copy.deepcopy(model), validation)  # the thread's alone
        self._pending: deque[Future[float | None]] = deque()

    @property
    def losses(self) -> list[float | None]:
        """Complete after `restore`."""
        return self._looks.losses

    @property
    def best_epoch(self) -> int:
        """Final after `restore`."""
        return self._looks.best_epoch

    def look(self, epoch: int) -> None:
        """Have the model as it is after an epoch validated; waits if too many looks are due."""
        self._pending.append(self.helper.submit(self._look, epoch, snapshot(self.model)))
        if len(self._pending) > AHEAD:
            self._pending.popleft().result()

    def restore(self) -> None:
        """Wait for the last look and put the best weights into the model."""
        while self._pending:
            self._pending.popleft().result()
        put(self._looks.weights, self.model)

    def close(self) -> None:
        """Drop what nobody waits for any more."""
        for look in self._pending:
            look.cancel()

    def _look(self, epoch: int, weights: Sequence[Tensor]) -> float | None:
        put(weights, self._looks.model)
        return self._looks.look(epoch)


def snapshot(model: BayesianCNN) -> list[Tensor]:
    """A copy of the weights; models have no buffers, so these are all of their state."""
    return [parameter.detach().clone() for parameter in model.parameters()]


def put(weights: Sequence[Tensor], model: BayesianCNN) -> None:
    """Copy a snapshot into a model."""
    with torch.no_grad():
        for parameter, kept in zip(model.parameters(), weights, strict=True):
            parameter.copy_(kept)
