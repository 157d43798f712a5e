"""A run's results as the command line gives them: one line, or an object for `--json`.

The keys are an interface: scripts read them.
"""

from __future__ import annotations

import math
from typing import Any

from dal_core.protocol.presets import describe_protocol
from dal_core.results.titles import noise_name
from dal_core.run.events import StepResult
from dal_core.run.state import RunState

MEASURES = ("accuracy", "mutual_information")
PARTS = ("train", "evaluate", "score")


def as_object(log: RunState) -> dict[str, Any]:
    """The run and its steps; accuracy is a fraction, mutual information in nats, times in s."""
    spec = log.run.spec
    return {
        "id": log.run.run_id,
        "protocol": describe_protocol(spec.protocol),
        "dataset": spec.protocol.dataset,
        "acquisition": spec.acquisition,
        "seed": spec.seed,
        **noise_of(spec.noise),
        **fork_of(log),
        "steps": [_step(step) for step in log.steps],
    }


def _step(step: StepResult) -> dict[str, Any]:
    measures = {part: getattr(step, part) for part in MEASURES}
    return {
        "step": step.step,
        "n_labelled": step.n_labelled,
        # Without a test set there is nothing to report, and no key.
        **{part: number(value) for part, value in measures.items() if value is not None},
        "seconds": {part: step.seconds.get(part, 0.0) for part in PARTS},
    }


def number(value: float | None) -> float | None:
    """The value for JSON: None for an unknown one, and for NaN, which JSON does not have."""
    return None if value is None or not math.isfinite(value) else value


def last_line(log: RunState) -> str:
    """Labels of the newest step, and what was measured on the test set if there is one."""
    step = log.steps[-1]
    if step.accuracy is None:
        return f"{step.n_labelled} labels (no test set)"
    return (
        f"{step.n_labelled} labels, test accuracy {step.accuracy:.4f}, "
        f"test mutual information {step.mutual_information:.4f}"
    )


def noise_of(noise: float) -> dict[str, float]:
    """The key that only a run with a noisy oracle has."""
    return {"noise": noise} if noise else {}


def fork_of(log: RunState) -> dict[str, Any]:
    """The key that only a fork has: the run it begins with, and the labels they share."""
    run = log.run
    if run.forked_from is None:
        return {}
    return {"forked_from": {"id": run.forked_from, "n_labelled": run.forked_labels}}


def answered_by(log: RunState) -> str:
    """Who gave labels, and how often the oracle is wrong on purpose."""
    who = ", ".join(annotators(log))
    noise = noise_name(log.run.spec.noise)
    return f"{who or log.run.kind} ({noise})" if noise else who


def annotators(log: RunState) -> list[str]:
    """Who gave labels, in the order of their first."""
    return list(dict.fromkeys(one.annotator for one in log.submissions))
