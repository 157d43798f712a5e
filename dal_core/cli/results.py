"""The results of a run as one line, or as an object for `--json`.

Scripts rely on the keys of the objects.
"""

from __future__ import annotations

import math
from typing import Any

from dal_core.protocol.presets import describe_protocol
from dal_core.results.curves import CALIBRATION
from dal_core.run.events import StepResult
from dal_core.run.rows import RunRow
from dal_core.run.state import RunState

MEASURES = ("accuracy", "mutual_information", *CALIBRATION)
HEADINGS = {
    **{"accuracy": "accuracy", "mutual_information": "mutual information"},
    **{"nll": "NLL", "brier": "Brier score", "ece": "ECE"},
}
PARTS = ("train", "evaluate", "score")


def as_object(log: RunState) -> dict[str, Any]:
    """The run and its steps: accuracy 0 .. 1, information and NLL in nats, times in seconds."""
    return {**spec_as_object(log.run), "steps": [_step(step) for step in log.steps]}


def spec_as_object(run: RunRow) -> dict[str, Any]:
    """The identity of a run: its id, spec and origin."""
    return {
        "id": run.run_id,
        "protocol": describe_protocol(run.spec.protocol),
        "dataset": run.spec.protocol.dataset,
        "acquisition": run.spec.acquisition,
        "seed": run.spec.seed,
        **noise_of(run.spec.noise),
        **_fork_of(run),
    }


def _step(step: StepResult) -> dict[str, Any]:
    measures = {part: getattr(step, part) for part in MEASURES}
    return {
        "step": step.step,
        "n_labelled": step.n_labelled,
        # Without a test set the keys are left out, as are measures that the step does not have.
        **{part: number(value) for part, value in measures.items() if value is not None},
        "seconds": {part: step.seconds.get(part, 0.0) for part in PARTS},
    }


def number(value: float | None) -> float | None:
    """The value for JSON; None if it is unknown or not finite, since JSON has no NaN."""
    return None if value is None or not math.isfinite(value) else value


def measure(value: float | None) -> str:
    """The value for a table: four decimals, or a dash."""
    return "–" if value is None else f"{value:.4f}"


def last_line(log: RunState) -> str:
    """Labels and test results of the newest step."""
    step = log.steps[-1]
    if step.accuracy is None:
        return f"{step.n_labelled} labels (no test set)"
    return (
        f"{step.n_labelled} labels, test accuracy {step.accuracy:.4f}, "
        f"test mutual information {step.mutual_information:.4f}"
    )


def noise_of(noise: float) -> dict[str, float]:
    """The key `noise`, only for a noisy oracle."""
    return {"noise": noise} if noise else {}


def _fork_of(run: RunRow) -> dict[str, Any]:
    """The key `forked_from`, only for a fork: the original run and the labels they share."""
    if run.forked_from is None:
        return {}
    return {"forked_from": {"id": run.forked_from, "n_labelled": run.forked_labels}}
