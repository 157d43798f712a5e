"""What the tour's runs show at a stop, computed from their logs; pure."""

from __future__ import annotations

from dal_core.experiments.demo import Demo
from dal_core.results.crossings import first_crossing
from dal_core.run.state import RunState
from dal_ui.tour.stops import STOPS

COMPARED_AT = (50, 100)  # labels, where all three runs were measured


def fact(found: Demo, number: int) -> str:
    """What the demo's runs show at a stop; empty where there is nothing to add."""
    if number == 1:
        bald, random = (f"{log.steps[0].accuracy:.1%}" for log in (found.bald, found.random))
        return f"Here: {bald} (BALD) and {random} (Random) with 20 labels{_next(found)}."
    if number == len(STOPS):
        bald_needs, random_needs = (_needed(log, 0.10) for log in (found.bald, found.random))
        return f"Here, 90% accuracy: {bald_needs} (BALD), {random_needs} (Random)."
    return ""


def bought(found: Demo, coverage: RunState) -> str:
    """The accuracy of the three runs at the same numbers of labels; empty before there are any."""
    logs = {"coverage": coverage, "BALD": found.bald, "Random": found.random}
    accuracies = {name: _accuracies(log) for name, log in logs.items()}
    common = set.intersection(*(set(values) for values in accuracies.values()))
    lines = [
        f"with {n} labels "
        + ", ".join(f"{values[n]:.1%} ({name})" for name, values in accuracies.items())
        for n in COMPARED_AT
        if n in common
    ]
    if not lines:
        return ""
    return f"What the labels bought in these runs (one seed): {'; '.join(lines)}."


def _next(found: Demo) -> str:
    bald, random = _accuracies(found.bald), _accuracies(found.random)
    after = sorted({*bald} & {*random})[1:2]
    return "".join(f"; {bald[n]:.1%} and {random[n]:.1%} with {n}" for n in after)


def _accuracies(log: RunState) -> dict[int, float]:
    return {s.n_labelled: s.accuracy for s in log.steps if s.accuracy is not None}


def _needed(log: RunState, error: float) -> str:
    measured = _accuracies(log)
    n = first_crossing(list(measured), list(measured.values()), error)
    return f"{n} labels" if n is not None else "not reached"
