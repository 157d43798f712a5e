"""The record files of runs and experiments, as they grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from dal_core.data.base import ImageDataset
from dal_core.experiments import control
from dal_core.record_file.io import read_record
from dal_core.record_file.schema import bounds, curves, unfinished
from dal_core.record_file.sync import experiment_dir, refresh_records
from dal_core.store.base import Store
from dal_core.store.home import run_dir
from dal_core.store.opening import open_store
from tests.experiment_kit import OneByOne, protocol


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(control, "POLL_SECONDS", 0)
    return open_store(tmp_path)


def create(store: Store, dataset: ImageDataset, *acquisitions: str) -> str:
    made = control.create_experiment(
        store, dataset, protocol(), acquisitions, (1, 2), full_data=True
    )
    return made.experiment_id


def steps(store: Store, experiment_id: str, number: int) -> None:
    pool = OneByOne(store)
    for _ in control.conduct(store, experiment_id, pool):  # type: ignore[arg-type]
        if len(pool.done) >= number:
            return
        pool.work()


def test_the_record_holds_every_step_when_it_is_measured(
    store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = create(store, mnist5k, "bald")
    path = experiment_dir(store.home, experiment_id) / "record.yaml"
    for number in (1, 2):
        steps(store, experiment_id, 1)
        (curve,) = curves(read_record(path))
        assert len(curve) == number
    (run, n_points), *others = unfinished(read_record(path))
    assert (run.acquisition, run.seed, n_points, others) == ("bald", 1, 3, [])
    assert read_record(path).params["exp"]["seed_sequence"] == [1, 2]
    assert bounds(read_record(path)) == []


def test_a_shared_run_is_in_the_records_of_both_experiments(
    store: Store, mnist5k: ImageDataset
) -> None:
    ids = [create(store, mnist5k, "random"), create(store, mnist5k, "random", "bald")]
    steps(store, ids[0], 1)
    for one in ids:
        (curve,) = curves(read_record(experiment_dir(store.home, one) / "record.yaml"))
        assert (curve.acquisition, len(curve)) == ("random", 1)


def test_records_that_a_kill_left_behind_are_brought_up_to_date(
    store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = create(store, mnist5k, "random")
    steps(store, experiment_id, 100)
    run = store.experiments.runs(experiment_id)[0]
    paths = [
        experiment_dir(store.home, experiment_id) / "record.yaml",
        run_dir(store.home, run.run_id) / "record.yaml",
    ]
    before = [read_record(path) for path in paths]
    for path in paths:
        path.unlink()
    assert refresh_records(store, experiment_id) == paths[0]
    assert [read_record(path) for path in paths] == before
    assert [bound.seed for bound in bounds(before[0])] == [1, 2]
