"""Who labels: the name is the session's, and what others count on is not changed by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.run.ownership import RunReadOnly
from dal_core.store.base import Store
from dal_ui.label import actions
from dal_ui.label.view import read_view
from dal_ui.label.words import waiting
from dal_ui.shared import person
from tests import fast
from tests.ui_kit import InlineWorkers, asked_run, new_run, open_query, right_labels, submission

APP = str(Path(__file__).resolve().parents[3] / "app.py")

pytestmark = pytest.mark.usefixtures("workers")


def opened(run_id: str, name: str | None, path: str = "", **state: str) -> AppTest:
    """The run in the plain form, in the browser of a person of that name."""
    page = AppTest.from_file(APP, default_timeout=60)
    page.query_params["run"], page.query_params["plain"] = run_id, "1"
    if name is not None:
        page.session_state[person.NAME] = name
    for key, value in state.items():
        page.session_state[key] = value
    page.run()
    assert not page.exception
    return page


def fields(page: AppTest) -> list[object]:
    return [box for box in page.selectbox if box.label.startswith("Image ")]


def press(page: AppTest, label: str) -> AppTest:
    (button,) = [button for button in page.button if button.label == label]
    button.click().run()
    assert not page.exception
    return page


def label_all(page: AppTest) -> AppTest:
    for box in page.selectbox:
        if box.label.startswith("Image "):
            box.set_value("7")
    return press(page, "Submit 10 labels")


def said(page: AppTest) -> str:
    kinds = (page.markdown, page.caption, page.error, page.warning, page.success, page.info)
    return "\n".join(element.value for kind in kinds for element in kind)


def buttons(page: AppTest) -> list[str]:
    return [button.label for button in page.button]


def annotators(store: Store, run_id: str) -> list[str]:
    return [one.annotator for one in store.log(run_id).submissions]


def experiments_run(store: Store, dataset: ImageDataset, **changes: object) -> str:
    """A run of an experiment that is done."""
    protocol = fast.protocol(**changes)
    made = control.create_experiment(
        store, dataset, protocol, ["bald"], [1], full_data=False, title="ours"
    )
    (run,) = store.experiments.runs(made.experiment_id)
    list(advance(Workbench(store), run.run_id))
    return run.run_id


# Names


def test_who_opens_another_persons_link_labels_under_their_own_name(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    run_id = actions.start_run(store, mnist5k, fast.protocol(), "bald", 1, "Ann's run")
    workers.work(run_id)
    for name in ("Ann", "Ben"):
        label_all(opened(run_id, name))
        workers.work(run_id)
    assert annotators(store, run_id) == ["Ann", "Ben"]
    assert store.run(run_id).title == "Ann's run"


def test_a_person_without_a_name_is_asked_once_before_labelling(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = opened(run_id, None)
    assert "Who labels here?" in said(page)
    assert all(box.disabled for box in page.selectbox if box.label.startswith("Image "))
    page.text_input(key="name-asked").set_value("   ")
    press(page, "Label under this name")
    assert "your name is ' '; allowed: a name that is not blank." in said(page)
    page.text_input(key="name-asked").set_value(" Cleo ")
    press(page, "Label under this name")
    assert "Who labels here?" not in said(page)
    label_all(page)
    assert annotators(store, run_id) == ["Cleo"]


def test_a_changed_name_is_stored_with_later_labels_only(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    page = label_all(opened(run_id, "Ann"))
    workers.work(run_id)
    page.run()
    page.text_input(key="name-Ann").set_value("Ben")
    label_all(press(page, "Change"))
    assert annotators(store, run_id) == ["Ann", "Ben"]


def test_the_browser_is_told_what_to_remember(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[dict[str, str]] = []
    monkeypatch.setattr("dal_ui.components.memory.remember", kept.append)
    run_id, _ = asked_run(store, mnist5k)
    label_all(opened(run_id, "Ann"))
    assert kept[-1] == {person.NAME: "Ann", person.LAST_RUN: run_id}


@pytest.mark.parametrize("cookie", ["", "%20", "%1B%5B31m", "x" * 300])
def test_a_cookie_that_holds_no_name_counts_as_none(
    monkeypatch: pytest.MonkeyPatch, cookie: str
) -> None:
    monkeypatch.setattr(person.st, "session_state", {})
    monkeypatch.setattr(
        person.st, "context", type("Context", (), {"cookies": {person.NAME: cookie}})
    )
    assert person.name() is None and person.name_or_unknown() == "unknown"
    monkeypatch.setattr(
        person.st, "context", type("Context", (), {"cookies": {person.NAME: "Zo%C3%AB%3B"}})
    )
    assert person.name() == "Zoë;"


# Read-only runs


def test_a_run_of_an_experiment_is_read_only_and_forked_to_go_on_by_hand(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    run_id = experiments_run(store, mnist5k)
    before = store.log(run_id)
    page = opened(run_id, "Ann")
    assert "belongs to experiment" in said(page) and "fork it to go on by hand" in said(page)
    assert not {"Undo the last batch", "Review", "The next batch"} & set(buttons(page))
    assert all(box.disabled for box in page.selectbox if box.label.startswith("Image "))
    assert [run.run_id for run in store.runs()] == [run_id]  # no baseline was made
    press(page, "Fork it to go on by hand")
    (made,) = [run for run in store.runs() if run.kind == "person"]
    assert page.query_params["run"] == [made.run_id]
    assert (made.forked_from, made.title) == (run_id, f"by hand from {run_id}")
    assert store.log(made.run_id).labels() == before.labels()
    assert store.log(run_id) == before
    workers.work(made.run_id)
    page.run()
    label_all(page)
    assert store.log(made.run_id).answerers == ("oracle", "person Ann")
    assert store.log(run_id) == before


def test_actions_on_a_read_only_run_are_refused_below_the_page(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = experiments_run(store, mnist5k, n_acquisition_steps=1)
    log = store.log(run_id)
    for act in (
        lambda: actions.undo(store, log),
        lambda: actions.hand_over(store, log, 1),
        lambda: actions.take_back(store, run_id),
    ):
        with pytest.raises(RunReadOnly, match="fork it to go on by hand"):
            act()
    assert "fork it to go on by hand" in actions.undo_if_last(store, run_id, log.after)
    assert store.log(run_id) == log


def test_a_run_that_has_asked_for_everything_is_forked_with_more_batches(
    store: Store, mnist5k: ImageDataset
) -> None:
    run_id = experiments_run(store, mnist5k, n_acquisition_steps=1)
    made = actions.fork_by_hand(store, mnist5k, store.log(run_id))
    assert store.run(made).spec.protocol.n_acquisition_steps == 1 + actions.MORE_BATCHES
    InlineWorkers(store).work(made)
    log = store.log(made)
    labels = right_labels(open_query(log), mnist5k)
    assert actions.submit(store, log, submission(open_query(log), labels), "Ann").status == "saved"


# Which run is opened


def test_from_another_page_label_opens_the_run_labelled_last_and_not_an_experiments(
    store: Store, mnist5k: ImageDataset, workers: InlineWorkers
) -> None:
    other, mine = experiments_run(store, mnist5k), new_run(store, mnist5k)
    for last, expected in ((mine, [mine]), (other, None), ("gone", None)):
        page = AppTest.from_file(APP, default_timeout=60)
        page.session_state[person.LAST_RUN] = last
        page.run().switch_page("pages/explain.py")
        page.query_params["run"] = other
        page.run()
        del page.query_params["run"]  # as the navigation does
        page.switch_page("pages/label.py").run()
        assert not page.exception
        assert page.query_params.get("run") == expected


def test_a_new_session_opens_the_run_labelled_last_and_new_run_the_start_form(
    store: Store, mnist5k: ImageDataset
) -> None:
    mine = new_run(store, mnist5k)
    page = AppTest.from_file(APP, default_timeout=60)
    page.session_state[person.NAME] = "Ann"
    page.session_state[person.LAST_RUN] = mine
    page.run()
    assert page.query_params["run"] == [mine]
    press(page, "New run")
    assert "run" not in page.query_params and "Start labelling" in buttons(page)
    page.run()
    assert "Start labelling" in buttons(page)


# What a run waits for


def test_a_run_that_nobody_works_on_says_what_it_waits_for(
    store: Store, mnist5k: ImageDataset
) -> None:
    mine, _ = asked_run(store, mnist5k)
    assert waiting(read_view(store, mine)) == "Label the images that BALD has chosen."
    store.set_directives(mine, paused=True)
    assert "Press *Go on*" in waiting(read_view(store, mine))
    page = press(opened(mine, "Ann"), "Go on")
    assert not store.run(mine).paused and "Go on" not in buttons(page)
    other = experiments_run(store, mnist5k)
    (experiment_id,) = store.experiments.of_run(other)
    for directives in ({"paused": True}, {"paused": False, "oracle_until": None}):
        store.set_directives(other, **directives)
        text = waiting(read_view(store, other))
        assert experiment_id in text and "Press *Resume*" in text
    store.experiments.delete(experiment_id)
    assert f"`dal run --resume {other}` continues." in waiting(read_view(store, other))
