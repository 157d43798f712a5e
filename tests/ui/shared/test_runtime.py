"""What the server does when it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.execution.pool import Workers
from dal_core.run.next_task import Task, next_task
from dal_core.store.opening import open_store
from dal_ui.shared import runtime
from tests.experiment_kit import new_run
from tests.kill_trial import answer


def test_a_start_continues_runs_but_makes_up_no_measurement_of_a_finished_one(
    dal_home: Path, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(dal_home)
    unfinished = new_run(store, mnist5k).run_id
    old = new_run(store, mnist5k, person=True, n_acquisition_steps=1).run_id
    bench = Workbench(store)
    with pytest.raises(KeyboardInterrupt):  # killed between its query and its first measurement
        list(advance(bench, old, lambda: stop(store.log(old).is_asked)))
    answer(store, old)
    (last,) = advance(bench, old, max_steps=1)
    assert last.n_labelled == 30 and next_task(store.log(old)).task is Task.MAKE_UP
    asked: list[str] = []
    monkeypatch.setattr(Workers, "ask", lambda _self, run_id, **_: asked.append(run_id))
    monkeypatch.setattr(Workers, "warm_up", lambda _self: None)
    runtime.store.clear()
    runtime.workers.clear()
    runtime.workers().close()
    runtime.workers.clear()
    runtime.store.clear()
    assert asked == [unfinished]


def stop(now: bool) -> None:
    if now:
        raise KeyboardInterrupt
