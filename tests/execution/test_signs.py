"""Signs of life: who gives them, who looks, and what becomes of a worker that hangs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dal_core.data.base import ImageDataset
from dal_core.execution import pool as workers
from dal_core.execution import signs, worker_handle
from dal_core.execution.job import Workbench, advance
from dal_core.execution.pool import Workers
from dal_core.execution.signs import Signs, Watch
from dal_core.models.networks import build_model
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_core.training.loop import BatchOrder, train
from tests import fast
from tests.execution.test_pool import epoch, process_of
from tests.experiment_kit import measures, new_run, until


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


@pytest.fixture
def pool(store: Store) -> Iterator[Workers]:
    made = Workers(store.home, 1)
    yield made
    made.close()


def test_silence_is_counted_in_looks_and_ends_with_a_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "SIGN_SECONDS", 0)
    watch = Watch()
    give = Signs(os.dup(watch.writing))
    assert [watch.look(5), watch.look(5)] == [5, 10]
    for _ in range(100_000):  # more than the pipe holds, and nobody looks meanwhile
        give()
    assert watch.look(5) == 0
    watch.close()
    give()  # the pool is gone
    watch.look(5)
    Signs()()  # no pool at all


def test_a_training_gives_a_sign_for_every_batch_of_a_long_epoch() -> None:
    given: list[int] = []
    images, labels = torch.zeros(50, 1, 28, 28), torch.zeros(50, dtype=torch.int64)
    order = BatchOrder(20, torch.Generator().manual_seed(1))
    model, protocol = build_model("lenet5", (0.1, 0.1), 1), fast.protocol(n_epochs=2)
    generator = torch.Generator().manual_seed(2)
    train(model, images, labels, protocol, generator, batches=order, alive=lambda: given.append(1))
    assert len(given) == 2 * 3


def test_fits_and_passes_give_signs(store: Store, mnist5k: ImageDataset) -> None:
    given: list[int] = []
    run = new_run(store, mnist5k, n_epochs=3)
    bench = Workbench(store, alive=lambda: given.append(1))
    fitted = bench.warm(run).learner.fit(bench.labelled(store.log(run.run_id)))
    assert len(given) == 3
    bench.warm(run).learner.inspect(fitted, range(600))  # two chunks
    assert len(given) == 5


def test_a_worker_that_hangs_is_replaced_and_costs_its_fit_only(
    store: Store, pool: Workers, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "LOOK_SECONDS", 0.1)
    run_id = new_run(store, mnist5k, n_epochs=150).run_id
    pool.ask(run_id, person_waits=False)
    until(lambda: epoch(store, run_id))
    hanging = process_of(pool)
    with monkeypatch.context() as patch:
        os.kill(hanging, signal.SIGSTOP)  # alive, and silent
        patch.setattr(worker_handle, "HANG_SECONDS", 1.5)
        until(lambda: pool._background[0].process is None or process_of(pool) != hanging)
    until(lambda: not pool.is_active(run_id))
    whole = new_run(store, mnist5k, n_epochs=150).run_id
    list(advance(Workbench(store), whole))
    assert measures(store, run_id) == measures(store, whole)
    assert store.log(run_id).failure is None


def test_a_run_whose_workers_keep_hanging_fails_and_says_so(
    store: Store, pool: Workers, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(workers, "MAX_DEATHS", 1)
    run_id = new_run(store, mnist5k, n_epochs=100_000).run_id
    pool.ask(run_id, person_waits=False)
    until(lambda: epoch(store, run_id))
    os.kill(process_of(pool), signal.SIGSTOP)
    monkeypatch.setattr(worker_handle, "HANG_SECONDS", 1.5)
    failure = until(lambda: store.log(run_id).failure)
    reason = "its worker process hung (no sign of life for 1.5 s) 1 times"
    assert failure.reason == reason and not pool.is_active(run_id)


def test_a_failure_that_found_no_space_is_stored_when_there_is_space_though_nobody_asks(
    store: Store, pool: Workers, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "LOOK_SECONDS", 0.1)
    run_id = new_run(store, mnist5k).run_id
    pool._failed[run_id] = "OSError: [Errno 28] No space left on device"
    pool.watch()
    assert until(lambda: store.log(run_id).failure).reason.startswith("OSError")


def test_weights_of_an_earlier_step_leave_a_failed_run_failed(
    store: Store, pool: Workers, mnist5k: ImageDataset
) -> None:
    run_id = new_run(store, mnist5k).run_id
    list(advance(Workbench(store), run_id, max_steps=1))
    store.add_failure(run_id, "OSError: the disk is full")
    before = store.log(run_id)
    pool.ask_weights(run_id, 0)
    until(lambda: not pool.weights_active(run_id, 0))
    assert store.log(run_id) == before and before.failure is not None
    assert not pool.is_active(run_id)
