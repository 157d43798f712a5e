"""Confidence intervals: of a mean over seeds, and of a share (docs/method.md, 15 and 5.5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_SEEDS = 3
"""One seed says nothing about the spread; two are often equal by chance."""
LEVEL = 0.95


def t_interval(
    values: ArrayLike, resolution: float = 0.0, level: float = LEVEL
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Student's t interval of the mean over seeds; of paired differences, the paired t interval.

    mean ± max(t[(1 + level) / 2; S - 1] * s / sqrt(S), resolution / 2), where s is the sample
    standard deviation (ddof 1). Source: Student 1908.

    A measurement that moves in steps can be equal for all seeds although its mean is not known
    exactly. The interval is therefore never narrower than one step.

    Args:
        values: [S] or [S, K], a value per seed.
        resolution: the step between neighbouring values of the measurement; 0 if it has none.
        level: the share of intervals that should hold the true mean.

    Returns:
        Lower and upper end, each [] or [K]; NaN below `MIN_SEEDS` seeds.
    """
    array = np.asarray(values, float)
    n_seeds = len(array)
    if n_seeds < MIN_SEEDS:
        unknown = np.full(array.shape[1:], np.nan)
        return unknown, unknown
    mean = array.mean(0)
    error = array.std(0, ddof=1) / math.sqrt(n_seeds)
    half = np.maximum(t_quantile((1 + level) / 2, n_seeds - 1) * error, resolution / 2)
    return mean - half, mean + half


def clopper_pearson(n_right: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """The exact interval of a probability, from `n_right` successes in `n` independent draws.

    The lower end p solves P(X >= n_right | p) = (1 - level) / 2, the upper end P(X <= n_right | p)
    = (1 - level) / 2, X binomial. It covers at least `level`. Source: Clopper and Pearson 1934.

    Raises:
        ValueError: there is no draw, or more successes than draws.
    """
    if not 0 <= n_right <= n or n < 1:
        raise ValueError(f"n_right is {n_right} of {n}; allowed: 0 to n, and n at least 1")
    tail = (1 - level) / 2
    low = 0.0 if n_right == 0 else _solve(lambda p: _binomial(n, p, n_right, n) < tail)
    high = 1.0 if n_right == n else _solve(lambda p: _binomial(n, p, 0, n_right) > tail)
    return low, high


def _solve(is_below: Callable[[float], bool]) -> float:
    """Where in [0, 1] a condition that holds first stops holding, to about 15 digits."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def _binomial(n: int, p: float, first: int, last: int) -> float:
    """P(first <= X <= last) of a binomial X, for 0 < p < 1."""
    logs = (
        math.lgamma(n + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + k * math.log(p)
        + (n - k) * math.log1p(-p)
        for k in range(first, last + 1)
    )
    return math.fsum(map(math.exp, logs))


@lru_cache(maxsize=256)
def t_quantile(p: float, dof: int) -> float:
    """The p-quantile (0.5 <= p < 1) of Student's t distribution with `dof` degrees of freedom.

    Found by bisection over the angle atan(t / sqrt(dof)), to about 12 digits.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if _inside(angle, dof) < 2 * p - 1 else (low, angle)
    return math.sqrt(dof) * math.tan(low)


def _inside(angle: float, dof: int) -> float:
    """P(|T| <= sqrt(dof) tan(angle)): Abramowitz and Stegun 1964, equations 26.7.3 and 26.7.4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = dof % 2
    term = total = (cosine if odd else 1.0) if dof > 1 else 0.0
    for k in range(2 + odd, dof, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
