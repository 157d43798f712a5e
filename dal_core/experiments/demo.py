"""The demo: two stored runs for the guided tour and the Explain page.

BALD and random from the same twenty images, answered by the oracle under protocol `quick`. The
demo is an ordinary experiment: it can be paused, resumed and forgotten, and it shares runs that are
already stored.
"""

from __future__ import annotations

from dataclasses import dataclass

from dal_core.data.base import ImageDataset
from dal_core.experiments import control
from dal_core.protocol.parameters import Protocol
from dal_core.protocol.presets import preset
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.state import RunState
from dal_core.run.stop_rules import finished
from dal_core.store.base import Store
from dal_core.store.experiments import ExperimentRow

TITLE = "Demo: BALD beside random"
COVERAGE_TITLE = "Demo: coverage beside BALD and random"
ACQUISITIONS = ("bald", "random")
COVERAGE = "bald_coverage"  # a third run, which the tour shows if it is there
SEED = 1


@dataclass(frozen=True)
class Demo:
    """The two runs in their present state."""

    bald: RunState
    random: RunState

    @property
    def is_complete(self) -> bool:
        """Whether every step of both runs is measured."""
        return all(
            finished(log) is not None and any(step.after == log.after for step in log.steps)
            for log in (self.bald, self.random)
        )

    @property
    def share(self) -> float:
        """Share of measured steps over both runs, 0 .. 1."""
        n_steps = protocol().n_acquisition_steps + 1
        return min(1.0, (len(self.bald.steps) + len(self.random.steps)) / (2 * n_steps))


def protocol() -> Protocol:
    """`quick` on the embedded images: about two minutes for both runs on two cores."""
    return preset("quick")


def find(store: Store, dataset: ImageDataset) -> Demo | None:
    """The demo's two runs, even if another experiment created them; None unless both exist."""
    found = [store.find_oracle_run(spec) for spec in _specs(dataset)]
    if any(run is None for run in found):
        return None
    return Demo(*(store.log(run.run_id) for run in found if run is not None))


def create(store: Store, dataset: ImageDataset, device: str = "cpu") -> ExperimentRow:
    """Direct the demo's runs to run to their end; create its experiment if there is none.

    Runs that a person has answered or corrected are not used. The demo gets new ones instead.
    """
    found = find(store, dataset)
    if found is not None:
        wanted = {found.bald.run.run_id, found.random.run.run_id}
        for row in store.experiments.all():
            runs = {run.run_id for run in store.experiments.runs(row.experiment_id)}
            if row.title == TITLE and row.protocol == protocol() and wanted <= runs:
                control.resume(store, row.experiment_id)
                return row
    return control.create_experiment(
        *(store, dataset, protocol(), ACQUISITIONS, (SEED,)),
        full_data=False,
        title=TITLE,
        device=device,
    )


def coverage_run(store: Store, dataset: ImageDataset) -> RunState | None:
    """The run that chooses by coverage, from the same start; None if there is none."""
    found = store.find_oracle_run(_spec(dataset, COVERAGE))
    return store.log(found.run_id) if found is not None else None


def add_coverage(store: Store, dataset: ImageDataset, device: str = "cpu") -> ExperimentRow:
    """Direct such a run to its end, in an experiment that shares the demo's runs."""
    return control.create_experiment(
        *(store, dataset, protocol(), (*ACQUISITIONS, COVERAGE), (SEED,)),
        full_data=False,
        title=COVERAGE_TITLE,
        device=device,
    )


def _specs(dataset: ImageDataset) -> list[RunSpec]:
    return [_spec(dataset, name) for name in ACQUISITIONS]


def _spec(dataset: ImageDataset, acquisition: str) -> RunSpec:
    return RunSpec(dataset.fingerprint, protocol(), acquisition, SEED)
