"""The effect of a noisy oracle: pairs of runs, one with wrong answers and one without.

The runs of a pair share data, protocol, acquisition function and seed, and with them the initial
and the test images. The wrong answers of a seed are the same for every function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dal_core.protocol.parameters import Protocol
from dal_core.protocol.run_spec import RunSpec
from dal_core.results.curves import RunCurve
from dal_core.run.rows import RunRow
from dal_core.store.base import Store


@dataclass(frozen=True)
class Comparison:
    """Stored pairs (noisy run, same run without noise) of one protocol and one noise level."""

    protocol: Protocol
    fingerprint: str
    noise: float
    pairs: tuple[tuple[RunRow, RunRow], ...]


@dataclass(frozen=True)
class Effect:
    """The effect of noise on the test accuracy of one function.

    Attributes:
        n_pairs: number of pairs, one per seed.
        n_labelled: labels at the last step that all runs have measured.
        clean, noisy: mean accuracy at that step, without and with noise.
        mean_loss: accuracy lost (clean - noisy), averaged over all pairs and the steps up to
            `n_labelled`.
    """

    acquisition: str
    n_pairs: int
    n_labelled: int
    clean: float
    noisy: float
    mean_loss: float


def comparisons(store: Store) -> list[Comparison]:
    """All stored comparisons, the one with the newest noisy run first."""
    rows = store.runs()
    unforked = [run for run in rows if run.kind == "oracle" and run.forked_from is None]
    clean: dict[RunSpec, RunRow] = {run.spec: run for run in unforked if run.spec.noise == 0}
    found: dict[tuple[Protocol, str, float], list[tuple[RunRow, RunRow]]] = {}
    for run in unforked:
        partner = clean.get(replace(run.spec, noise=0.0))
        if run.spec.noise and partner is not None:
            key = (run.spec.protocol, run.spec.fingerprint, run.spec.noise)
            found.setdefault(key, []).append((run, partner))
    return [Comparison(*key, tuple(pairs)) for key, pairs in found.items()]


def effects(pairs: Sequence[tuple[RunCurve, RunCurve]]) -> list[Effect]:
    """The effect of noise on each function, the largest loss first.

    Args:
        pairs: (noisy, clean) curves; pairs without a common step are left out.
    """
    by_function: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for noisy, clean in pairs:
        common = np.intersect1d(noisy.n_labelled, clean.n_labelled)
        if len(common):
            values = (common, _accuracy_at(noisy, common), _accuracy_at(clean, common))
            by_function.setdefault(noisy.acquisition, []).append(values)
    found = [_effect(name, values) for name, values in by_function.items()]
    return sorted(found, key=lambda one: -one.mean_loss)


def _effect(name: str, pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Effect:
    n = min(len(labels) for labels, _, _ in pairs)
    noisy = np.mean([values[:n] for _, values, _ in pairs], axis=0)
    clean = np.mean([values[:n] for _, _, values in pairs], axis=0)
    return Effect(
        acquisition=name,
        n_pairs=len(pairs),
        n_labelled=int(pairs[0][0][n - 1]),
        clean=float(clean[-1]),
        noisy=float(noisy[-1]),
        mean_loss=float((clean - noisy).mean()),
    )


def _accuracy_at(curve: RunCurve, labels: np.ndarray) -> np.ndarray:
    by_labels = dict(zip(curve.n_labelled, curve.accuracy, strict=True))
    return np.array([by_labels[int(n)] for n in labels])
