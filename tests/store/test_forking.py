"""A fork shares a run's history up to a step and is independent from there on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.protocol.parameters import override
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import Answer, AnsweredBatch
from dal_core.run.rows import RunNotFound, RunRow
from dal_core.run.splits import split_of
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from tests import experiment_kit, store_kit


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "home")


@pytest.fixture
def origin(store: Store, mnist5k: ImageDataset) -> RunRow:
    """A finished run of the oracle: 20, 30, 40 labels."""
    run = experiment_kit.new_run(store, mnist5k)
    list(advance(Workbench(store), run.run_id))
    return run


def _after(store: Store, origin: RunRow, n: int) -> int:
    """The state after the run's first n submissions."""
    return store.log(origin.run_id).submissions[n - 1].submission_id if n else 0


def _fork(store: Store, origin: RunRow, n: int, **changes: Any) -> RunRow:
    after = _after(store, origin, n)
    return store.fork_run(origin.run_id, after, spec=replace(origin.spec, **changes))


def test_a_fork_has_the_history_up_to_the_step_and_nothing_after_it(
    store: Store, origin: RunRow
) -> None:
    theirs = store.log(origin.run_id)
    made = _fork(store, origin, 1, acquisition="random")
    ours = store.log(made.run_id)
    assert (made.forked_from, made.forked_labels) == (origin.run_id, 30)
    assert made.forked_after == theirs.submissions[0].submission_id
    assert ours.run == made
    assert ours.n_labelled == 30 and not ours.is_asked
    assert ours.labels() == theirs.labels()[:10]
    assert [s.accuracy for s in ours.steps] == [s.accuracy for s in theirs.steps[:2]]
    assert [s.confusion for s in ours.steps] == [s.confusion for s in theirs.steps[:2]]
    (one,) = ours.submissions
    assert one.submission_id != theirs.submissions[0].submission_id
    assert one.at == theirs.submissions[0].at
    assert ours.steps[1].after == one.submission_id == ours.after
    assert store.log(origin.run_id) == theirs


def test_the_matrices_of_shared_queries_are_copied(store: Store, origin: RunRow) -> None:
    made = _fork(store, origin, 1)
    mine, theirs = (store.log(run.run_id).submissions[0] for run in (made, origin))
    assert mine.query_id != theirs.query_id
    ours, kept = (store.shown_probs(one.query_id) for one in (mine, theirs))
    assert ours is not None and kept is not None
    assert np.array_equal(ours, kept)


def test_a_fork_with_the_same_spec_repeats_its_origin_bit_for_bit(
    store: Store, origin: RunRow, mnist5k: ImageDataset
) -> None:
    after = _after(store, origin, 1)
    made = control.fork_run(store, mnist5k, origin.run_id, after, origin.spec)
    list(advance(Workbench(store), made.run_id))
    both = [experiment_kit.measures(store, run.run_id) for run in (made, origin)]
    assert both[0] == both[1]
    assert store.log(made.run_id).labels() == store.log(origin.run_id).labels()


def test_a_fork_continues_with_its_own_function_and_oracle(
    store: Store, origin: RunRow, mnist5k: ImageDataset
) -> None:
    spec = replace(origin.spec, acquisition="random", noise=1.0)
    made = control.fork_run(store, mnist5k, origin.run_id, _after(store, origin, 1), spec)
    list(advance(Workbench(store), made.run_id))
    log = store.log(made.run_id)
    assert [s.n_labelled for s in log.steps] == [20, 30, 40]
    right, wrong = (s.labels for s in log.submissions)
    assert all(mnist5k.labels[i] == label for i, label in right.items())
    assert all(mnist5k.labels[i] != label for i, label in wrong.items())


def test_a_fork_at_the_start_shares_the_initial_set(store: Store, origin: RunRow) -> None:
    made = _fork(store, origin, 0)
    log = store.log(made.run_id)
    assert (made.forked_after, made.forked_labels, log.n_labelled) == (0, 20, 20)
    assert len(log.steps) == 1 and not log.submissions


