"""What the labels of a batch tell about the weights together, beside the sum of their scores.

BALD scores each image alone, so that ten copies of an image count ten times. The joint information
counts what they tell together (docs/method.md, sections 3.3 and 3.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
import torch
from torch import Tensor

from dal_core.acquisition.joint import N_SAMPLES, TINY
from dal_core.acquisition.scores import bald
from dal_core.explain.batches import Pool
from dal_core.protocol.randomness import Purpose, numpy_generator

N_DRAWS = 2500  # sets of labels drawn, at least; the standard error is about .03 nats


@dataclass(frozen=True)
class Information:
    """What the labels of an ordered batch tell about the weights, in nats.

    Attributes:
        joint: [b + 1] I[y_1, ..., y_k; w] of the first k images, from k = 0.
        summed: [b + 1] the sum of their single scores I[y_n; w], from the same samples.
        n_samples: T, the number of different samples; `joint` is at most ln T.
    """

    joint: tuple[float, ...]
    summed: tuple[float, ...]
    n_samples: int

    @property
    def bound(self) -> float:
        """ln T: no batch can tell more."""
        return log(self.n_samples)

    @property
    def share(self) -> float | None:
        """The joint information as a share of the sum; None where the sum is 0."""
        return min(1.0, self.joint[-1] / self.summed[-1]) if self.summed[-1] > 1e-9 else None


def information_of(pool: Pool, image_ids: tuple[int, ...]) -> Information:
    """The joint and the summed information of a batch, from the samples BatchBALD chooses by."""
    n_samples = min(N_SAMPLES, pool.step.model.n_networks or N_SAMPLES)
    positions = pool.positions(image_ids).numpy()
    samples = pool.candidates("batchbald").joint(positions, n_samples).double()  # [T, b, C]
    draws = numpy_generator(pool.step.seed, Purpose.SELECTION, pool.step.n_labelled)
    return Information(
        joint=(0.0, *joint_information(samples, draws)),
        summed=(0.0, *np.cumsum(bald(samples).numpy()).tolist()),
        n_samples=n_samples,
    )


def joint_information(
    probs: Tensor, generator: np.random.Generator, n_draws: int = N_DRAWS
) -> list[float]:
    """I[y_1, ..., y_k; w] of the first k images, for each k.

    I = mean_t E_{y ~ p_t} [ln p_t(y) - ln mean_s p_s(y)], with p_t(y) = prod_n p_tn(y_n). The
    expectation is estimated from as many sets of labels y drawn for every pass t, at least
    `n_draws` in all. No term is larger than ln T, so neither is the estimate. That of one image is
    exact. O(n_draws T b).

    Args:
        probs: [T, b, C] consistent samples of the images in their order.

    Returns:
        b values in nats.
    """
    p = probs.double()
    n_passes, n_images, _ = p.shape
    passes = torch.arange(n_passes).repeat_interleave(-(-n_draws // n_passes))  # [D]
    log_p = p.clamp(min=TINY).log()
    likelihood = torch.zeros(len(passes), n_passes, dtype=torch.double)  # ln p_s(y), [D, T]
    found: list[float] = []
    for n in range(n_images):
        at = torch.from_numpy(generator.random((len(passes), 1)))
        labels = (p[passes, n].cumsum(-1) < at).sum(-1).clamp(max=p.shape[2] - 1)  # [D]
        likelihood += log_p[:, n].T[labels]
        own = likelihood[torch.arange(len(passes)), passes]
        mean = torch.logsumexp(likelihood, 1) - log(n_passes)
        found.append(float((own - mean).mean()))
    return [float(bald(p[:, :1])[0]), *found[1:]] if found else []
