"""Experiments: what they consist of, in which order they are worked on, how they are stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dal_core.data.base import ImageDataset
from dal_core.experiments import control
from dal_core.experiments.status import ExperimentStatus, State, status
from dal_core.protocol.parameters import ProtocolError
from dal_core.protocol.presets import PRESETS
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.record_file.io import read_record
from dal_core.record_file.schema import curves
from dal_core.record_file.sync import FILE_NAME, experiment_dir
from dal_core.run.next_task import Task, next_task
from dal_core.run.rows import RunInUse
from dal_core.store.base import Store
from dal_core.store.experiments import ExperimentNotFound
from dal_core.store.opening import open_store
from dal_core.store.run_lock import run_lock
from tests import fast
from tests.experiment_kit import OneByOne, measures, protocol


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(control, "POLL_SECONDS", 0)
    return open_store(tmp_path)


def create(
    store: Store,
    dataset: ImageDataset,
    acquisitions: tuple[str, ...] = ("bald", "random"),
    seeds: tuple[int, ...] = (1,),
    full_data: bool = False,
    **changes: Any,
) -> str:
    made = control.create_experiment(
        store, dataset, protocol(**changes), acquisitions, seeds, full_data=full_data
    )
    return made.experiment_id


def conduct(store: Store, experiment_id: str, pool: OneByOne, steps: int = 1000) -> None:
    """Work until the end, or until that many steps are done."""
    for _ in control.conduct(store, experiment_id, pool):  # type: ignore[arg-type]
        if len(pool.done) >= steps:
            return
        pool.work()


def run_ids(store: Store, experiment_id: str) -> list[str]:
    return [run.run_id for run in store.experiments.runs(experiment_id)]


def all_measures(store: Store, experiment_id: str) -> list[Any]:
    return [measures(store, run_id) for run_id in run_ids(store, experiment_id)]


def test_functions_advance_together_seed_by_seed_and_the_bound_comes_after_them(
    store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = create(store, mnist5k, seeds=(2, 1), full_data=True)
    pool = OneByOne(store)
    conduct(store, experiment_id, pool)
    order = [("bald", 20), ("random", 20), ("bald", 30), ("random", 30), ("bald", 40)]
    order += [("random", 40), (FULL_DATA, 4850)]
    assert [(name, n) for name, seed, n in pool.done if seed == 2] == order
    assert [seed for _, seed, _ in pool.done] == [2] * 7 + [1] * 7
    now = status(store, experiment_id)
    assert now.is_complete and (now.n_done, now.n_steps) == (14, 14)
    assert now.seconds_left(2) == 0


def test_the_bound_is_trained_on_all_images_but_validation_and_measured_on_all_test_images(
    store: Store, mnist5k: ImageDataset
) -> None:
    changes: dict[str, Any] = {"test_subset_size": 30, "full_data_batch_size": 500}
    experiment_id = create(store, mnist5k, ("random",), full_data=True, **changes)
    pool = OneByOne(store)
    conduct(store, experiment_id, pool)
    now = status(store, experiment_id)
    (bound,) = [run for run in now.runs if run.log.run.spec.acquisition == FULL_DATA]
    (step,) = bound.log.steps
    assert step.n_labelled == 5000 - 50 - 100  # validation and test images of the protocol
    assert step.accuracy is not None
    # Of 100 test images, and not of the 30 that the runs are measured on.
    assert step.accuracy * 100 == pytest.approx(round(step.accuracy * 100))
    assert step.accuracy > 0.3  # twenty mini-batches have taught it something


def test_equal_runs_are_shared_and_not_done_again(store: Store, mnist5k: ImageDataset) -> None:
    first = create(store, mnist5k, ("bald", "random"))
    pool = OneByOne(store)
    conduct(store, first, pool)
    second = create(store, mnist5k, ("random", "mean_std"))
    assert run_ids(store, second)[0] == run_ids(store, first)[1]
    pool.done.clear()
    conduct(store, second, pool)
    assert {name for name, _, _ in pool.done} == {"mean_std"}
    assert status(store, second).is_complete


def test_a_run_with_a_stop_rule_is_not_shared(store: Store, mnist5k: ImageDataset) -> None:
    first = create(store, mnist5k, ("bald",))
    (run_id,) = run_ids(store, first)
    store.set_directives(run_id, until_labels=30)
    assert run_ids(store, create(store, mnist5k, ("bald",))) != [run_id]
    control.resume(store, first)  # its own goes on to its end nevertheless
    assert store.run(run_id).until_labels is None


def test_two_experiments_advance_side_by_side(store: Store, mnist5k: ImageDataset) -> None:
    ids = [create(store, mnist5k, ("bald", "random"), (1,)), create(store, mnist5k, ("random",))]
    pool = OneByOne(store)
    both = [control.conduct(store, one, pool) for one in ids]  # type: ignore[arg-type]
    done: list[bool] = [False, False]
    while not all(done):
        done = [next(one, None) is None for one in both]
        pool.work()
    assert [status(store, one).is_complete for one in ids] == [True, True]
    assert sorted(pool.done) == sorted(set(pool.done))  # the shared run was done once


def test_pausing_one_experiment_leaves_another_its_runs(
    store: Store, mnist5k: ImageDataset
) -> None:
    one = create(store, mnist5k, ("bald", "random"))
    other = create(store, mnist5k, ("random", "mean_std"))
    control.pause(store, one)
    assert not status(store, one).runs[0].has_work
    pool = OneByOne(store)
    conduct(store, other, pool)
    assert status(store, other).is_complete
    assert "bald" not in {name for name, _, _ in pool.done}


def test_a_paused_experiment_resumes_to_the_numbers_of_one_never_paused(
    store: Store, mnist5k: ImageDataset, tmp_path: Path
) -> None:
    paused = create(store, mnist5k)
    pool = OneByOne(store)
    conduct(store, paused, pool, steps=3)
    control.pause(store, paused)
    now = status(store, paused)
    assert now.is_paused and not now.has_work and now.n_done == 3
    control.resume(store, paused)
    conduct(store, paused, pool)
    other = open_store(tmp_path / "other")
    whole = create(other, mnist5k)
    conduct(other, whole, OneByOne(other))
    assert all_measures(store, paused) == all_measures(other, whole)


def test_a_stopped_experiment_begins_no_step_not_even_a_first_one(
    store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = create(store, mnist5k, full_data=True)
    pool = OneByOne(store)
    conduct(store, experiment_id, pool, steps=1)
    control.stop(store, experiment_id)
    pool.jobs.clear()
    conduct(store, experiment_id, pool)
    now = status(store, experiment_id)
    assert (now.n_done, now.has_work, now.is_paused) == (1, False, False)
    control.resume(store, experiment_id)
    conduct(store, experiment_id, pool)
    assert status(store, experiment_id).is_complete


def test_a_failed_run_is_left_alone_until_it_is_resumed(
    store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = create(store, mnist5k)
    bald, random = run_ids(store, experiment_id)
    store.add_failure(bald, "no space left")
    pool = OneByOne(store)
    conduct(store, experiment_id, pool)
    now = status(store, experiment_id)
    assert [run.failure for run in now.failures] == ["no space left"]
    assert bald not in pool.asked and len(store.log(random).steps) == 3
    control.resume(store, experiment_id)
    conduct(store, experiment_id, pool)
    now = status(store, experiment_id)
    assert now.is_complete and not now.failures


def test_a_run_that_another_process_works_on_is_left_to_it(
    store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = create(store, mnist5k)
    bald, random = run_ids(store, experiment_id)
    pool = OneByOne(store)
    with run_lock(store.home, bald):
        control.ask_workers(pool, status(store, experiment_id))  # type: ignore[arg-type]
    assert pool.asked == [random]
    control.ask_workers(pool, status(store, experiment_id))  # type: ignore[arg-type]
    assert pool.asked == [random, bald]


def test_forgetting_an_experiment_withdraws_the_work_that_only_it_wants(
    store: Store, mnist5k: ImageDataset
) -> None:
    first, second = create(store, mnist5k), create(store, mnist5k, ("random", "mean_std"))
    conduct(store, first, OneByOne(store), steps=1)
    bald, random = run_ids(store, first)
    control.forget(store, first)
    assert [row.experiment_id for row in store.experiments.all()] == [second]
    assert {run.run_id for run in store.runs()} >= {bald, random}  # runs and labels stay
    assert not next_task(store.log(bald)).has_work  # nor does an app that is started later train it
    assert next_task(store.log(random)).has_work  # the other experiment's too
    assert status(store, second).state is State.UNFINISHED
    record = read_record(experiment_dir(store.home, first) / FILE_NAME)
    assert [len(curve) for curve in curves(record)] == [len(store.log(bald).steps)]
    with pytest.raises(ExperimentNotFound):
        control.forget(store, first)


def test_forgetting_leaves_baselines_and_finished_runs_as_they_are(
    store: Store, mnist5k: ImageDataset
) -> None:
    spec = RunSpec(mnist5k.fingerprint, protocol(), "random", 1)
    control.create_run(store, mnist5k, spec, baseline=True)
    experiment_id = create(store, mnist5k, ("random", "bald"))
    baseline, bald = run_ids(store, experiment_id)
    pool = OneByOne(store)
    pool.ask(bald, person_waits=False)
    while next_task(store.log(bald)).task is not Task.NOTHING:
        pool.work()
        pool.ask(bald, person_waits=False)
    before = [store.run(run_id) for run_id in (baseline, bald)]
    control.forget(store, experiment_id)
    assert [store.run(run_id) for run_id in (baseline, bald)] == before


def test_an_experiment_and_its_runs_have_the_same_names_for_their_states(
    store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = create(store, mnist5k, ("bald",))
    (run_id,) = run_ids(store, experiment_id)

    def states() -> set[State]:
        now = status(store, experiment_id)
        return {now.state, *(run.state for run in now.runs)}

    assert states() == {State.UNFINISHED}
    control.pause(store, experiment_id)
    assert states() == {State.PAUSED}
    control.stop(store, experiment_id)
    assert states() == {State.STOPPED}
    control.resume(store, experiment_id)
    store.add_failure(run_id, "no memory")
    assert states() == {State.FAILED}
    control.resume(store, experiment_id)
    conduct(store, experiment_id, OneByOne(store))
    assert states() == {State.COMPLETE}


def test_a_run_stays_as_long_as_an_experiment_has_it(store: Store, mnist5k: ImageDataset) -> None:
    experiment_id = create(store, mnist5k, ("bald",))
    (run_id,) = run_ids(store, experiment_id)
    with pytest.raises(RunInUse, match=experiment_id):
        store.delete_run(run_id)
    assert run_ids(store, experiment_id) == [run_id]
    store.experiments.delete(experiment_id)
    store.delete_run(run_id)
    assert store.runs() == []


@pytest.mark.parametrize(
    ("acquisitions", "seeds", "message"),
    [
        ((), (1,), "no acquisition function"),
        (("bald",), (), "no seed"),
        (("bald", "bald"), (1,), "'bald' is given twice"),
        (("bald",), (1, 1), "1 is given twice"),
        (("bold",), (1,), "'bold'"),
        (("bald",), (1, -1), "-1"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    store: Store,
    mnist5k: ImageDataset,
    acquisitions: tuple[str, ...],
    seeds: tuple[int, ...],
    message: str,
) -> None:
    with pytest.raises(ProtocolError, match=message):
        create(store, mnist5k, acquisitions, seeds)
    assert store.runs() == [] and store.experiments.all() == []


def test_a_summary_says_what_the_log_says(store: Store, mnist5k: ImageDataset) -> None:
    experiment_id = create(store, mnist5k)
    conduct(store, experiment_id, OneByOne(store), steps=3)
    for one, progress in store.experiments.summaries(experiment_id):
        log = store.log(one.run.run_id)
        for name in set(vars(one)) - {"steps"}:
            assert getattr(one, name) == getattr(log, name), name
        # The counts of mistakes, which no table of runs shows, are not read for it.
        assert one.steps == tuple(replace(step, confusion=None) for step in log.steps)
        assert progress == store.progress(one.run.run_id)


def test_what_was_not_begun_is_expected_to_take_what_the_others_take(
    store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = create(store, mnist5k, ("random",), (1, 2, 3))
    assert status(store, experiment_id).seconds_left(1) is None
    conduct(store, experiment_id, OneByOne(store), steps=3)
    now = status(store, experiment_id)
    spent = now.runs[0].seconds_spent
    assert now.seconds_left(1) == pytest.approx(2 * spent)
    assert now.seconds_left(2) == pytest.approx(spent)
    assert now.seconds_left(16) == pytest.approx(spent)  # nobody helps with a run


def test_a_bound_is_expected_to_take_time_by_its_images(
    store: Store, mnist5k: ImageDataset
) -> None:
    experiment_id = create(store, mnist5k, ("random",), full_data=True, n_acquisition_steps=0)
    conduct(store, experiment_id, OneByOne(store), steps=1)
    now: ExperimentStatus = status(store, experiment_id)
    (step,) = now.runs[0].log.steps
    assert now.seconds_left(1) == pytest.approx(step.seconds["train"] / 20 * 4850)


SWITCHES = {
    "dropout": "[0.25, 0.5]",
    "weights": "last",
    "initial_with_replacement": "true",
    "entropy_eps": "1e-10",
    "ties": "first",
}


def test_report_and_released_differ_in_the_five_switches_alone() -> None:
    report, released = (PRESETS[name].model_dump() for name in ("report", "released"))
    assert {key for key in report if report[key] != released[key]} == set(SWITCHES)


@pytest.mark.parametrize("field", SWITCHES)
def test_each_switch_alone_changes_the_result(mnist5k: ImageDataset, field: str) -> None:
    report = {name: PRESETS["report"].model_dump()[name] for name in SWITCHES}
    released = {field: PRESETS["released"].model_dump()[field]}
    base = {**report, "n_epochs": 40, "num_mc_samples": 4, "learning_rate": 0.01}
    results = []
    for changes in (base, {**base, **released}):
        run = fast.run(mnist5k, "variation_ratios", **changes)
        ((result, query),) = fast.steps(run, 1)
        results.append((fast.measured(result), query.ranking))
    assert results[0] != results[1]
