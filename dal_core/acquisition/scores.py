"""Acquisition functions: how much the model would learn from an image's label.

Every function is pure: probabilities in, one score per image out, higher is more worth labelling.
Axis order, here and everywhere: probs[t, n, c] is the softmax output of stochastic pass t for
image n and class c, shape [T, N, C]; each row over c sums to 1. Choosing the best images from the
scores is `rank`; making the probabilities is `mc_dropout`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

AcquisitionFunction = Callable[[Tensor], Tensor]


def entropy(p: Tensor, eps: float = 0.0) -> Tensor:
    """Shannon entropy over the last axis, in nats, with 0 log 0 = 0.

    H(p) = - sum_c p_c log p_c; with `eps` > 0, as in the released code,
    - sum_c p_c log(p_c + eps).

    Args:
        p: [..., C] probabilities.
        eps: added inside the logarithm.

    Returns:
        [...] in [0, ln C].
    """
    if eps:
        return -(p * torch.log(p + eps)).sum(-1)
    return torch.special.entr(p).sum(-1)


def max_entropy(probs: Tensor, eps: float = 0.0) -> Tensor:
    """Entropy of the mean prediction (report, eq. 1): H(mean_t p_t).

    Args:
        probs: [T, N, C].
        eps: see `entropy`.

    Returns:
        [N] nats, in [0, ln C].
    """
    return entropy(probs.mean(0), eps)


def bald(probs: Tensor, eps: float = 0.0) -> Tensor:
    """Mutual information between an image's label and the weights (report, eq. 2; Houlsby 2011).

    I[y; w | x] = H(mean_t p_t) - mean_t H(p_t)

    Args:
        probs: [T, N, C].
        eps: see `entropy`.

    Returns:
        [N] nats, in [0, ln C]; float32 rounding may reach 1e-5 outside, and is not clamped away,
        since clamping would make ties.
    """
    return max_entropy(probs, eps) - entropy(probs, eps).mean(0)


def variation_ratios(probs: Tensor) -> Tensor:
    """Share of passes that disagree with the modal class (report, eq. 3; Freeman 1965).

    1 - (count of the modal predicted class over the T passes) / T

    Args:
        probs: [T, N, C].

    Returns:
        [N] in [0, 1 - 1/C]; it takes at most T distinct values, so ties are common.
    """
    n_passes, _, n_classes = probs.shape
    votes = torch.nn.functional.one_hot(probs.argmax(-1), n_classes).sum(0)  # [N, C]
    return 1 - votes.amax(-1).to(probs.dtype) / n_passes


def variation_ratios_mean(probs: Tensor) -> Tensor:
    """Variation ratios as Gal et al. (2017) write it: 1 - max_c mean_t p_tc.

    Args:
        probs: [T, N, C].

    Returns:
        [N] in [0, 1 - 1/C].
    """
    return 1 - probs.mean(0).amax(-1)


def mean_std(probs: Tensor) -> Tensor:
    """Spread of each class's probability over the passes, averaged over classes (report, eq. 4).

    mean_c sqrt(mean_t (p_tc - mean_t p_tc)^2): the population standard deviation in its centred
    form, since E[p^2] - E[p]^2 goes negative in float32.

    Args:
        probs: [T, N, C].

    Returns:
        [N] in [0, sqrt(C-1)/C].
    """
    return probs.std(0, correction=0).mean(-1)


def random(n_images: int, generator: np.random.Generator) -> np.ndarray:
    """A uniform number in [0, 1) per image (report, eq. 5). Needs no forward pass.

    Returns:
        [N] float64.
    """
    return generator.random(n_images)


ACQUISITIONS: Mapping[str, Callable[..., Tensor] | Callable[..., np.ndarray]] = {
    "max_entropy": max_entropy,
    "bald": bald,
    "variation_ratios": variation_ratios,
    "variation_ratios_mean": variation_ratios_mean,
    "mean_std": mean_std,
    "random": random,
}

_WITH_EPS = frozenset({"max_entropy", "bald"})  # the functions that take a logarithm


def scorer(name: str, eps: float = 0.0) -> AcquisitionFunction:
    """The named function of probabilities, `entropy_eps` bound where it takes a logarithm.

    Raises:
        ValueError: for `random`, which has no use for probabilities, and for unknown names.
    """
    if name not in ACQUISITIONS or name == "random":
        raise ValueError(f"acquisition {name!r} scores no probabilities; see ACQUISITIONS")
    function = ACQUISITIONS[name]
    return partial(function, eps=eps) if eps and name in _WITH_EPS else function  # type: ignore[return-value]


def tie_order(n_images: int, ties: str, generator: np.random.Generator) -> np.ndarray:
    """Which of equally scored images comes first, decided before there are scores.

    Args:
        n_images: N.
        ties: "random" orders equal scores by `generator`, never by position (SPEC section 3);
            "first" by position, as a top-k over positions does (SPEC section 9).

    Returns:
        [N] int64, the lower number first.
    """
    if ties == "first":
        return np.arange(n_images)
    priority = np.empty(n_images, dtype=np.int64)
    priority[generator.permutation(n_images)] = np.arange(n_images)
    return priority


def rank(scores: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Positions by descending score, equal ones by ascending `priority` (see `tie_order`).

    Args:
        scores: [N].
        priority: [N].

    Returns:
        [N] int64 positions, best first.
    """
    return np.lexsort((priority, -scores))
