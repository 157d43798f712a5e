"""The effect of a noisy oracle: pairs of runs, one with wrong answers and one without.

The runs of a pair share data, protocol, acquisition function and seed, and with them the initial
and the test images. The wrong answers of a seed are the same for every function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dal_core.protocol.parameters import Protocol
from dal_core.protocol.run_spec import RunSpec
from dal_core.results.alignment import aligned, common_labels
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
    by_function: dict[str, list[tuple[RunCurve, RunCurve]]] = {}
    for noisy, clean in pairs:
        if len(common_labels([noisy.n_labelled, clean.n_labelled])):
            by_function.setdefault(noisy.acquisition, []).append((noisy, clean))
    found = [effect for name, own in by_function.items() for effect in _effect(name, own)]
    return sorted(found, key=lambda one: -one.mean_loss)


def _effect(name: str, pairs: Sequence[tuple[RunCurve, RunCurve]]) -> list[Effect]:
    """The effect where all runs were measured; none if there is no such step."""
    labels, values = aligned([run for pair in pairs for run in pair])  # [2 S, K]
    if not len(labels):
        return []
    noisy, clean = values[::2].mean(0), values[1::2].mean(0)  # [K]
    return [
        Effect(
            acquisition=name,
            n_pairs=len(pairs),
            n_labelled=int(labels[-1]),
            clean=float(clean[-1]),
            noisy=float(noisy[-1]),
            mean_loss=float((clean - noisy).mean()),
        )
    ]
