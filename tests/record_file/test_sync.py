"""The record files of runs and experiments: what they hold, and when they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from dal_core.cli import main
from dal_core.data.base import ImageDataset
from dal_core.experiments import control
from dal_core.record_file import sync, writer
from dal_core.record_file.io import read_record
from dal_core.record_file.schema import Record, bounds, curves, unfinished
from dal_core.record_file.sync import experiment_dir, refresh_records, stored_record
from dal_core.record_file.writer import RecordWriter, Throttle
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


def test_the_record_holds_what_was_measured_until_it_was_written(
    store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = create(store, mnist5k, "bald")
    path = experiment_dir(store.home, experiment_id) / "record.yaml"
    for number in (1, 2):
        steps(store, experiment_id, 1)  # by another process each time, which writes its first step
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


# -- when ------------------------------------------------------------------------------------------


def test_a_throttle_releases_what_changed_at_most_once_in_its_time() -> None:
    throttle = Throttle(5.0)
    assert throttle.wait(100.0) is None and throttle.due(100.0) == set()
    throttle.add("a")
    assert throttle.due(100.0) == {"a"}
    throttle.add("b")
    throttle.add("c")
    throttle.add("b")
    assert throttle.wait(103.0) == 2.0 and throttle.due(104.9) == set()
    assert throttle.due(105.0) == {"b", "c"}
    throttle.add("d")
    assert throttle.release(106.0) == {"d"} and throttle.release(106.0) == set()
    throttle.add("e")
    assert throttle.wait(106.0) == 5.0  # counted from the last release, whatever its cause


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders of the records written, in order."""
    paths: list[str] = []
    write = sync.write_record

    def spy(record: Record, path: Path) -> None:
        paths.append(path.parent.name)
        write(record, path)

    monkeypatch.setattr(sync, "write_record", spy)
    return paths


def test_while_runs_advance_records_are_written_every_few_seconds_and_as_a_run_ends(
    store: Store, mnist5k: ImageDataset, written: list[str]
) -> None:
    experiment_id = create(store, mnist5k, "random")
    pool, time = OneByOne(store), [0.0]
    pool.bench.records = RecordWriter(store, clock=lambda: time[0])
    first = store.experiments.runs(experiment_id)[0].run_id
    all_steps = control.conduct(store, experiment_id, pool)  # type: ignore[arg-type]

    def step() -> list[str]:
        written.clear()
        next(all_steps)
        pool.work()
        return list(written)

    assert step() == [first, experiment_id]
    time[0] += writer.WRITE_SECONDS - 0.1
    assert step() == []
    assert pool.bench.records.wait() == pytest.approx(0.1)
    assert len(curves(read_record(run_dir(store.home, first) / "record.yaml"))[0]) == 1
    assert step() == [first, experiment_id]  # its last step
    assert len(curves(read_record(run_dir(store.home, first) / "record.yaml"))[0]) == 3
    assert pool.bench.records.wait() is None


def test_an_idle_process_writes_what_its_last_steps_left_behind(
    store: Store, mnist5k: ImageDataset, written: list[str]
) -> None:
    experiment_id = create(store, mnist5k, "random")
    run_id = store.experiments.runs(experiment_id)[0].run_id
    time = [0.0]
    records = RecordWriter(store, clock=lambda: time[0])
    for _ in range(2):
        records.step_stored(run_id)
        records.write_due()
    assert written == [run_id, experiment_id]
    time[0] += writer.WRITE_SECONDS
    records.write_due()
    assert written == [run_id, experiment_id] * 2
    records.write_all()
    assert written == [run_id, experiment_id] * 2  # nothing is behind


def test_a_record_that_cannot_be_written_stops_neither_the_work_nor_other_records(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id = create(store, mnist5k, "random")
    one, deleted = (run.run_id for run in store.experiments.runs(experiment_id)[:2])
    store.experiments.delete(experiment_id)
    store.delete_run(deleted)
    records = RecordWriter(store)
    for run_id in (deleted, one):
        records.step_stored(run_id)
    records.write_all()
    assert not run_dir(store.home, deleted).exists()
    assert (run_dir(store.home, one) / "record.yaml").is_file()

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(sync, "write_record", fail)
    records.step_stored(one)
    with pytest.warns(UserWarning, match=f"record of {one} was not written: no space left"):
        records.write_all()


@pytest.mark.parametrize("left", ["", "params: {exp: {written_by: dal}}\n", None])
def test_a_report_of_an_experiment_is_read_from_the_store(
    store: Store, mnist5k: ImageDataset, tmp_path: Path, left: str | None
) -> None:
    """Whatever a kill has left of the file: nothing, a part, or the step before."""
    experiment_id = create(store, mnist5k, "random")
    path = experiment_dir(store.home, experiment_id) / "record.yaml"
    steps(store, experiment_id, 1)
    behind = path.read_text()
    steps(store, experiment_id, 100)
    path.write_text(behind if left is None else left)
    out = tmp_path / "report"
    assert main(["report", experiment_id, "--home", str(store.home), "--out", str(out)]) == 0
    record = stored_record(store, experiment_id)
    assert [len(curve) for curve in curves(record)] == [3, 3]
    assert read_record(out / "record.yaml") == read_record(path) == record
