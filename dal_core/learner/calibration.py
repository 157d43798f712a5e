"""How well predicted probabilities agree with what is true (docs/method.md, section 5.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

N_BINS = 15  # of the expected calibration error, as in Guo et al. 2017
LEAST = float(np.finfo(np.float32).tiny)  # 2^-126: a float32 probability may underflow to 0


@dataclass(frozen=True)
class Calibration:
    """Three measures of predicted probabilities; lower is better.

    Attributes:
        nll: negative log-likelihood of the labels, nats per image, 0 .. 126 ln 2.
        brier: Brier score, 0 .. 2.
        ece: expected calibration error, 0 .. 1.
    """

    nll: float
    brier: float
    ece: float


def calibration(mean: np.ndarray, labels: np.ndarray) -> Calibration:
    """The measures of mean predictions, computed in float64.

    With m[n, c] the mean prediction, y[n] the label and k[n] = argmax_c m[n, c] of N images:

    NLL = - 1/N sum_n ln min(max(m[n, y[n]], 2^-126), 1)
    Brier = 1/N sum_n sum_c (m[n, c] - [c = y[n]])^2 (Brier 1950)
    ECE = 1/N sum_b |sum_{n in b} ([k[n] = y[n]] - m[n, k[n]])|

    The NLL keeps a probability that underflowed in float32 finite. The Brier score is Brier's
    (1950), for several classes. The ECE is from Naeini et al. 2015, with Guo et al.'s (2017) bins.

    Bin b of 1 .. 15 has the images with (b - 1) / 15 < m[n, k[n]] <= b / 15.

    Args:
        mean: [N, C] probabilities, averaged over the samples of the posterior.
        labels: [N] classes.
    """
    probs = np.asarray(mean, np.float64)
    rows = np.arange(len(probs))
    predicted = probs.argmax(1)
    confidence = probs[rows, predicted]
    truth = np.zeros_like(probs)
    truth[rows, labels] = 1.0
    log_likelihood = np.log(np.clip(probs[rows, labels], LEAST, 1.0)).mean()
    return Calibration(
        nll=abs(float(log_likelihood)),  # not -0.0
        brier=float(((probs - truth) ** 2).sum(1).mean()),
        ece=float(np.abs(_gaps(confidence, predicted == labels)).sum() / len(probs)),
    )


def _gaps(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[N_BINS] sum over the images of a bin of (right or not) - confidence."""
    edges = np.arange(1, N_BINS + 1) / N_BINS
    # Rounding may give a mean probability slightly above 1.
    bins = np.minimum(np.searchsorted(edges, confidence), N_BINS - 1)
    return np.bincount(bins, right - confidence, minlength=N_BINS)
