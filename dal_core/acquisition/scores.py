"""The report's acquisition functions: how much a model would learn from an image's label.

Every function is pure: it maps probabilities to one score per image. The images with the highest
scores are asked for. The axis order is the same everywhere: probs[t, n, c] is the softmax output
of stochastic pass t for image n and class c, shape [T, N, C]. Each row over c sums to 1.
"""

from __future__ import annotations

from math import ceil, log, sqrt
from typing import TYPE_CHECKING

from dal_core.acquisition.registry import AcquisitionFunction, register

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


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
    import torch

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


register(
    AcquisitionFunction(
        name="max_entropy",
        title="Max entropy",
        short_title="ME",
        hint="picks images whose mean prediction is least certain",
        equation=r"\mathbb{H}\big[m_n\big] = -\sum_c m_{n,c} \log m_{n,c}, \qquad "
        r"m_{n,c} = \frac{1}{T}\sum_t p_{t,n,c}",
        source="report, section 2.2.1, equation 1",
        record_name="predictive_entropy",
        bounds=lambda n_classes, n_passes: (0, log(n_classes)),
        needs="marginal",
        colour="orange",
        score=max_entropy,
        takes_eps=True,
    )
)


def bald(probs: Tensor, eps: float = 0.0) -> Tensor:
    """Mutual information between an image's label and the weights (report, eq. 2; Houlsby 2011).

    I[y; w | x] = H(mean_t p_t) - mean_t H(p_t)

    Args:
        probs: [T, N, C].
        eps: see `entropy`.

    Returns:
        [N] nats, in [0, min(ln C, ln T)]. Float32 rounding may give a value up to 1e-5 outside.
        It is not clamped, since clamping would create ties.
    """
    return max_entropy(probs, eps) - entropy(probs, eps).mean(0)


register(
    AcquisitionFunction(
        name="bald",
        title="BALD",
        short_title="BALD",
        hint="picks images the passes disagree on (mutual information)",
        equation=r"\mathbb{H}\big[m_n\big] - \frac{1}{T}\sum_t \mathbb{H}\big[p_{t,n}\big]",
        source="report, section 2.2.2, equation 2; Houlsby et al. 2011",
        record_name="mutual_information",
        bounds=lambda n_classes, n_passes: (0, log(min(n_classes, n_passes))),
        needs="marginal",
        colour="blue",
        score=bald,
        needs_disagreement=True,
        takes_eps=True,
    )
)


def variation_ratios(probs: Tensor) -> Tensor:
    """Share of passes that disagree with the modal class (report, eq. 3; Freeman 1965).

    1 - (count of the modal predicted class over the T passes) / T

    Args:
        probs: [T, N, C].

    Returns:
        [N] in [0, 1 - ceil(T/C)/T]. There are at most T distinct values, so ties are common.
    """
    import torch

    n_passes, _, n_classes = probs.shape
    votes = torch.nn.functional.one_hot(probs.argmax(-1), n_classes).sum(0)  # [N, C]
    return 1 - votes.amax(-1).to(probs.dtype) / n_passes


register(
    AcquisitionFunction(
        name="variation_ratios",
        title="Variation ratios",
        short_title="VR",
        hint="picks images the passes vote differently on",
        equation=r"1 - \frac{1}{T} \max_c \sum_t "
        r"\mathbb{1}\big[\textstyle\arg\max_{c'} p_{t,n,c'} = c\big]",
        source="report, section 2.2.3, equation 3; Freeman 1965",
        record_name="variation_ratios",
        bounds=lambda n_classes, n_passes: (0, 1 - ceil(n_passes / n_classes) / n_passes),
        needs="marginal",
        colour="green",
        score=variation_ratios,
        needs_disagreement=True,
    )
)


def variation_ratios_mean(probs: Tensor) -> Tensor:
    """Variation ratios as Gal et al. (2017) write it: 1 - max_c mean_t p_tc.

    Args:
        probs: [T, N, C].

    Returns:
        [N] in [0, 1 - 1/C].
    """
    return 1 - probs.mean(0).amax(-1)


register(
    AcquisitionFunction(
        name="variation_ratios_mean",
        title="Variation ratios (mean)",
        short_title="VR (mean)",
        hint="picks images whose likeliest class is least likely",
        equation=r"1 - \max_c m_{n,c}",
        source="Gal et al. 2017; report, section 2.2.3",
        record_name="variation_ratios_mean",
        bounds=lambda n_classes, n_passes: (0, 1 - 1 / n_classes),
        needs="marginal",
        colour="sky",
        score=variation_ratios_mean,
    )
)


def mean_std(probs: Tensor) -> Tensor:
    """Spread of each class's probability over the passes, averaged over classes (report, eq. 4).

    mean_c sqrt(mean_t (p_tc - mean_t p_tc)^2)

    This is the population standard deviation in its centred form. The form E[p^2] - E[p]^2 can be
    negative in float32.

    Args:
        probs: [T, N, C].

    Returns:
        [N] in [0, sqrt(C-1)/C].
    """
    return probs.std(0, correction=0).mean(-1)


register(
    AcquisitionFunction(
        name="mean_std",
        title="Mean std",
        short_title="MSTD",
        hint="picks images whose probabilities spread most",
        equation=r"\frac{1}{C} \sum_c \sqrt{\frac{1}{T}\sum_t \big(p_{t,n,c} - m_{n,c}\big)^2}",
        source="report, section 2.2.4, equation 4",
        record_name="mean_standard_deviation",
        bounds=lambda n_classes, n_passes: (0, sqrt(n_classes - 1) / n_classes),
        needs="marginal",
        colour="purple",
        score=mean_std,
        needs_disagreement=True,
    )
)


def random(n_images: int, generator: np.random.Generator) -> np.ndarray:
    """A uniform number in [0, 1) for each image (report, eq. 5), without a forward pass.

    Returns:
        [N] float64.
    """
    return generator.random(n_images)


register(
    AcquisitionFunction(
        name="random",
        title="Random",
        short_title="Random",
        hint="picks any image; the other functions are compared with it",
        equation=r"\mathrm{unif}[0, 1)",
        source="report, section 2.2.5, equation 5",
        record_name="random",
        bounds=lambda n_classes, n_passes: (0, 1),
        needs="nothing",
        colour="grey",
        score=random,
    )
)
