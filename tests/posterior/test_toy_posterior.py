"""A posterior that only a test registers works in runs and on the pages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest
from torch import Tensor

from dal_core.cli import main
from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.experiments.stacked_runs import conduct
from dal_core.explain.passes import new_passes
from dal_core.explain.step import stored_step
from dal_core.posterior import base
from dal_core.posterior.base import LabelledImages, Posterior, PosteriorModel, Seeds
from dal_core.protocol import posteriors
from dal_core.protocol.parameters import ProtocolError
from dal_core.protocol.posteriors import PosteriorEntry
from dal_core.run.next_task import Task, next_task
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_core.training.loop import Training, Watch
from dal_ui.shared import person, runtime
from tests import experiment_kit, fast
from tests.experiment_kit import FAST, measures, new_run
from tests.ui_kit import asked_run

NAME = "noisy_means"
ENTRY = PosteriorEntry(
    name=NAME,
    title="Noisy means",
    hint="the nearest class mean, with a little noise",
    sample="the class means with new noise",
    source="made for a test",
    row="draw",
    rows="draws",
    origin="The mean of each class is shifted by a little noise. Each row below is one draw",
    trains_network=False,
)
APP = str(Path(__file__).resolve().parents[2] / "app.py")


class NoisyMeans(Posterior):
    """The mean image of each class; a draw shifts them by a little noise."""

    def fit(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        seeds: Seeds,
        *,
        validation: LabelledImages | None = None,
        batch_size: int | None = None,
        watch: Watch | None = None,
    ) -> NoisyMeansModel:
        pixels = images.reshape(len(images), -1).astype(np.float32) / 255
        means = [pixels[labels == c].mean(0) for c in range(self.kind.n_classes)]
        return NoisyMeansModel(np.stack(means), Training((0.5,), (), None, 0.0))

    def load(self, arrays: Mapping[str, np.ndarray], training: Training) -> NoisyMeansModel:
        return NoisyMeansModel(arrays["means"], training)


class NoisyMeansModel(PosteriorModel):
    def __init__(self, means: np.ndarray, training: Training) -> None:
        self.means, self.training = means, training

    def sample(self, images: np.ndarray, k: int, seed: int, consistent: bool = False) -> Tensor:
        pixels = torch.from_numpy(self.features(images))  # [N, F]
        generator, probs = torch.Generator().manual_seed(seed), []
        for _ in range(k):
            means = torch.from_numpy(self.means)
            means = means + 0.1 * torch.randn(means.shape, generator=generator)
            probs.append(torch.softmax(-(torch.cdist(pixels, means) ** 2), -1))
        return torch.stack(probs)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"means": self.means}


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    base.register(ENTRY, NoisyMeans)
    yield
    base.unregister(NAME)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def test_a_run_is_fitted_asked_and_measured_with_it(store: Store, mnist5k: ImageDataset) -> None:
    run = new_run(store, mnist5k, posterior=NAME)
    steps = list(advance(Workbench(store), run.run_id))
    assert [step.n_labelled for step in steps] == [20, 30, 40]
    assert all(step.accuracy is not None and step.accuracy > 0.5 for step in steps)
    assert steps[0].train_loss == 0.5
    again = store.run(run.run_id)
    assert again.spec == run.spec and again.spec.protocol.posterior == NAME
    other = new_run(store, mnist5k)
    assert run.spec.key != other.spec.key


def test_its_models_come_back_from_the_disk(store: Store, mnist5k: ImageDataset) -> None:
    run_id = new_run(store, mnist5k, posterior=NAME).run_id
    list(advance(Workbench(store), run_id))
    step = stored_step(store.home, store.log(run_id), mnist5k)
    assert step is not None and isinstance(step.model, NoisyMeansModel)
    assert new_passes(step, mnist5k.images[0], 3).shape == (3, 10)
    with pytest.raises(ValueError, match=f"posterior {NAME} has no dropout rates"):
        new_passes(step, mnist5k.images[0], 3, (0.1, 0.1))


def test_an_experiment_in_one_process_trains_such_runs_one_by_one(
    store: Store, mnist5k: ImageDataset, tmp_path: Path
) -> None:
    protocol = experiment_kit.protocol(posterior=NAME)
    made = control.create_experiment(
        store, mnist5k, protocol, ("bald", "random"), (1,), full_data=False
    )
    conduct(store, made.experiment_id, torch.device("cpu"), lambda _: None)
    runs = store.experiments.runs(made.experiment_id)
    assert not any(next_task(store.log(run.run_id)).has_work for run in runs)
    alone = open_store(tmp_path / "alone")
    other = new_run(alone, mnist5k, posterior=NAME)
    list(advance(Workbench(alone), other.run_id))
    bald = next(run for run in runs if run.spec.acquisition == "bald")
    assert measures(store, bald.run_id) == measures(alone, other.run_id)


def test_the_command_line_takes_its_name(
    tmp_path: Path, mnist5k: ImageDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {**FAST, "test_subset_size": "all", "posterior": NAME}
    settings = [f"--set={key}={value}" for key, value in changes.items()]
    command = ["run", "--protocol", "quick", "--home", str(tmp_path), "--json", *settings]
    assert main(command) == 0
    steps = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert steps, "a line a step"
    (run,) = open_store(tmp_path).runs()
    assert run.spec.protocol.posterior == NAME


def test_a_person_labels_a_batch_with_it(
    dal_home: Path, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.store.clear()
    store = runtime.store()
    run_id, workers = asked_run(store, mnist5k, posterior=NAME)
    monkeypatch.setattr(runtime, "workers", lambda: workers)
    page = AppTest.from_file(APP, default_timeout=60)
    page.query_params["run"], page.query_params["plain"] = run_id, "1"
    page.session_state[person.NAME] = "Ann"
    page.run()
    boxes = [box for box in page.selectbox if box.label.startswith("Image ")]
    for box, label in zip(boxes, "0123456789", strict=True):
        box.set_value(label)
    next(one for one in page.button if one.label == "Submit 10 labels").click()
    page.run()
    assert not page.exception
    assert store.log(run_id).n_labelled == 30
    workers.work(run_id)
    assert next_task(store.log(run_id)).task is Task.WAIT
    runtime.store.clear()


def test_the_explain_page_shows_its_samples(dal_home: Path, mnist5k: ImageDataset) -> None:
    store = open_store(dal_home)
    run_id, _ = asked_run(store, mnist5k, posterior=NAME)
    assert next_task(store.log(run_id)).task is Task.WAIT
    page = AppTest.from_file(APP, default_timeout=60).run().switch_page("pages/explain.py")
    page.query_params["run"] = run_id
    page.run()
    assert not page.exception
    query = store.log(run_id).open_query
    assert query is not None
    assert any(f"Image {query.ranking[0]}." in one.value for one in page.caption)
    titles = [slider.label for slider in page.slider]
    assert "Draws T" in titles and not any("ropout" in title for title in titles)


def test_an_unknown_one_is_refused_in_one_line() -> None:
    with pytest.raises(ProtocolError) as error:
        fast.protocol(posterior="guess")
    assert str(error.value) == f"posterior is 'guess'; allowed: {', '.join(posteriors.names())}"
    assert NAME in posteriors.names()


def described(**changes: Any) -> str:
    from dal_core.protocol.presets import describe_protocol

    return describe_protocol(experiment_kit.protocol(**changes))


def test_it_is_named_where_the_protocol_is_described() -> None:
    assert f"posterior={NAME}" in described(posterior=NAME)
    assert "posterior" not in described()