def test_answers_are_copied_as_corrected_and_steps_before_that_are_not(
    store: Store, origin: RunRow
) -> None:
    after = _after(store, origin, 1)
    mine = store.fork_run(origin.run_id, after, spec=origin.spec, kind="person")
    image_id, label = next(iter(store.log(mine.run_id).submissions[0].labels.items()))
    store.correct(mine.run_id, image_id, (label + 1) % 10, annotator="ann")
    log = store.log(_fork(store, mine, 1).run_id)
    assert dict(log.labels())[image_id] == (label + 1) % 10
    assert log.corrected == 0
    assert [step.n_labelled for step in log.steps] == [20]  # 30 was measured with the old label


def test_the_step_at_the_fork_is_measured_again_under_another_protocol(
    store: Store, origin: RunRow
) -> None:
    longer = override(origin.spec.protocol, {"n_epochs": 3})
    made = _fork(store, origin, 1, protocol=longer)
    assert [step.n_labelled for step in store.log(made.run_id).steps] == [20]
    more = override(origin.spec.protocol, {"n_acquisition_steps": 9})
    assert len(store.log(_fork(store, origin, 2, protocol=more).run_id).steps) == 3


def test_the_origin_may_be_deleted(store: Store, origin: RunRow) -> None:
    made = _fork(store, origin, 1)
    before = store.log(made.run_id)
    store.delete_run(origin.run_id)
    assert store.log(made.run_id) == before
    with pytest.raises(RunNotFound):
        store.run(origin.run_id)


def test_a_nonce_finds_the_origin_and_not_its_fork(store: Store, mnist5k: ImageDataset) -> None:
    spec = RunSpec(mnist5k.fingerprint, experiment_kit.protocol(), "bald", 1)
    split = split_of(spec, mnist5k)
    given = AnsweredBatch("ann", "person", None, tuple(Answer(int(i), 3) for i in split.pool[:10]))
    run = store.create_run(
        spec,
        kind="person",
        n_initial=len(split.initial),
        split_sizes=split.sizes(),
        answered=[given],
        nonce="sent",
    )
    made = _fork(store, run, 1, acquisition="random")
    assert store.log(made.run_id).labels() == store.log(run.run_id).labels()
    assert store.find_submitted("sent") == run


def test_a_fork_is_not_reused_as_an_oracle_run(store: Store, origin: RunRow) -> None:
    made = _fork(store, origin, 0, acquisition="random")
    assert store.find_oracle_run(made.spec) is None


def test_a_person_may_continue_an_oracles_run(store: Store, origin: RunRow) -> None:
    after = _after(store, origin, 1)
    made = store.fork_run(origin.run_id, after, spec=origin.spec, kind="person", title="Ann")
    log = store.log(made.run_id)
    ranking = [i for i in range(4000, 4200) if i not in dict(log.labels())]
    query = store_kit.new_query(ranking[:100], n_labelled=30, after=log.after)
    assert store.add_query(made.run_id, query, None)
    assert store_kit.give(store, query).status == "saved"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 2}, "seed is 2 in the fork; allowed: 1"),
        ({"fingerprint": "other"}, "fingerprint is 'other' in the fork; allowed: "),
        ({"acquisition": "full_data"}, "full-data bound asks for nothing"),
        ({"val_size": 60}, "val_size is 60 in the fork; allowed: 50"),
        ({"n_acquisition_steps": 1}, "nothing left to ask: n_acquisition_steps is 1"),
    ],
)
def test_an_impossible_fork_is_refused_in_one_line(
    store: Store, origin: RunRow, changes: dict[str, Any], message: str
) -> None:
    fields = {k: v for k, v in changes.items() if k in RunSpec.__dataclass_fields__}
    others = {k: v for k, v in changes.items() if k not in fields}
    fields["protocol"] = override(origin.spec.protocol, others)
    n_runs = len(store.runs())
    with pytest.raises(ValueError, match=message):
        _fork(store, origin, 1, **fields)
    with pytest.raises(ValueError, match="after is 7777"):
        store.fork_run(origin.run_id, 7777, spec=origin.spec)
    assert len(store.runs()) == n_runs
