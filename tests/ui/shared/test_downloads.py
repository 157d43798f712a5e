"""The download buttons of a run: what there is to take away, and what each gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dal_core.data.base import ImageDataset
from dal_core.exchange.predict import predict, read_model
from dal_core.execution.job import Workbench, advance
from dal_core.store.opening import open_store
from dal_ui.shared import downloads, runtime
from tests import experiment_kit


@pytest.fixture(autouse=True)
def _own_store(dal_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached per server, so each test needs its own."""
    store = open_store(dal_home)
    monkeypatch.setattr(runtime, "store", lambda: store)


def page(run_id: str) -> None:
    from dal_ui.shared import runtime
    from dal_ui.shared.downloads import download_buttons

    download_buttons(runtime.store().log(run_id))


def buttons(run_id: str) -> list[str]:
    app = AppTest.from_function(page, args=(run_id,), default_timeout=30).run()
    assert not app.exception
    return [button.proto.label for button in app.get("download_button")]


LABELS = ["Labels (CSV)", "Labels (JSON lines)", "Record (YAML)"]


@pytest.fixture
def run_id(dal_home: Path, mnist5k: ImageDataset) -> str:
    """A run that was fitted once."""
    store = open_store(dal_home)
    run_id = experiment_kit.new_run(store, mnist5k).run_id
    list(advance(Workbench(store), run_id, max_steps=1))
    store.close()
    return run_id


def test_a_run_without_a_model_has_labels_and_a_record(
    dal_home: Path, mnist5k: ImageDataset
) -> None:
    store = open_store(dal_home)
    assert buttons(experiment_kit.new_run(store, mnist5k).run_id) == LABELS


def test_a_run_with_a_model_has_it_too_and_a_script_to_use_it(run_id: str) -> None:
    shown = buttons(run_id)
    assert shown == [*LABELS, "Model (safetensors)", "How to use the model (predict.py)"]


def test_the_model_is_one_that_the_script_reads(
    run_id: str, mnist5k: ImageDataset, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(downloads._model(run_id))
    assert predict(*read_model(path), mnist5k.images[:3]).shape == (3, 10)
