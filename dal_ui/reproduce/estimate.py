"""How long an experiment will take, estimated from similar runs in the store.

`dal_core.experiments.forecast` extrapolates the steps of one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dal_core.experiments.forecast import duration, seconds_left
from dal_core.protocol.parameters import Protocol
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.run.rows import RunRow
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_ui.reproduce.actions import Plan

_FREE = {  # parameters that do not change the time
    *("dropout", "initial_with_replacement", "entropy_eps", "ties", "n_acquisition_steps"),
    *("learning_rate", "betas", "weight_decay", "train_size"),
}
_READ = 8  # similar runs, the newest; reading one takes about ten milliseconds
_LONG_EPOCHS = 200


@dataclass(frozen=True)
class Estimate:
    """What is known before the start.

    Attributes:
        seconds: work for one core; None where no similar run was timed.
        without_bounds: `seconds` leaves out the full-data bounds, which are wanted too.
        n_runs: runs of the experiment.
        n_stored: of them, runs that are stored already and will be shared.
    """

    seconds: float | None
    without_bounds: bool
    n_runs: int
    n_stored: int


def estimate(store: Store, fingerprint: str, plan: Plan) -> Estimate:
    """Estimate the plan's time from stored runs. Raises ProtocolError as `Plan.specs` does."""
    specs = plan.specs(fingerprint)
    stored = {spec: store.find_oracle_run(spec) for spec in specs}
    similar = [
        run
        for run in store.runs()
        if run.kind == "oracle"
        and run.spec.fingerprint == fingerprint
        and _cost(run.spec.protocol) == _cost(plan.protocol)
    ]
    points = {name: _points(store, similar, name) for name in {spec.acquisition for spec in specs}}
    total, unknown = 0.0, set()
    for spec in specs:
        own = stored[spec]
        done = store.log(own.run_id).steps if own else ()
        left = _left(spec, len(done), points[spec.acquisition])
        if left is None:
            unknown.add(spec.acquisition)
        else:
            total += left
    return Estimate(
        seconds=None if unknown - {FULL_DATA} else total,
        without_bounds=FULL_DATA in unknown,
        n_runs=len(specs),
        n_stored=sum(run is not None for run in stored.values()),
    )


def sentence(found: Estimate, plan: Plan, n_workers: int) -> str:
    """One or two sentences for the start form."""
    runs = f"{found.n_runs} runs" if found.n_runs != 1 else "1 run"
    shared = f", {found.n_stored} of them stored already" if found.n_stored else ""
    if found.seconds is None:
        return f"{runs}{shared}. {_unknown(plan.protocol)}"
    if found.seconds == 0 and not found.without_bounds:
        return f"{runs}: everything is already computed."
    at_once = max(1, min(n_workers, found.n_runs))
    bounds = ", plus full-data training (not timed yet)"
    return (
        f"{runs}{shared}: about **{duration(found.seconds / at_once)}** with {at_once} at a time, "
        f"estimated from similar stored runs{bounds if found.without_bounds else ''}."
    )


def _unknown(protocol: Protocol) -> str:
    known = "The time is unknown until its first steps are measured: no similar run is stored yet."
    if protocol.which_model == "gal_cnn":
        return f"{known} This network is ten times larger than the report's: expect days."
    if protocol.dataset == "mnist" and protocol.n_epochs >= _LONG_EPOCHS:
        return f"{known} The report's author needed about 30 hours for all 18 runs on a laptop."
    return f"{known} You can close this page; it resumes where it stopped."


def _cost(protocol: Protocol) -> tuple[object, ...]:
    return tuple(value for key, value in protocol.model_dump().items() if key not in _FREE)


def _points(store: Store, similar: Sequence[RunRow], name: str) -> list[tuple[int, float]]:
    """(labels, seconds) of the longest similar run of the function, else of another function.

    Scoring costs about the same for every function but Random, which has none.
    """
    alike = [run for run in similar if run.spec.acquisition == name]
    if not alike and name != FULL_DATA:
        alike = [run for run in similar if run.spec.acquisition != FULL_DATA]
        alike.sort(key=lambda run: (run.spec.acquisition == "random") != (name == "random"))
    logs: list[RunState] = [store.log(run.run_id) for run in alike[:_READ]]
    longest = max((log.steps for log in logs), key=len, default=())
    return [(step.n_labelled, sum(step.seconds.values())) for step in longest]


def _left(spec: RunSpec, n_done: int, points: Sequence[tuple[int, float]]) -> float | None:
    p = spec.protocol
    if spec.acquisition == FULL_DATA:
        return 0.0 if n_done else (points[0][1] if points else None)
    ahead = [
        p.train_size + k * p.n_samples_to_acquire for k in range(n_done, p.n_acquisition_steps + 1)
    ]
    return seconds_left(points, ahead) if ahead else 0.0
