"""The weights of an earlier step, computed again, are those the run had at that step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dal_core.data.base import ImageDataset
from dal_core.execution.checkpoints import load_fitted
from dal_core.execution.job import Workbench, advance, recompute_weights
from dal_core.execution.recompute import (
    corrected_at,
    labelled_at,
    recompute,
    step_facts,
    step_file,
    step_weights,
)
from dal_core.explain.step import ModelStep, stored_step
from dal_core.learner.base import make_learner
from dal_core.run.labelled import Labelled
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_core.store.run_lock import RunBusy, run_lock
from tests import experiment_kit, fast
from tests.store_kit import as_in_earlier_versions


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "home")


def _watched_run(
    store: Store, dataset: ImageDataset, **changes: Any
) -> tuple[str, list[list[np.ndarray]]]:
    """A finished run, and the weights it had at each of its steps."""
    run = experiment_kit.new_run(store, dataset, **changes)
    bench, weights = Workbench(store), []
    for step in advance(bench, run.run_id):
        fitted = bench.fitted(run, bench.labelled(store.log(run.run_id)))
        assert fitted is not None and fitted.after == step.after
        weights.append([one.copy() for one in fast.weights(fitted)])
    return run.run_id, weights


def labelled_then(log: RunState, after: int, dataset: ImageDataset) -> Labelled:
    """The labels that the step measured at `after` was trained on."""
    learner = make_learner(log.run.spec, dataset)
    return labelled_at(log, after, learner, dataset, corrected_at(log, after))


def stored_weights(step: ModelStep | None) -> list[np.ndarray]:
    assert step is not None
    return fast.weights(step.fitted)


def test_a_steps_weights_are_those_the_run_had_bit_for_bit(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, had = _watched_run(store, mnist5k, dropout=[0.3, 0.25], weights="best")
    log = store.log(run_id)
    assert len(log.steps) == len(had) == 3
    for step, weights in zip(log.steps, had, strict=True):
        recompute(store, mnist5k, run_id, step.after)
        assert step_weights(store.home, run_id, step.after) == step_file(
            store.home, run_id, step.after
        )
        found = stored_step(store.home, log, mnist5k, step.after)
        assert fast.same(stored_weights(found), weights)
    assert store.log(run_id) == log  # nothing was written to the log


def test_a_step_computed_again_is_measured_as_it_was(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = _watched_run(store, mnist5k)
    step = store.log(run_id).steps[1]
    path = recompute(store, mnist5k, run_id, step.after)
    facts = step_facts(store.home, run_id, step.after)
    assert facts is not None
    assert facts["accuracy"] == step.accuracy
    assert facts["confusion"] == [list(row) for row in step.confusion or ()]
    assert step_weights(store.home, run_id, step.after) == path


def test_the_newest_steps_weights_are_the_runs_own(store: Store, mnist5k: ImageDataset) -> None:
    run_id, had = _watched_run(store, mnist5k)
    log = store.log(run_id)
    path = step_weights(store.home, run_id, log.after)
    assert path == store.run_dir(run_id) / "weights.safetensors"
    assert fast.same(stored_weights(stored_step(store.home, log, mnist5k, log.after)), had[-1])
    assert step_weights(store.home, run_id, 0) is None
    assert stored_step(store.home, log, mnist5k, 0) is None


def test_a_step_computed_again_clears_no_failure(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = _watched_run(store, mnist5k)
    store.add_failure(run_id, "OSError: the disk is full")
    before = store.log(run_id)
    recompute_weights(Workbench(store), run_id, 0)
    assert store.log(run_id) == before and before.failure is not None


def test_what_is_kept_is_not_computed_again(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = _watched_run(store, mnist5k)
    path = recompute(store, mnist5k, run_id, 0)
    written = path.stat().st_mtime_ns
    assert recompute(store, mnist5k, run_id, 0) == path == step_file(store.home, run_id, 0)
    assert path.stat().st_mtime_ns == written


def test_a_label_corrected_later_is_what_it_was_at_the_step(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, had = _watched_run(store, mnist5k)
    first = store.log(run_id).submissions[0]
    image_id, label = next(iter(first.labels.items()))
    for other in (label + 1, label + 2):
        with as_in_earlier_versions():
            store.correct(run_id, image_id, other % 10, annotator="ann")
    corrected = store.log(run_id)
    assert dict(corrected.labels())[image_id] == (label + 2) % 10
    assert corrected_at(corrected, first.submission_id) == 0
    labelled = labelled_then(corrected, first.submission_id, mnist5k)
    assert labelled.labels[labelled.ids.tolist().index(image_id)] == label
    fitted = make_learner(corrected.run.spec, mnist5k).fit(labelled)
    assert fast.same(fast.weights(fitted), had[1])


def test_a_step_measured_after_a_correction_has_the_corrected_label(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id, _ = _watched_run(store, mnist5k)
    image_id, label = next(iter(store.log(run_id).submissions[0].labels.items()))
    with as_in_earlier_versions():
        made = store.correct(run_id, image_id, (label + 1) % 10, annotator="ann")
    list(advance(Workbench(store), run_id))  # a finished run is measured once more
    log = store.log(run_id)
    assert corrected_at(log, log.after) == made.correction_id
    labelled = labelled_then(log, log.after, mnist5k)
    assert labelled.labels[labelled.ids.tolist().index(image_id)] == (label + 1) % 10


def test_only_states_of_the_run_can_be_computed_again(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = _watched_run(store, mnist5k)
    with pytest.raises(ValueError, match=r"after is 9999; allowed for run .*: 0, \d+"):
        recompute(store, mnist5k, run_id, 9999)


def test_a_run_that_is_worked_on_is_left_alone(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = _watched_run(store, mnist5k)
    with run_lock(store.home, run_id), pytest.raises(RunBusy):
        recompute(store, mnist5k, run_id, 0)
    assert step_weights(store.home, run_id, 0) is None


def test_a_files_weights_are_refused_for_other_labels(store: Store, mnist5k: ImageDataset) -> None:
    run_id, _ = _watched_run(store, mnist5k)
    path = recompute(store, mnist5k, run_id, 0)
    log = store.log(run_id)
    elsewhere = labelled_then(log, log.submissions[0].submission_id, mnist5k)
    assert load_fitted(path, make_learner(log.run.spec, mnist5k), elsewhere) is None


def test_damaged_weights_are_computed_again(store: Store, mnist5k: ImageDataset) -> None:
    run_id, had = _watched_run(store, mnist5k)
    path = recompute(store, mnist5k, run_id, 0)
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)
    log = store.log(run_id)
    with pytest.warns(UserWarning, match="has to be fitted again"):
        assert stored_step(store.home, log, mnist5k, 0) is None
    assert recompute(store, mnist5k, run_id, 0) == path
    assert fast.same(stored_weights(stored_step(store.home, log, mnist5k, 0)), had[0])
