"""The training set of a run at any of its states."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dal_core.data.base import ImageDataset
from dal_core.run.events import Answer, Correction, Query, Submission
from dal_core.run.labelled import Labelled, labelled_of, state_at
from dal_core.run.rows import RunRow
from dal_core.run.splits import Split, split_of
from dal_core.run.state import RunState
from tests import fast


@pytest.fixture(scope="module")
def split(mnist5k: ImageDataset) -> Split:
    return split_of(fast.learner(mnist5k).spec, mnist5k)


def state_of(mnist5k: ImageDataset, split: Split, n_corrections: int = 0) -> RunState:
    """Two queries of three, one image of the second skipped; typed in another order."""
    pool = [int(image_id) for image_id in split.pool[:8]]
    first = Query("a", 20, 20, tuple(pool[:4]), (4.0, 3.0, 2.0, 1.0), 3)
    second = Query("b", 23, 23, tuple(pool[3:8]), (5.0, 4.0, 3.0, 2.0, 1.0), 3, after=1)
    one = tuple(Answer(image_id, 1) for image_id in pool[2::-1])
    other = (Answer(pool[4], None), *(Answer(pool[i], 2) for i in (6, 3, 5)))
    given = [
        Submission(1, "a", "ann", "person", "", one),
        Submission(2, "b", "ann", "person", "", other),
    ]
    corrections = [
        Correction(1, 1, pool[0], 7, None, "ann", ""),
        Correction(2, 1, pool[1], None, None, "ann", ""),
        Correction(3, 1, pool[0], 8, None, "ann", ""),
        Correction(4, 2, pool[4], 9, None, "ann", ""),
    ]
    spec = fast.learner(mnist5k).spec
    row = RunRow("run-1", "", "person", False, spec, 20, {}, {}, "")
    return RunState.from_events(
        row,
        queries=[first, second],
        submissions=given,
        retracted=set(),
        steps=(),
        corrections=corrections[:n_corrections],
    )


def answered(labelled: Labelled) -> list[tuple[int, int]]:
    return list(zip(labelled.ids[20:].tolist(), labelled.labels[20:].tolist(), strict=True))


def test_the_initial_images_come_first_and_answers_in_the_order_of_the_ranking(
    mnist5k: ImageDataset, split: Split
) -> None:
    state, p = state_of(mnist5k, split), split.pool.tolist()
    labelled = labelled_of(state, split, mnist5k)
    assert labelled.ids[:20].tolist() == split.initial.tolist()
    assert labelled.labels[:20].tolist() == mnist5k.labels[split.initial].tolist()
    assert answered(labelled) == [(p[0], 1), (p[1], 1), (p[2], 1), (p[3], 2), (p[5], 2), (p[6], 2)]
    assert labelled.n_labelled == state.n_labelled == 26
    assert (labelled.after, labelled.corrected, labelled.step) == (2, 0, 2)
    assert labelled.skipped == {p[4]}
    assert labelled.unlabelled(split.pool).tolist() == p[7:]
    assert labelled.ids.dtype == labelled.labels.dtype == np.int64


def test_a_run_without_answers_has_its_initial_labels(mnist5k: ImageDataset, split: Split) -> None:
    labelled = labelled_of(state_of(mnist5k, split).until(0), split, mnist5k)
    assert (labelled.n_labelled, labelled.after, labelled.step) == (20, 0, 0)
    assert labelled.unlabelled(split.pool).tolist() == split.pool.tolist()


def test_an_earlier_state_has_the_labels_it_had_then(mnist5k: ImageDataset, split: Split) -> None:
    state, p = state_of(mnist5k, split, 4), split.pool.tolist()
    now = labelled_of(state, split, mnist5k)
    assert answered(now)[:2] == [(p[0], 8), (p[2], 1)] and (p[4], 9) in answered(now)
    assert now.corrected == 4 and now.skipped == {p[1]}
    expected = {0: [1, 1, 1], 1: [7, 1, 1], 2: [7, 1], 3: [8, 1]}
    for corrected, labels in expected.items():
        then = state_at(state, 1, corrected)
        labelled = labelled_of(then, split, mnist5k)
        assert [label for _, label in answered(labelled)] == labels
        assert (labelled.after, labelled.corrected, labelled.step) == (1, corrected, 1)
        assert then.n_labelled == labelled.n_labelled == 20 + len(labels)
        assert labelled.skipped == ({p[1]} if corrected > 1 else set())
    assert p[4] in labelled_of(state_at(state, 2, 3), split, mnist5k).skipped


def test_an_unknown_state_is_refused(mnist5k: ImageDataset, split: Split) -> None:
    with pytest.raises(ValueError, match="after is 9; allowed"):
        state_at(state_of(mnist5k, split), 9, 0)


def test_importing_it_and_the_learners_interface_imports_no_torch() -> None:
    modules = "dal_core.run.labelled, dal_core.learner.base"
    check = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
