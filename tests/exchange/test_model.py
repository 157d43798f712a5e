"""The exported model: anybody's to use, with the script that lies beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load

from dal_core.cli import main
from dal_core.data.base import ImageDataset
from dal_core.exchange import predict
from dal_core.exchange.model import WEIGHTS, NoModel, has_model, model_bytes, predict_script
from dal_core.execution.checkpoints import FILE_NAME
from dal_core.execution.job import Workbench, advance
from dal_core.learner.bayesian_cnn import FittedCNN
from dal_core.models.networks import normalise
from dal_core.posterior.mc_dropout_ensemble import McDropoutEnsembleModel
from dal_core.posterior.network import NetworkModel
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from tests import experiment_kit


def fitted(home: Path, dataset: ImageDataset, model: str, **more: Any) -> tuple[Store, str]:
    store = open_store(home)
    changes: dict[str, Any] = {
        "n_acquisition_steps": 1,
        "which_model": model,
        "n_epochs": 5,
        **more,
    }
    run_id = experiment_kit.new_run(store, dataset, **changes).run_id
    list(advance(Workbench(store), run_id))
    return store, run_id


def test_the_file_that_is_exported_is_the_checkpoints() -> None:
    assert WEIGHTS == FILE_NAME


ONE_NETWORK = ("mc_dropout", "mc_dropconnect", "laplace", "quam")


@pytest.mark.parametrize("posterior", ONE_NETWORK)
@pytest.mark.parametrize("model", ["lenet5", "gal_cnn"])
def test_the_script_predicts_what_the_learner_predicts_with_nothing_dropped(
    mnist5k: ImageDataset, dal_home: Path, tmp_path: Path, model: str, posterior: str
) -> None:
    more: dict[str, Any] = {}
    if posterior == "quam":
        more = {"num_mc_samples": 10, "quam_shortlist": 2}
    store, run_id = fitted(dal_home, mnist5k, model, posterior=posterior, **more)
    out = tmp_path / "model.safetensors"
    assert main(["export", run_id, "--format", "safetensors", "--out", str(out)]) == 0
    bench, log = Workbench(store), store.log(run_id)
    fitted_now = bench.fitted(log.run, bench.labelled(log))
    assert isinstance(fitted_now, FittedCNN) and isinstance(fitted_now.model, NetworkModel)
    images = mnist5k.images[100:140]
    with torch.inference_mode():
        expected = fitted_now.model.network(normalise(images)).softmax(-1)
    found = predict.predict(*predict.read_model(out), images)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.equal(found.argmax(-1), expected.argmax(-1))
    weights, _ = predict.read_model(out)  # and nothing that only the posterior reads
    assert set(weights) == set(fitted_now.model.network.state_dict())

    pictures = []
    for place in (0, 1):
        pictures.append(tmp_path / f"{place}.png")
        Image.fromarray(images[place]).save(pictures[-1])
        assert np.array_equal(predict.read_image(pictures[-1]), images[place])
    said = subprocess.run(  # the copy beside the model, on its own
        [sys.executable, "-I", tmp_path / "predict.py", out, *pictures],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout.splitlines()
    best = expected.max(-1)
    assert said == [
        f"{picture}: {best.indices[place]} ({best.values[place]:.3f})"
        for place, picture in enumerate(pictures)
    ]


@pytest.mark.parametrize(
    "posterior, n_samples", [("ensemble", 3), ("deterministic", 1), ("mc_dropout_ensemble", 3)]
)
def test_the_script_predicts_what_the_learner_predicts_with_whole_networks(
    mnist5k: ImageDataset, dal_home: Path, tmp_path: Path, posterior: str, n_samples: int
) -> None:
    more = {"posterior": posterior, "num_mc_samples": n_samples, "acquisition": "margin"}
    store, run_id = fitted(dal_home, mnist5k, "lenet5", **more)
    out = tmp_path / "model.safetensors"
    out.write_bytes(model_bytes(dal_home, store.log(run_id)))
    bench, log = Workbench(store), store.log(run_id)
    fitted_now = bench.fitted(log.run, bench.labelled(log))
    assert isinstance(fitted_now, FittedCNN)
    images = mnist5k.images[100:140]
    expected = fitted_now.model.sample(images, n_samples, seed=0).mean(0)
    if isinstance(fitted_now.model, McDropoutEnsembleModel):  # the script drops nothing
        expected = torch.stack([one.prediction(images) for one in fitted_now.model.members]).mean(0)
    found = predict.predict(*predict.read_model(out), images)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("model", "names"), [("none.safetensors", "none"), ("text", "header")])
def test_the_script_says_in_one_line_what_it_cannot_read(
    tmp_path: Path, model: str, names: str
) -> None:
    (tmp_path / "predict.py").write_text(predict_script())
    (tmp_path / "text").write_text("this is no model")
    done = subprocess.run(
        [sys.executable, "-I", "predict.py", model, "digit.png"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("predict.py: ") and names in line


def test_the_script_needs_nothing_of_dal() -> None:
    assert "import dal" not in predict_script() and "from dal" not in predict_script()


def test_the_file_says_what_it_is(mnist5k: ImageDataset, dal_home: Path, tmp_path: Path) -> None:
    store, run_id = fitted(dal_home, mnist5k, "lenet5")
    log = store.log(run_id)
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_bytes(dal_home, log))
    with safe_open(path, framework="np") as file:
        about = file.metadata()
    assert about["test_accuracy"] == str(log.steps[-1].accuracy)
    assert (about["model"], about["n_labelled"], about["dataset"], about["run"]) == (
        "lenet5",
        "30",
        "mnist5k",
        run_id,
    )
    assert (about["pixel_mean"], about["pixel_std"], about["dropout"]) == (
        "0.1307",
        "0.3081",
        "0.25 0.5",
    )


def test_a_run_without_a_model_is_refused_in_one_line(
    mnist5k: ImageDataset, dal_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(dal_home)
    run_id = experiment_kit.new_run(store, mnist5k).run_id
    assert not has_model(dal_home, run_id)
    with pytest.raises(NoModel):
        model_bytes(dal_home, store.log(run_id))
    out = tmp_path / "model.safetensors"
    assert main(["export", run_id, "--format", "safetensors", "--out", str(out)]) == 2
    err = capsys.readouterr().err
    assert "has no model yet" in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_is_not_exported_and_said_to_be_damaged(
    mnist5k: ImageDataset, dal_home: Path
) -> None:
    store, run_id = fitted(dal_home, mnist5k, "lenet5")
    path = dal_home / run_id / WEIGHTS
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(NoModel, match=f"run {run_id} has no usable model: .*{WEIGHTS}"):
        model_bytes(dal_home, store.log(run_id))


def test_a_script_that_is_there_already_stays(
    mnist5k: ImageDataset, dal_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, run_id = fitted(dal_home, mnist5k, "lenet5")
    (tmp_path / "predict.py").write_text("mine")
    out = tmp_path / "model.safetensors"
    assert main(["export", run_id, "--format", "safetensors", "--out", str(out)]) == 0
    assert (tmp_path / "predict.py").read_text() == "mine"
    assert f"kept the existing {tmp_path / 'predict.py'}" in capsys.readouterr().err


def test_a_model_can_be_written_to_standard_output(
    mnist5k: ImageDataset, dal_home: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    store, run_id = fitted(dal_home, mnist5k, "lenet5")
    assert main(["export", run_id, "--format", "safetensors", "--out", "-"]) == 0
    written = load(capfdbinary.readouterr().out)
    expected = load(model_bytes(dal_home, store.log(run_id)))
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[name], expected[name]) for name in expected)


def test_the_script_reads_models_exported_before_they_named_shape_and_classes(
    mnist5k: ImageDataset, dal_home: Path
) -> None:
    store, run_id = fitted(dal_home, mnist5k, "lenet5")
    path = dal_home / "model.safetensors"
    path.write_bytes(model_bytes(dal_home, store.log(run_id)))
    weights, about = predict.read_model(path)
    assert (about["image_shape"], about["classes"]) == ("28 28", "0 1 2 3 4 5 6 7 8 9")
    old = {key: about[key] for key in about if key not in ("image_shape", "class_names")}
    assert predict.image_shape(old) == predict.image_shape(about) == (28, 28)
    assert predict.class_names(old) == predict.class_names(about) == list("0123456789")
    images = mnist5k.images[:5]
    assert torch.equal(
        predict.predict(weights, old, images), predict.predict(weights, about, images)
    )
