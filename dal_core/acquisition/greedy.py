"""Greedy choice of a batch whose worth has diminishing returns."""

from __future__ import annotations

import heapq

import torch
from torch import Tensor


def cover(
    similarity: Tensor, weights: Tensor, covered: Tensor, size: int
) -> tuple[list[int], list[float]]:
    """Greedy maximisation of weighted coverage, a facility location function.

    f(S) = sum_i w_i max(c_i, max_{j in S} k_ij)

    The greedy choice reaches at least 1 - 1/e of the best value (Nemhauser et al. 1978). The gain
    of an image never grows as others are chosen. So a gain computed earlier is an upper bound, and
    only the images at the top of a queue are computed again (Minoux 1978).

    Cost: M K for the first gains; afterwards M for each gain computed again, usually few a pick.

    Args:
        similarity: k, [K, M] in [0, 1], of candidate j and image i to be covered.
        weights: w, [M], at least 0.
        covered: c, [M] in [0, 1], how much each image is covered by what is labelled.
        size: number of images to choose.

    Returns:
        Positions of the chosen candidates in order, at most K, and the gain of each. Of equal
        gains, the lower position comes first.
    """
    reached = covered.clone()

    def gain(position: int) -> float:
        return float(torch.dot((similarity[position] - reached).clamp_(min=0), weights))

    first = ((similarity - covered).clamp_(min=0) @ weights).tolist()
    queue = [(-worth, position, 0) for position, worth in enumerate(first)]
    heapq.heapify(queue)
    chosen: list[int] = []
    gains: list[float] = []
    while queue and len(chosen) < size:
        worth, position, asked = heapq.heappop(queue)
        if asked < len(chosen):  # computed before the last pick
            heapq.heappush(queue, (-gain(position), position, len(chosen)))
            continue
        chosen.append(position)
        gains.append(-worth)
        torch.maximum(reached, similarity[position], out=reached)
    return chosen, gains
