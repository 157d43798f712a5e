"""What the grid sends is stored, or the page says what became of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dal_core.data.base import ImageDataset
from dal_core.run.events import Query
from dal_core.run.rows import StoreFailed
from dal_core.store.base import Store
from dal_ui.components import grid
from dal_ui.label import actions, words
from dal_ui.shared import person
from tests.ui_kit import InlineWorkers, asked_run, open_query, right_labels, submission

APP = str(Path(__file__).resolve().parents[3] / "app.py")

pytestmark = pytest.mark.usefixtures("workers")


class Browser:
    """Ann's tab on a run; it repeats what the grid sent with every redraw, as Streamlit does."""

    def __init__(self, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app = AppTest.from_file(APP, default_timeout=60)
        self.app.query_params["run"] = run_id
        self.app.session_state[person.NAME] = "Ann"
        self._sent: object = None
        monkeypatch.setattr(
            grid, "_state", lambda key, name: self._sent if name == "submission" else None
        )

    def send(self, query: Query, labels: dict[int, int]) -> str:
        """The grid sends; returns what the page says then."""
        nonce = "0123456789abcdef"
        answers = {str(image_id): label for image_id, label in labels.items()}
        self._sent = {"nonce": nonce, "query_id": query.query_id, "answers": answers}
        self._sent |= {"skipped": [], "ms": {}}
        return self.draw()

    def draw(self) -> str:
        self.app.run()
        assert not self.app.exception
        shown = (self.app.markdown, self.app.error, self.app.warning, self.app.toast)
        return "\n".join(str(one.value) for kind in shown for one in kind)


def second_query(store: Store, dataset: ImageDataset) -> tuple[str, Query]:
    """A run with one answered batch, and the query after it."""
    run_id, workers = asked_run(store, dataset)
    first = open_query(store.log(run_id))
    actions.take(store, run_id, submission(first, right_labels(first, dataset)), "Ann")
    workers.work(run_id)
    return run_id, open_query(store.log(run_id))


def test_labels_of_a_batch_that_another_tab_took_back_are_not_stored_and_the_page_says_so(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, query = second_query(store, mnist5k)
    tab = Browser(run_id, monkeypatch)
    assert words.DROPPED not in tab.draw()
    actions.undo(store, store.log(run_id))  # another tab
    before = store.log(run_id).labels()
    assert words.DROPPED in tab.send(query, right_labels(query, mnist5k))
    assert tab.app.session_state["dropped"] == "0123456789abcdef"  # the grid keeps these labels
    assert store.log(run_id).labels() == before
    assert words.DROPPED not in tab.draw()  # said once


def test_labels_that_were_stored_before_their_run_was_left_are_not_called_lost(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, query = second_query(store, mnist5k)
    other = asked_run(store, mnist5k)[0]
    Browser(run_id, monkeypatch).send(query, right_labels(query, mnist5k))
    tab = Browser(other, monkeypatch)
    assert words.DROPPED not in tab.send(query, right_labels(query, mnist5k))
    assert "dropped" not in tab.app.session_state


def test_labels_that_find_no_space_are_stored_once_there_is_some(
    store: Store, workers: InlineWorkers, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, _ = asked_run(store, mnist5k)
    query = open_query(store.log(run_id))
    labels = right_labels(query, mnist5k)
    tab = Browser(run_id, monkeypatch)
    tab.draw()

    def full(*_: object, **__: object) -> None:
        raise StoreFailed("the disk is full; nothing was saved")

    with monkeypatch.context() as patch:
        patch.setattr(store, "submit", full)
        said = tab.send(query, labels)
        assert "Your labels are still on this page." in said and words.DROPPED not in said
        assert "dropped" not in tab.app.session_state
    assert "Your labels are still on this page." not in tab.draw()
    assert dict(store.log(run_id).labels()) == labels
