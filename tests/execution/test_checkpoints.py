"""The newest model on disk: the same bits, or none at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dal_core.data.base import ImageDataset
from dal_core.execution.checkpoints import FILE_NAME, load_fitted, save_fitted
from dal_core.learner.bayesian_cnn import Learner
from tests import fast


@pytest.fixture
def learner(mnist5k: ImageDataset) -> Learner:
    """A learner with one step behind it and a model of 30 labels."""
    learner = fast.learner(mnist5k, weights="best")
    fast.steps(learner, 1)
    learner.fit()
    return learner


@pytest.fixture
def saved(learner: Learner, tmp_path: Path) -> Path:
    assert learner.fitted is not None
    save_fitted(tmp_path / "run", learner.fitted, learner.spec.key)
    return tmp_path / "run"


def restarted(learner: Learner) -> Learner:
    """A learner in the same state that has not trained."""
    fresh = Learner(learner.spec, learner.dataset)
    fresh.replay(learner.answered)
    return fresh


def test_a_model_comes_back_to_the_last_bit(learner: Learner, saved: Path) -> None:
    fresh = restarted(learner)
    fresh.fitted = load_fitted(saved, fresh, fresh.spec.key)
    assert fresh.fitted is not None
    assert learner.fitted is not None
    assert fast.same(fast.weights(learner), fast.weights(fresh))
    assert fresh.fitted.training == learner.fitted.training
    assert fast.measured(fresh.evaluate()) == fast.measured(learner.evaluate())
    one, other = fresh.query()[0], learner.query()[0]
    assert (one.ranking, one.scores) == (other.ranking, other.scores)


def test_only_the_finished_file_is_left_in_the_folder(saved: Path) -> None:
    assert [path.name for path in saved.iterdir()] == [FILE_NAME]


def test_a_save_that_fails_leaves_the_earlier_file(
    learner: Learner, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (saved / FILE_NAME).read_bytes()

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert learner.fitted is not None
    with pytest.raises(OSError, match="no space"):
        save_fitted(saved, learner.fitted, "another")
    assert (saved / FILE_NAME).read_bytes() == before


def test_the_model_of_another_run_is_ignored(learner: Learner, saved: Path) -> None:
    assert load_fitted(saved, learner, "another") is None


def test_the_model_of_an_earlier_state_is_ignored(learner: Learner, saved: Path) -> None:
    fast.steps(learner, 1)
    assert load_fitted(saved, learner, learner.spec.key) is None
    learner.undo()
    assert load_fitted(saved, learner, learner.spec.key) is not None
    learner.undo()
    assert load_fitted(saved, learner, learner.spec.key) is None


def test_no_file_is_no_model(learner: Learner, tmp_path: Path) -> None:
    assert load_fitted(tmp_path / "nowhere", learner, learner.spec.key) is None


@pytest.mark.parametrize("kept", [0.0, 0.00001, 0.001, 0.5, 0.9999])
def test_a_file_cut_short_is_ignored(learner: Learner, saved: Path, kept: float) -> None:
    whole = (saved / FILE_NAME).read_bytes()
    (saved / FILE_NAME).write_bytes(whole[: int(len(whole) * kept)])
    assert load_fitted(saved, learner, learner.spec.key) is None


def test_a_folder_or_another_kind_of_file_in_its_place_is_ignored(
    learner: Learner, tmp_path: Path
) -> None:
    (tmp_path / FILE_NAME).write_text("weights")
    assert load_fitted(tmp_path, learner, learner.spec.key) is None
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / FILE_NAME).mkdir()
    assert load_fitted(tmp_path, learner, learner.spec.key) is None


@pytest.mark.parametrize("facts", [None, "{", "[]", "{}", "just the run"])
def test_facts_of_another_version_are_ignored(
    learner: Learner, tmp_path: Path, facts: str | None
) -> None:
    if facts == "just the run":
        facts = json.dumps({"spec": learner.spec.key, "after": learner.after})
    weights = {name: torch.clone(w) for name, w in learner.fresh_model().state_dict().items()}
    weights = {name: w.contiguous() for name, w in weights.items()}
    save_file(weights, tmp_path / FILE_NAME, metadata={"dal": facts} if facts else None)
    assert load_fitted(tmp_path, learner, learner.spec.key) is None


def test_weights_of_another_shape_are_ignored(learner: Learner, saved: Path) -> None:
    assert learner.fitted is not None
    learner.fitted.model.dense3 = torch.nn.Linear(84, 3)
    save_fitted(saved, learner.fitted, learner.spec.key)
    assert load_fitted(saved, learner, learner.spec.key) is None
