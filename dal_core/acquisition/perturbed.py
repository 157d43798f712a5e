"""BALD with noise: the best images are likely, but not certain, to be asked for.

The top ten of a score are near copies of each other. Drawing ten images with probabilities that
grow with the score costs nothing more and makes them differ (Kirsch et al. 2023).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dal_core.acquisition.registry import AcquisitionFunction, register
from dal_core.acquisition.scores import bald

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from dal_core.acquisition.batch import Batch, Candidates

# How much the score counts against the noise; chosen by measurement (results/README.md).
POWER_BETA, SOFTMAX_BETA, SOFTRANK_BETA = 4.0, 8.0, 1.0


def power_weights(scores: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Logarithm of each image's weight s^beta: [N]; -inf for a score of 0 or less."""
    import numpy as np

    positive = scores > 0
    return np.where(positive, POWER_BETA * np.log(np.where(positive, scores, 1)), -np.inf)


def softmax_weights(scores: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Logarithm of each image's weight exp(beta s): [N]."""
    return SOFTMAX_BETA * scores


def softrank_weights(scores: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Logarithm of each image's weight r^-beta, r = 1, 2, ... by descending score: [N]."""
    import numpy as np

    from dal_core.acquisition.top_k import rank

    ranks = np.empty(len(scores))
    ranks[rank(scores, priority)] = np.arange(1, len(scores) + 1)
    return -SOFTRANK_BETA * np.log(ranks)


def draw(
    log_weights: np.ndarray, priority: np.ndarray, size: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw images without replacement, each with a probability proportional to its weight.

    The `size` largest of log weight + Gumbel noise are such a draw (Kool et al. 2019). N log N.

    Args:
        log_weights: [N].
        priority: [N] order of equal values; decides among images of weight 0, which come last.

    Returns:
        Positions [b] in the order drawn, and their noisy log weights.
    """
    from dal_core.acquisition.top_k import rank

    noisy = log_weights + generator.gumbel(size=len(log_weights))
    order = rank(noisy, priority)[:size]
    return order, noisy[order]


def _choose(
    weights: Callable[[np.ndarray, np.ndarray], np.ndarray], candidates: Candidates, size: int
) -> Batch:
    scores = bald(candidates.probs, candidates.eps).cpu().double().numpy()
    order, _ = draw(
        weights(scores, candidates.priority), candidates.priority, size, candidates.generator
    )
    return candidates.batch(order, scores[order])


_SOURCE = "Kirsch et al. 2023"
_LAWS = (
    ("power_bald", "PowerBALD", r"\text{BALD}_n^{\,\beta}", power_weights, "rose"),
    ("softmax_bald", "Softmax-BALD", r"e^{\beta \, \text{BALD}_n}", softmax_weights, "indigo"),
    ("softrank_bald", "Softrank-BALD", r"\text{rank}_n^{-\beta}", softrank_weights, "teal"),
)

for _name, _title, _law, _weights, _colour in _LAWS:
    register(
        AcquisitionFunction(
            name=_name,
            title=_title,
            short_title=_title.removesuffix("-BALD") if "-" in _title else _title,
            hint="draws images at random, those that the passes disagree on more often",
            equation=r"n \sim p(n) \propto " + _law,
            source=_SOURCE,
            record_name=_name,
            bounds=lambda n_classes, n_passes: (0, float("inf")),
            needs="marginal",
            colour=_colour,
            choose=partial(_choose, _weights),
            needs_disagreement=True,
        )
    )
