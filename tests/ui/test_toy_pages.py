"""The pages with a data set that shares nothing with MNIST: three classes, colours, no test set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dal_core.data.base import ImageDataset
from dal_core.protocol.parameters import override
from dal_core.protocol.presets import PRESETS
from dal_core.store.base import Store
from dal_ui.components import grid
from dal_ui.label import actions
from dal_ui.shared import person, runtime
from tests import toys
from tests.ui_kit import InlineWorkers, open_query, right_labels, submission

APP = str(Path(__file__).resolve().parents[2] / "app.py")

pytestmark = pytest.mark.usefixtures("workers")


@pytest.fixture
def toy() -> Iterator[ImageDataset]:
    with toys.registered() as dataset:
        yield dataset
    runtime.dataset.clear()


def page(store: Store, name: str, run_id: str = "", **address: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.session_state[person.NAME] = "Ann"
    if name != "label":
        app = app.run().switch_page(f"pages/{name}.py")
    for key, value in {"run": run_id, **address}.items():
        if value:
            app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def everything(app: AppTest) -> str:
    """All that the page says, options and headings included."""
    kinds: Any = (app.markdown, app.caption, app.error, app.warning, app.info, app.success)
    parts = [element.value for kind in kinds for element in kind]
    parts += [element.value for element in (*app.title, *app.header, *app.subheader)]
    parts += [element.label for element in (*app.button, *app.expander, *app.selectbox)]
    parts += [frame.value.to_string() for frame in app.dataframe if "parameter" not in frame.value]
    return "\n".join(parts)


def says_nothing_it_cannot_know(said: str) -> None:
    assert "digit" not in said.lower() and "MNIST" not in said
    assert "accuracy" not in said.lower() and "right at" not in said
    assert "nan" not in said.split()


def run_of(store: Store, dataset: ImageDataset, name: str = toys.NAME) -> str:
    """A person's run whose first query is open."""
    protocol = override(PRESETS["quick"], {**toys.SETTINGS, "dataset": name})
    run_id = actions.start_run(store, dataset, protocol, "bald", 1, "Ann")
    InlineWorkers(store).work(run_id)
    return run_id


@pytest.mark.parametrize("name", [toys.NAME, toys.PARTLY])
def test_the_toy_is_labelled_by_the_names_of_its_classes(
    store: Store, toy: ImageDataset, name: str
) -> None:
    dataset = toys.dataset(name)
    run_id = run_of(store, dataset, name)
    query = open_query(store.log(run_id))
    app = page(store, "label", run_id, plain="1")
    boxes = [box for box in app.selectbox if box.label.startswith("Image ")]
    assert boxes[0].options == ["stop", "yield", "go", "can't tell"]
    says_nothing_it_cannot_know(everything(app))
    truth = toys.truth()
    for box, image_id in zip(boxes, query.shown(), strict=True):
        box.set_value(toys.CLASS_NAMES[truth[image_id]])
    next(b for b in app.button if b.label == "Submit 5 labels").click().run()
    assert not app.exception
    assert dict(store.log(run_id).labels()) == {i: int(truth[i]) for i in query.shown()}
    InlineWorkers(store).work(run_id)
    app.run()
    says_nothing_it_cannot_know(everything(app))
    assert any(f"**{one}**" in everything(app) for one in toys.CLASS_NAMES)
    next(b for b in app.button if b.label == "Review").click().run()
    assert not app.exception
    (table,) = [frame.value for frame in app.dataframe if "your label" in frame.value]
    assert set(table["your label"]) <= set(toys.CLASS_NAMES)
    says_nothing_it_cannot_know(everything(app))


def test_the_grid_of_the_toy_has_a_key_and_a_button_for_each_class(
    store: Store, toy: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[dict[str, Any]] = []
    monkeypatch.setattr(
        grid.st.components.v2, "component", lambda *_, **__: lambda **sent: drawn.append(sent)
    )
    page(store, "label", run_of(store, toy))
    data = next(one["data"] for one in reversed(drawn) if one["key"] == "label_grid")
    assert [one["name"] for one in data["classes"]] == ["stop", "yield", "go"]
    assert [one["key"] for one in data["classes"]] == ["0", "1", "2"]
    assert all(one["src"].startswith("data:image/png;base64,") for one in data["images"])
    assert data["batch_size"] == 5 and not data["disabled"]


def test_a_run_on_the_toy_needs_no_baseline_and_without_all_labels_no_oracle(
    store: Store, toy: ImageDataset
) -> None:
    page(store, "label", run_of(store, toy))
    assert [run.kind for run in store.runs()] == ["person"]
    app = page(store, "label", run_of(store, toys.dataset(toys.PARTLY), toys.PARTLY))
    assert "The next batch" not in [button.label for button in app.button]


@pytest.mark.parametrize("view", ["One image", "All functions, one model", "A map of the pool"])
def test_the_toy_is_explained_with_the_names_of_its_classes(
    store: Store, toy: ImageDataset, view: str
) -> None:
    run_id = run_of(store, toy)
    query = open_query(store.log(run_id))
    app = AppTest.from_file(APP, default_timeout=60).run().switch_page("pages/explain.py")
    app.query_params["run"] = run_id
    app.session_state["explain-view"] = view
    app.run()
    assert not app.exception
    said = everything(app)
    says_nothing_it_cannot_know(said)
    if view == "One image":
        name = toys.CLASS_NAMES[toys.truth()[query.shown()[0]]]
        assert f"Label in the data set: **{name}**" in said
        assert "Draw one" not in [pill for group in app.button_group for pill in group.options]


def test_the_replay_of_the_toy_shows_its_labels_and_no_test_results(
    store: Store, toy: ImageDataset
) -> None:
    run_id = run_of(store, toy)
    log = store.log(run_id)
    query = open_query(log)
    labels = right_labels(query, toy)
    actions.submit(store, log, submission(query, labels), "Ann")
    InlineWorkers(store).work(run_id)
    app = AppTest.from_file(APP, default_timeout=60).run().switch_page("pages/explain.py")
    app.query_params["run"] = run_id
    app.session_state["explain-view"] = "Replay"
    app.run()
    assert not app.exception
    said = everything(app)
    assert "#### BALD" in said and "mistakes are coloured" not in said


def test_the_runs_page_lists_the_toy(store: Store, toy: ImageDataset) -> None:
    run_id = run_of(store, toy)
    table = page(store, "runs", run_id).dataframe[0].value
    assert list(table["data set"]) == ["toy"] and table["accuracy"].isna().all()
