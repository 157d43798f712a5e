"""No page fails over a damaged run or experiment: it says what is damaged, the rest works."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dal_core.data.base import ImageDataset
from dal_core.protocol.presets import preset
from dal_core.run.rows import StoreFailed
from dal_core.store.base import Store
from dal_core.store.sqlite import read_only
from dal_ui.shared import person, runtime
from tests.ui_kit import asked_run, new_run

APP = str(Path(__file__).resolve().parents[2] / "app.py")
PAGES = {"label": "run", "explain": "run", "runs": "run", "reproduce": "experiment"}

pytestmark = pytest.mark.usefixtures("workers")


def damaged(store: Store, dataset: ImageDataset) -> tuple[str, str, str]:
    """A home with a good run, a damaged run, and a damaged experiment; returns their ids."""
    good, bad = new_run(store, dataset), new_run(store, dataset)
    made = store.experiments.create("pair", preset("quick"), ["bald"], [1], False, [good])
    with sqlite3.connect(store.home / "dal.db") as connection:
        broken = "json_set(protocol, '$.n_epochs', 0)"
        connection.execute(f"UPDATE runs SET protocol = {broken} WHERE run_id = ?", [bad])
        connection.execute(f"UPDATE experiments SET protocol = {broken}")
    connection.close()
    store._logs.forget(bad)  # type: ignore[attr-defined]  # as a server that starts now
    return good, bad, made.experiment_id


def page(name: str, **address: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.session_state[person.NAME] = "Ann"
    app.switch_page(f"pages/{name}.py")
    for parameter, value in address.items():
        app.query_params[parameter] = value
    app.run()
    assert not app.exception
    return app


def texts(app: AppTest) -> str:
    shown = [*app.error, *app.warning, *app.markdown, *app.caption]
    return "\n".join(str(one.value) for one in shown).replace("\\", "")


@pytest.mark.parametrize("name", PAGES)
def test_every_page_works_beside_damaged_rows(
    store: Store, mnist5k: ImageDataset, name: str
) -> None:
    good, bad, _ = damaged(store, mnist5k)
    app = page(name, **({} if name == "reproduce" else {"run": good}))
    assert not app.error, texts(app)
    if name == "runs":
        assert f"run {bad} is damaged: " in texts(app)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_says_in_one_sentence_what_is_damaged(
    store: Store, mnist5k: ImageDataset, name: str
) -> None:
    _, bad, experiment = damaged(store, mnist5k)
    named = bad if PAGES[name] == "run" else experiment
    app = page(name, **{PAGES[name]: named})
    assert f"{PAGES[name]} {named} is damaged: " in texts(app).lower()
    assert "n_epochs is 0" in texts(app)


def test_a_damaged_run_is_deleted_on_the_runs_page(store: Store, mnist5k: ImageDataset) -> None:
    good, bad, _ = damaged(store, mnist5k)
    app = page("runs")
    app.button(key=f"delete-{bad}").click().run()
    assert not app.exception
    assert store.run_ids() == [good]
    assert "is damaged" not in texts(app)


def test_a_damaged_experiment_is_forgotten_on_the_reproduce_page(
    store: Store, mnist5k: ImageDataset
) -> None:
    _, _, experiment = damaged(store, mnist5k)
    app = page("reproduce")
    assert f"experiment {experiment} is damaged" in texts(app)
    app.button(key=f"forget-{experiment}").click().run()
    assert not app.exception
    assert store.experiments.damaged() == []


def test_a_run_of_an_experiment_says_to_forget_the_experiment_first(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = new_run(store, mnist5k)
    made = store.experiments.create("pair", preset("quick"), ["bald"], [1], False, [run_id])
    app = page("runs", run=run_id)
    app.button(key=f"delete-{run_id}").click().run()
    (warning,) = [str(one.value) for one in app.warning]
    assert made.experiment_id in warning and "Forget the experiment" in warning
    assert "wait" not in warning
    assert store.run_ids() == [run_id]


def test_a_full_disk_at_submit_is_one_sentence_and_the_labels_stay(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    app = page("label", run=run_id, plain="1")

    def fail(*_: object, **__: object) -> None:
        raise StoreFailed("the disk is full; nothing was saved. Free some space and try again")

    boxes = [box for box in app.selectbox if box.label.startswith("Image ")]
    for number, box in enumerate(boxes):
        box.set_value(str(number))
    monkeypatch.setattr(store, "submit", fail)
    monkeypatch.setattr(store, "create_run", fail)
    next(button for button in app.button if "ubmit" in button.label).click().run()
    assert not app.exception
    assert "Your labels are still on this page." in texts(app)
    boxes = [box for box in app.selectbox if box.label.startswith("Image ")]
    assert [box.value for box in boxes] == list("0123456789")


def test_every_page_says_that_the_database_is_damaged(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = new_run(store, mnist5k)
    monkeypatch.setattr(runtime.store(), "damage", "dal.db is damaged (page 7); `dal doctor` helps")
    for name in PAGES:
        app = page(name, **({} if name == "reproduce" else {"run": run_id}))
        assert (
            "dal.db is damaged (page 7); 'dal doctor' helps. What can be read is shown."
            in texts(app)
        )


def test_a_read_only_home_is_shown_and_says_so(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = new_run(store, mnist5k)
    store.close()
    monkeypatch.setattr(read_only, "is_writable", lambda path: False)
    runtime.store.clear()
    for name in PAGES:
        app = page(name, **({} if name == "reproduce" else {"run": run_id}))
        assert "This home is read-only" in texts(app)
        assert not app.error, texts(app)
    assert runtime.store().run_ids() == [run_id]
