"""What the Reproduce page does, without drawing: plan, start, watch and control experiments.

Plain functions on the store and `experiments.control`, so that they are tested without a browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dal_core.data.base import ImageDataset
from dal_core.experiments import control
from dal_core.experiments.forecast import duration
from dal_core.experiments.status import ExperimentStatus, RunStatus, State, status
from dal_core.figures.report import FULL_DATA_NAME
from dal_core.limits.text import clean_title
from dal_core.protocol.parameters import Protocol, ProtocolError, override
from dal_core.protocol.posteriors import DEFAULT_POSTERIOR
from dal_core.protocol.presets import preset, with_dataset, with_posterior
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.protocol.typed import parse_seeds, parse_setting_lines
from dal_core.record_file.schema import Record, bounds, curves
from dal_core.record_file.sync import experiment_record
from dal_core.results.curves import Bound, RunCurve
from dal_core.results.titles import display_name
from dal_core.store.base import Store
from dal_core.store.experiments import ExperimentNotFound, ExperimentRow


@dataclass(frozen=True)
class Plan:
    """An experiment as the form describes it."""

    protocol: Protocol
    acquisitions: tuple[str, ...]
    seeds: tuple[int, ...]
    full_data: bool
    title: str = ""
    noise: float = 0.0

    def specs(self, fingerprint: str) -> list[RunSpec]:
        """One for each run. Raises ProtocolError for a function or seed out of range."""
        return control.run_specs(
            *(fingerprint, self.protocol, self.acquisitions, self.seeds),
            *(self.full_data, self.noise),
        )


# -- choosing ----------------------------------------------------------------------------------


def make_plan(
    protocol: str,
    dataset: str,
    acquisitions: Sequence[str],
    seeds: str,
    full_data: bool,
    overrides: str = "",
    title: str = "",
    noise: float = 0.0,
    posterior: str = DEFAULT_POSTERIOR,
) -> Plan:
    """The plan that a form describes. Raises ValueError, one line, if it cannot be run."""
    if not acquisitions:
        raise ProtocolError("no acquisition function is chosen; allowed: at least one")
    settings = parse_setting_lines(overrides)
    if "dataset" in settings:
        raise ProtocolError("parameter 'dataset' is chosen above; remove it from the changes")
    base = with_dataset(preset(protocol), dataset)
    if posterior != base.posterior:
        if "posterior" in settings:
            raise ProtocolError("parameter 'posterior' is chosen above; remove it from the changes")
        base = with_posterior(base, posterior)
    chosen = override(base, settings)
    return Plan(
        *(chosen, tuple(acquisitions), parse_seeds(seeds), full_data, clean_title(title), noise)
    )


def same_plan(store: Store, plan: Plan) -> ExperimentRow | None:
    """The newest stored experiment with exactly this plan."""
    wanted = (plan.protocol, set(plan.acquisitions), set(plan.seeds), plan.full_data, plan.noise)
    return next(
        (
            row
            for row in store.experiments.all()
            if wanted
            == (row.protocol, set(row.acquisitions), set(row.seeds), row.full_data, row.noise)
        ),
        None,
    )


def start(store: Store, dataset: ImageDataset, plan: Plan, device: str = "cpu") -> str:
    """Create and start the experiment; returns its id. Raises ValueError."""
    row = control.create_experiment(
        store,
        dataset,
        plan.protocol,
        plan.acquisitions,
        plan.seeds,
        full_data=plan.full_data,
        noise=plan.noise,
        title=plan.title,
        device=device,
    )
    return row.experiment_id


# -- watching ----------------------------------------------------------------------------------


def find(store: Store, experiment_id: str) -> ExperimentStatus | None:
    """The experiment's present status; None if it is not stored."""
    try:
        return status(store, experiment_id)
    except ExperimentNotFound:
        return None


def run_name(run: RunStatus) -> str:
    """The title of the run's function, or of the full-data bound."""
    name = run.log.run.spec.acquisition
    return FULL_DATA_NAME if name == FULL_DATA else display_name(name)


def run_rows(now: ExperimentStatus, held: bool) -> list[dict[str, object]]:
    """One row for each run, in the order of functions, then seeds."""
    runs = sorted(now.runs, key=lambda run: _place(now.experiment, run))
    return [
        {
            "function": run_name(run),
            "seed": run.log.run.spec.seed,
            "steps": f"{run.n_done} of {run.n_steps}",
            "progress": 100 * run.n_done // run.n_steps,
            "labels": run.log.steps[-1].n_labelled if run.log.steps else run.log.n_labelled,
            "accuracy": "" if run.accuracy is None else f"{run.accuracy:.1%}",
            "doing": doing(run, held),
            "left": "" if run.is_complete else duration(run.seconds_left),
        }
        for run in runs
    ]


def doing(run: RunStatus, held: bool) -> str:
    """What is done for the run now; `held` while workers wait for a person."""
    is_open = run.state is State.UNFINISHED
    if held and is_open:
        return "paused: a person's batch first"
    return run.doing(is_open and run.progress is not None and run.progress.part != "idle")


def remaining(now: ExperimentStatus, n_workers: int) -> float | None:
    """Seconds to the end, with no more workers than unfinished runs."""
    n_left = sum(not run.is_complete for run in now.runs)
    return now.seconds_left(max(1, min(n_workers, n_left)))


def measured(now: ExperimentStatus) -> tuple[list[RunCurve], list[Bound]]:
    """Curves and bounds measured so far."""
    record = record_of(now)
    return curves(record), bounds(record)


def caught_up(runs: Sequence[RunCurve]) -> list[RunCurve]:
    """The runs that have nearly caught up with the furthest run of their function.

    A mean ends with its shortest run, so a run that has just begun would cut off the curve of the
    finished ones.
    """
    furthest: dict[str, int] = {}
    for run in runs:
        furthest[run.acquisition] = max(len(run), furthest.get(run.acquisition, 0))
    return [run for run in runs if len(run) >= 0.9 * furthest[run.acquisition]]


def record_of(now: ExperimentStatus) -> Record:
    """The experiment's present record; deleted runs are left out."""
    return experiment_record(now.experiment, [run.log for run in now.runs])


def n_deleted(now: ExperimentStatus) -> int:
    """How many of the experiment's runs have been deleted."""
    row = now.experiment
    return len(row.seeds) * (len(row.acquisitions) + row.full_data) - len(now.runs)


# -- steering ----------------------------------------------------------------------------------


def try_again(store: Store, run: RunStatus) -> None:
    """Clear a run's failure, so that workers try again."""
    store.retry(run.log.run.run_id)


def _place(row: ExperimentRow, run: RunStatus) -> tuple[int, int]:
    spec = run.log.run.spec
    names = [*row.acquisitions, FULL_DATA]
    return names.index(spec.acquisition), row.seeds.index(spec.seed)
