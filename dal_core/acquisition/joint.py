"""Functions of consistent samples, in which pass t is the same network for every image.

With the masks of MC dropout drawn image by image, the labels of two images would be independent
given the pass, and a joint entropy would be a sum (docs/method.md, section 3.3).
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

from dal_core.acquisition.registry import AcquisitionFunction, register
from dal_core.acquisition.scores import bald

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from dal_core.acquisition.batch import Batch, Candidates

N_SAMPLES = 256  # T of a joint score: no batch can tell more than ln T nats about the weights
N_CONFIGURATIONS = 2000  # joint labels counted exactly up to this many, sampled beyond
N_CHOSEN_FROM = 300  # images to choose from: those of the highest BALD
N_TARGETS = 100  # images of the pool about whose labels EPIG asks
TINY = 1e-37


def batchbald(
    probs: Tensor,
    size: int,
    generator: np.random.Generator,
    n_configurations: int = N_CONFIGURATIONS,
    before: Tensor | None = None,
) -> tuple[list[int], list[float]]:
    """Greedy choice of the images whose labels together tell most about the weights.

    I[y_1, ..., y_b; w] = H(y_1, ..., y_b) - sum_n mean_t H(p_tn)   (Kirsch et al. 2019)

    The gain of image n, given the labels m of the images before it, is
    sum_m q_m H(sum_t r_mt p_tn) - mean_t H(p_tn), where q_m is the probability of m and r_mt that
    of pass t given m. All C^k configurations m are counted while there are at most
    `n_configurations`; beyond, that many are drawn by stratified sampling from their distribution.

    For N images it takes O(b M T N C) operations with M configurations, in float64.

    Args:
        probs: [T, N, C] consistent samples.
        size: number of images to choose.
        generator: draws the configurations.
        before: [T, A, C] of images that count as chosen already.

    Returns:
        Positions in order and the gain of each in nats, at least 0 up to sampling error. The sum
        of the gains is at most ln T while configurations are exact.
    """
    import torch

    p = probs.double()  # [T, N, C]
    n_passes, n_images, _ = p.shape
    conditional = torch.special.entr(p).sum(-1).mean(0)  # [N]
    log_likelihood = torch.zeros(1, n_passes, dtype=torch.double)  # [M, T] of each configuration
    weights = torch.ones(1, dtype=torch.double)  # q, [M]
    for known in before.double().unbind(1) if before is not None else ():  # [T, C] each
        log_likelihood, weights = _extend(
            log_likelihood, weights, known, generator, n_configurations
        )
    open_ = torch.ones(n_images, dtype=torch.bool)
    chosen: list[int] = []
    gains: list[float] = []
    while len(chosen) < min(size, n_images):
        given = torch.softmax(log_likelihood, 1)  # r, [M, T]
        gain = _joint_entropy(p, given, weights) - conditional
        best = int(torch.where(open_, gain, -torch.inf).argmax())
        open_[best] = False
        chosen.append(best)
        gains.append(float(gain[best]))
        log_likelihood, weights = _extend(
            log_likelihood, weights, p[:, best], generator, n_configurations
        )
    return chosen, gains


def _joint_entropy(p: Tensor, given: Tensor, weights: Tensor) -> Tensor:
    """sum_m q_m H(y_n | m), [N], in blocks of images."""
    import torch

    n_passes, n_images, n_classes = p.shape
    found = []
    for start in range(0, n_images, 50):
        block = p[:, start : start + 50].reshape(n_passes, -1)
        predicted = (given @ block).reshape(len(given), -1, n_classes)  # [M, n, C]
        found.append(weights @ torch.special.entr(predicted).sum(-1))
    return torch.cat(found)


def _extend(
    log_likelihood: Tensor,
    weights: Tensor,
    p: Tensor,
    generator: np.random.Generator,
    n_configurations: int,
) -> tuple[Tensor, Tensor]:
    """The configurations with the label of one more image, whose passes are p [T, C]."""
    import torch

    given = torch.softmax(log_likelihood, 1)  # [M, T]
    label = given @ p  # [M, C], probability of its label given each configuration
    joint = (weights[:, None] * label).flatten()  # [M C]
    log_p = p.clamp(min=TINY).log().T  # [C, T]
    if len(joint) <= n_configurations:
        extended = (log_likelihood[:, None] + log_p).flatten(0, 1)
        return extended, joint / joint.sum()
    ends = joint.cumsum(0)
    # Each stratum has a place of its own. Once all weights are equal, a stratum is a configuration,
    # and one common place would take the same quantile of every configuration's label.
    places = torch.from_numpy(generator.random(n_configurations))
    at = (torch.arange(n_configurations, dtype=torch.double) + places) / n_configurations
    drawn = torch.searchsorted(ends / ends[-1], at).clamp(max=len(joint) - 1)
    row, label_of = drawn // len(log_p), drawn % len(log_p)
    extended = log_likelihood[row] + log_p[label_of]
    return extended, torch.full((n_configurations,), 1 / n_configurations, dtype=torch.double)


def _choose_batchbald(candidates: Candidates, size: int) -> Batch:
    import numpy as np

    scores = bald(candidates.probs, candidates.eps).cpu().numpy()
    order = candidates.best(scores, len(scores))
    chosen_from = order[:N_CHOSEN_FROM]
    # Beyond a batch the images follow by BALD alone: `select` chooses batch after batch.
    n_joint = min(size, candidates.batch_size)
    samples, before = candidates.joint(chosen_from, N_SAMPLES), None
    if candidates.before is not None:
        asked = np.arange(len(candidates.before.ids))
        before = candidates.before.joint(asked, N_SAMPLES)
    picked, gains = batchbald(samples, n_joint, candidates.generator, before=before)
    positions = chosen_from[picked]
    rest = order[~np.isin(order, positions)][: size - len(positions)]
    return candidates.batch([*positions, *rest], [*gains, *[0.0] * len(rest)])


register(
    AcquisitionFunction(
        name="batchbald",
        title="BatchBALD",
        short_title="BatchBALD",
        hint="picks ten images whose labels together tell most about the network",
        equation=r"\mathbb{I}\big[y_1, \dots, y_b; \mathbf{w}\big] = "
        r"\mathbb{H}\big[y_1, \dots, y_b\big] - "
        r"\sum_n \frac{1}{T} \sum_t \mathbb{H}\big[p_{t,n}\big]",
        source="Kirsch et al. 2019",
        record_name="batch_mutual_information",
        bounds=lambda n_classes, n_passes: (0, log(n_classes)),
        needs="joint",
        colour="wine",
        choose=_choose_batchbald,
        needs_disagreement=True,
        prefix=False,
    )
)


def epig(probs: Tensor, targets: Tensor) -> Tensor:
    """What an image's label tells about other images' labels (Bickford Smith et al. 2023).

    mean_* I[y; y_*] = mean_* KL(p(y, y_*) || p(y) p(y_*)), with p(y, y_*) = mean_t p_t(y) p_t(y_*).

    For N images and M targets it takes O(N M C^2 T) operations.

    Args:
        probs: [T, N, C] consistent samples.
        targets: [T, M, C] samples of the target images by the same networks.

    Returns:
        [N] nats, in [0, ln C]. Float32 rounding may give a value up to 1e-5 outside.
    """
    import torch

    n_passes, _, n_classes = probs.shape
    theirs = targets.flatten(1)  # [T, M C]
    entropy_of_targets = torch.special.entr(targets.mean(0)).sum(-1).mean()
    scores = []
    for block in probs.split(200, dim=1):
        joint = block.flatten(1).T @ theirs / n_passes  # [n C, M C]
        joint_entropy = torch.special.entr(joint).view(block.shape[1], n_classes, -1).sum((1, 2))
        own = torch.special.entr(block.mean(0)).sum(-1)
        scores.append(own + entropy_of_targets - joint_entropy / targets.shape[1])
    return torch.cat(scores)


def _choose_epig(candidates: Candidates, size: int) -> Batch:
    import numpy as np

    everything = np.arange(len(candidates.ids))
    probs = candidates.joint(everything, candidates.n_samples)
    targets = np.sort(candidates.generator.permutation(everything)[:N_TARGETS])
    scores = epig(probs, probs[:, targets]).numpy()
    order = candidates.best(scores, size)
    return candidates.batch(order, scores[order])


register(
    AcquisitionFunction(
        name="epig",
        title="EPIG",
        short_title="EPIG",
        hint="picks images whose label tells most about the labels of the rest of the pool",
        equation=r"\frac{1}{M} \sum_{*} \mathbb{I}\big[y_n; y_*\big]",
        source="Bickford Smith et al. 2023",
        record_name="expected_predictive_information_gain",
        bounds=lambda n_classes, n_passes: (0, log(n_classes)),
        needs="joint",
        colour="cyan",
        choose=_choose_epig,
        needs_disagreement=True,
    )
)
