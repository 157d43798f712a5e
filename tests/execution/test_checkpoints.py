"""The newest model on disk: the same bits, or none at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.numpy import save_file

from dal_core.data.base import ImageDataset
from dal_core.execution.checkpoints import FILE_NAME, load_fitted, save_fitted
from dal_core.learner.base import Fitted
from dal_core.learner.bayesian_cnn import BayesianCNNLearner, FittedCNN
from dal_core.models.networks import LeNet5
from dal_core.posterior.mc_dropout import McDropoutModel
from tests import fast


@pytest.fixture
def run(mnist5k: ImageDataset) -> fast.Run:
    """A run with one step behind it and a model of 30 labels."""
    run = fast.run(mnist5k, weights="best")
    fast.steps(run, 1)
    run.fit()
    return run


@pytest.fixture
def saved(run: fast.Run, tmp_path: Path) -> Path:
    save_fitted(tmp_path / "run" / FILE_NAME, run.fitted)
    return tmp_path / "run" / FILE_NAME


def loaded(run: fast.Run, path: Path) -> Fitted | None:
    return load_fitted(path, run.learner, run.labelled)


def test_a_model_comes_back_to_the_last_bit(run: fast.Run, saved: Path) -> None:
    restarted = fast.Run(BayesianCNNLearner(run.learner.spec, run.learner.dataset))
    found = loaded(restarted.with_labels_of(run), saved)
    assert isinstance(found, FittedCNN)
    restarted.model = found
    assert fast.same(fast.weights(run.fitted), fast.weights(found))
    assert found.model.training == run.fitted.model.training
    assert fast.measured(restarted.evaluate()) == fast.measured(run.evaluate())
    one, other = restarted.query()[0], run.query()[0]
    assert (one.ranking, one.scores) == (other.ranking, other.scores)


def test_only_the_finished_file_is_left_in_the_folder(saved: Path) -> None:
    assert list(saved.parent.iterdir()) == [saved]


def test_a_save_that_fails_leaves_the_earlier_file(
    run: fast.Run, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        save_fitted(saved, run.fitted)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_the_model_of_another_run_is_ignored(
    run: fast.Run, saved: Path, mnist5k: ImageDataset
) -> None:
    stranger = fast.run(mnist5k, weights="best", seed=2).with_labels_of(run)
    assert loaded(stranger, saved) is None


def test_the_model_of_an_earlier_state_is_ignored(run: fast.Run, saved: Path) -> None:
    fast.steps(run, 1)
    assert loaded(run, saved) is None
    run.undo()
    assert loaded(run, saved) is not None
    run.undo()
    assert loaded(run, saved) is None


def test_no_file_is_no_model(run: fast.Run, tmp_path: Path) -> None:
    assert loaded(run, tmp_path / "nowhere" / FILE_NAME) is None


@pytest.mark.parametrize("kept", [0.0, 0.00001, 0.001, 0.5, 0.9999])
def test_a_file_cut_short_is_ignored(run: fast.Run, saved: Path, kept: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.warns(UserWarning, match="has to be fitted again"):
        assert loaded(run, saved) is None


def test_a_damaged_weight_is_noticed(run: fast.Run, saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-100] ^= 1
    saved.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged: .*; the model has to be fitted again"):
        assert loaded(run, saved) is None


@pytest.mark.filterwarnings("ignore:.*has to be fitted again")
def test_a_folder_or_another_kind_of_file_in_its_place_is_ignored(
    run: fast.Run, tmp_path: Path
) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("weights")
    assert loaded(run, path) is None
    path.unlink()
    path.mkdir()
    assert loaded(run, path) is None


def test_a_file_of_the_first_versions_is_read(run: fast.Run, tmp_path: Path) -> None:
    """Without digests, and from before there were corrections."""
    arrays, facts = run.fitted.dump()
    del facts["corrected"]
    save_file(arrays, tmp_path / FILE_NAME, metadata={"dal": json.dumps(facts)})
    found = loaded(run, tmp_path / FILE_NAME)
    assert found is not None and fast.same(fast.weights(found), fast.weights(run.fitted))


@pytest.mark.parametrize("facts", [None, "{", "[]", "{}", "just the run"])
@pytest.mark.filterwarnings("ignore:.*has to be fitted again")
def test_facts_of_another_version_are_ignored(
    run: fast.Run, tmp_path: Path, facts: str | None
) -> None:
    if facts == "just the run":
        facts = json.dumps({"spec": run.learner.spec.key, "after": run.labelled.after})
    arrays, _ = run.fitted.dump()
    save_file(arrays, tmp_path / FILE_NAME, metadata={"dal": facts} if facts else None)
    assert loaded(run, tmp_path / FILE_NAME) is None


def test_weights_of_another_shape_are_ignored(run: fast.Run, saved: Path) -> None:
    model = run.fitted.model
    assert isinstance(model, McDropoutModel) and isinstance(model.network, LeNet5)
    model.network.dense3 = torch.nn.Linear(84, 3)
    save_fitted(saved, run.fitted)
    assert loaded(run, saved) is None
