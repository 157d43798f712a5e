"""A learner with nothing but the five methods can do all work of a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.learner.base import Arrays, Facts, Fitted, ImageProgress, Learner
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import Query, StepResult
from dal_core.run.labelled import Labelled
from dal_core.run.splits import Split, split_of
from dal_core.store.opening import open_store
from dal_core.training.loop import Watch
from tests.experiment_kit import measures, new_run


@dataclass
class Prior:
    """How often each class was given."""

    shares: np.ndarray  # [C]
    labelled: Labelled
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def n_labelled(self) -> int:
        return self.labelled.n_labelled

    @property
    def after(self) -> int:
        return self.labelled.after

    @property
    def corrected(self) -> int:
        return self.labelled.corrected

    def dump(self) -> tuple[Arrays, Facts]:
        state = {"n_labelled": self.n_labelled, "after": self.after, "corrected": self.corrected}
        return {"shares": self.shares}, state


class Guesser:
    """Predicts the most frequent class and asks for images in the order of their ids."""

    def __init__(self, spec: RunSpec, dataset: ImageDataset) -> None:
        self.spec, self.dataset, self.n_fits = spec, dataset, 0
        self.split: Split = split_of(spec, dataset)

    def fit(self, labelled: Labelled, watch: Watch | None = None) -> Prior:
        self.n_fits += 1
        counts = np.bincount(labelled.labels, minlength=self.dataset.n_classes)
        return Prior((counts / counts.sum()).astype(np.float32), labelled)

    def query(
        self,
        fitted: Fitted,
        labelled: Labelled,
        progress: ImageProgress | None = None,
        n_kept: int | None = None,
        asked: Collection[int] = (),
    ) -> tuple[Query, np.ndarray | None]:
        ids = tuple(labelled.unlabelled(self.split.pool)[:100].tolist())
        ids = tuple(one for one in ids if one not in asked)
        size, n = self.spec.protocol.n_samples_to_acquire, labelled.n_labelled
        name = f"query-{labelled.after}"
        scores = tuple(np.linspace(1, 0, len(ids)).tolist())
        return Query(name, n, n, ids, scores, size, labelled.after), self.inspect(fitted, ids)

    def evaluate(self, fitted: Fitted, progress: ImageProgress | None = None) -> StepResult:
        assert isinstance(fitted, Prior)
        right = self.dataset.labels[self.split.test] == fitted.shares.argmax()
        return StepResult(
            fitted.labelled.step,
            fitted.n_labelled,
            float(right.mean()),
            0.0,
            1.0,
            after=fitted.after,
        )

    def inspect(self, fitted: Fitted, image_ids: Sequence[int]) -> np.ndarray:
        assert isinstance(fitted, Prior)
        return np.broadcast_to(fitted.shares, (1, len(image_ids), len(fitted.shares))).copy()

    def load(
        self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], labelled: Labelled
    ) -> Prior | None:
        same = facts["after"] == labelled.after
        return Prior(arrays["shares"], labelled) if same else None


class Bench(Workbench):
    learner: Guesser

    def new_learner(self, spec: RunSpec) -> Learner:
        self.learner = Guesser(spec, self.dataset(spec.protocol.dataset))
        return self.learner


def test_it_does_every_job_of_a_run(tmp_path: Path, mnist5k: ImageDataset) -> None:
    store = open_store(tmp_path)
    run_id = new_run(store, mnist5k).run_id
    bench = Bench(store)
    steps = list(advance(bench, run_id))
    assert [step.n_labelled for step in steps] == [20, 30, 40]
    assert [step.step for step in steps] == [0, 1, 2]
    split, state = bench.learner.split, store.log(run_id)
    assert [image_id for image_id, _ in state.labels()] == split.pool[:20].tolist()
    assert bench.learner.n_fits == 3


def test_its_newest_model_is_not_fitted_again(tmp_path: Path, mnist5k: ImageDataset) -> None:
    whole, store = open_store(tmp_path / "whole"), open_store(tmp_path / "parts")
    expected = new_run(whole, mnist5k).run_id
    list(advance(Bench(whole), expected))
    run_id = new_run(store, mnist5k).run_id
    for _ in range(3):  # a process a step
        bench = Bench(store)
        list(advance(bench, run_id, max_steps=1))
        assert bench.learner.n_fits == 1
    assert measures(store, run_id) == measures(whole, expected)
    bench = Bench(store)
    state = store.log(run_id)
    fitted = bench.fitted(state.run, bench.labelled(state))
    assert fitted is not None and fitted.n_labelled == 40 and bench.learner.n_fits == 0
