"""The search of QUAM (Schweighofer et al. 2023): weights that predict a class and fit the labels.

For an image x and each class c the last dense layers are changed by gradient descent on

    -ln p_c(x; w) + penalty * max(0, L(w) - L(w*) - gamma) + rho * |w - w*|^2,

where w* are the trained weights and L is the mean training loss without dropout. Of all weights
met on the way, those with L(w) <= L(w*) + gamma that give c the highest probability are kept; w*
is one of them, so some always are. The search draws no random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class SearchSettings:
    """How to search; the parameters of the protocol without their first word.

    Attributes:
        gamma: nats per image by which the training loss may exceed the trained weights'.
        penalty: weight of what exceeds it.
        steps: gradient steps.
        learning_rate: of Adam.
        rho: weight of the squared distance to the trained weights.
    """

    gamma: float
    penalty: float
    steps: int
    learning_rate: float
    rho: float


@dataclass(frozen=True)
class Found:
    """The weights found for one image.

    Attributes:
        probs: [C, C]; row c is the prediction for the image by the weights found for class c.
        losses: [C] their training losses, nats per image.
        weights: weights and biases of each searched layer, [C, outputs, inputs] and [C, outputs].
    """

    probs: Tensor
    losses: Tensor
    weights: list[Tensor]


class Search:
    """Searches weights of the last dense layers.

    Args:
        layers: the layers whose weights may change, relu between them.
        inputs: [n, F] inputs of the first of them for the training images.
        labels: [n] int64.
    """

    def __init__(
        self,
        layers: Sequence[nn.Linear],
        inputs: Tensor,
        labels: Tensor,
        settings: SearchSettings,
    ) -> None:
        self.inputs, self.labels, self.settings = inputs, labels, settings
        self.start = [part.detach() for layer in layers for part in (layer.weight, layer.bias)]
        one = [part[None] for part in self.start]
        self.highest = float(self._losses(one)[0]) + settings.gamma  # that a loss may be

    def for_image(self, x: Tensor) -> Found:
        """The weights for one image.

        Args:
            x: [F] its input of the first searched layer.
        """
        n_classes = len(self.start[-1])
        classes = torch.arange(n_classes, device=x.device)
        weights = [part.repeat(n_classes, *[1] * part.ndim).requires_grad_() for part in self.start]
        optimiser = torch.optim.Adam(weights, lr=self.settings.learning_rate, fused=True)
        best = _Best(weights)
        for step in range(self.settings.steps + 1):
            logits = _forward(weights, x.expand(n_classes, 1, -1))[:, 0]  # [C, C]
            losses = self._losses(weights)  # [C]
            # The trained weights are always allowed, also if rounding lifts their loss.
            allowed = self.highest if step > 0 else math.inf
            best.see(weights, logits.detach(), losses.detach(), allowed)
            if step == self.settings.steps:
                break
            target = F.cross_entropy(logits, classes, reduction="none")
            excess = self.settings.penalty * (losses - self.highest).clamp_min(0)
            optimiser.zero_grad(set_to_none=True)
            (target + excess + self._distance(weights)).sum().backward()
            optimiser.step()
        return Found(torch.softmax(best.logits, -1), best.losses, best.weights)

    def _losses(self, weights: Sequence[Tensor]) -> Tensor:
        """[K] the mean training loss of each of K sets of weights."""
        n_sets = len(weights[0])
        logits = _forward(weights, self.inputs.expand(n_sets, -1, -1))  # [K, n, C]
        each = F.cross_entropy(logits.flatten(0, 1), self.labels.repeat(n_sets), reduction="none")
        return each.view(n_sets, -1).mean(1)

    def _distance(self, weights: Sequence[Tensor]) -> Tensor:
        """[C] rho times the squared distance to the trained weights."""
        if self.settings.rho == 0:
            return weights[0].new_zeros(())
        squares = [
            (part - start).square().flatten(1).sum(1)
            for part, start in zip(weights, self.start, strict=True)
        ]
        return self.settings.rho * torch.stack(squares).sum(0)


class _Best:
    """For each class, the allowed weights that give it the highest probability so far."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        n_classes = len(weights[0])
        self.highest = weights[0].new_full((n_classes,), -torch.inf)
        self.losses = weights[0].new_zeros(n_classes)
        self.logits = weights[0].new_zeros(n_classes, n_classes)
        self.weights = [torch.empty_like(part) for part in weights]

    def see(
        self, weights: Sequence[Tensor], logits: Tensor, losses: Tensor, allowed: float
    ) -> None:
        """Compare the weights of a step with the best so far."""
        reached = torch.log_softmax(logits, -1).diagonal()  # [C]
        better = (losses <= allowed) & (reached > self.highest)
        self.highest = torch.where(better, reached, self.highest)
        self.losses = torch.where(better, losses, self.losses)
        self.logits[better] = logits[better]
        for kept, part in zip(self.weights, weights, strict=True):
            kept[better] = part.detach()[better]


def _forward(weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """[K, n, F] through K sets of layers -> logits [K, n, C]."""
    for number in range(0, len(weights), 2):
        x = F.relu(x) if number > 0 else x
        x = torch.baddbmm(weights[number + 1].unsqueeze(1), x, weights[number].transpose(1, 2))
    return x
