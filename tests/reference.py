"""Every score once more, as float64 loops written from the formulas of docs/method.md, section 3.

Slow on purpose: no vector operation, no library entropy, so that a slip in the fast code is not
repeated here. probs[t][n][c], as everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def entropy(p: np.ndarray, eps: float = 0.0) -> float:
    """- sum_c p_c log(p_c + eps), with 0 log 0 = 0."""
    total = 0.0
    for value in p:
        if value > 0:
            total -= float(value) * math.log(float(value) + eps)
    return total


def mean_over_passes(probs: np.ndarray, n: int) -> np.ndarray:
    """m[n, c] for every c."""
    n_passes, _, n_classes = probs.shape
    mean = np.zeros(n_classes)
    for c in range(n_classes):
        for t in range(n_passes):
            mean[c] += float(probs[t, n, c]) / n_passes
    return mean


def max_entropy(probs: np.ndarray, n: int, eps: float = 0.0) -> float:
    """H(m[n])."""
    return entropy(mean_over_passes(probs, n), eps)


def bald(probs: np.ndarray, n: int, eps: float = 0.0) -> float:
    """H(m[n]) - mean_t H(p[t, n])."""
    inner = sum(entropy(probs[t, n], eps) for t in range(len(probs))) / len(probs)
    return max_entropy(probs, n, eps) - inner


def variation_ratios(probs: np.ndarray, n: int) -> float:
    """1 - (count of the modal class) / T."""
    votes = [0] * probs.shape[2]
    for t in range(len(probs)):
        best = 0
        for c in range(probs.shape[2]):
            if probs[t, n, c] > probs[t, n, best]:
                best = c
        votes[best] += 1
    return 1 - max(votes) / len(probs)


def variation_ratios_mean(probs: np.ndarray, n: int) -> float:
    """1 - max_c m[n, c]."""
    return 1 - max(mean_over_passes(probs, n))


def mean_std(probs: np.ndarray, n: int) -> float:
    """Mean over c of the population standard deviation over t."""
    mean, total = mean_over_passes(probs, n), 0.0
    for c in range(probs.shape[2]):
        squares = sum((float(probs[t, n, c]) - mean[c]) ** 2 for t in range(len(probs)))
        total += math.sqrt(squares / len(probs))
    return total / probs.shape[2]


def calibration(mean: np.ndarray, labels: Sequence[int]) -> tuple[float, float, float]:
    """NLL, Brier score and expected calibration error (15 bins) of mean predictions [N, C]."""
    nll = brier = 0.0
    bins: list[list[tuple[float, float]]] = [[] for _ in range(15)]
    for row, label in zip(mean, labels, strict=True):
        best = 0
        for c, value in enumerate(map(float, row)):
            brier += (value - (1.0 if c == label else 0.0)) ** 2
            if value > float(row[best]):
                best = c
        nll -= math.log(min(max(float(row[label]), 2.0**-126), 1.0))
        confidence = float(row[best])
        place = next((b for b in range(15) if confidence <= (b + 1) / 15), 14)
        bins[place].append((1.0 if best == label else 0.0, confidence))
    gaps = 0.0
    for members in bins:
        if members:
            right = sum(one for one, _ in members) / len(members)
            confident = sum(one for _, one in members) / len(members)
            gaps += len(members) / len(mean) * abs(right - confident)
    return nll / len(mean), brier / len(mean), gaps


SCORES = {
    "max_entropy": max_entropy,
    "bald": bald,
    "variation_ratios": variation_ratios,
    "variation_ratios_mean": variation_ratios_mean,
    "mean_std": mean_std,
}


def upper_bound(name: str, n_classes: int) -> float:
    """The largest value a score can take; the smallest is 0 for all."""
    if name in ("max_entropy", "bald"):
        return math.log(n_classes)
    if name == "mean_std":
        return math.sqrt(n_classes - 1) / n_classes
    return 1 - 1 / n_classes
