"""How few files a label passes through from `pages/label.py` to the stored answer.

The files whose functions run from the first line of the page, with ten labels that the grid's
script has sent, until `Store.submit` has saved them. Drawing comes after that.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dal_core.data.base import ImageDataset
from dal_core.store.base import Store
from dal_ui.components import grid
from dal_ui.shared import person
from tests.ui_kit import asked_run, open_query, right_labels

ROOT = Path(__file__).resolve().parents[3]
PAGE = "pages/label.py"
MOST_FILES = 20

pytestmark = pytest.mark.usefixtures("workers")


class Walk:
    """The project's files whose functions run, from the page on until `Store.submit` has saved."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.saved = False

    def __call__(self, frame: FrameType, event: str, result: Any) -> None:
        code = frame.f_code
        if self.saved or not code.co_filename.startswith(str(ROOT)):
            return
        name = Path(code.co_filename).relative_to(ROOT).as_posix()
        if event == "call" and self._counts(name):
            self.files.append(name)
        elif event == "return" and name.startswith("dal_core/store/") and code.co_name == "submit":
            self.saved = getattr(result, "status", "") == "saved"

    def _counts(self, name: str) -> bool:
        """Whether a file is a new one on the walk, which begins with the page."""
        has_begun = bool(self.files) or name == PAGE
        return has_begun and name not in self.files and not name.startswith("tests/")


def walk_of_ten_answers(
    store: Store, dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> Walk:
    """The page receives ten right answers from the grid and stores them."""
    run_id, _ = asked_run(store, dataset)
    query = open_query(store.log(run_id))
    labels = right_labels(query, dataset)
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    page.query_params["run"] = run_id
    page.session_state[person.NAME] = "Ann"
    page.run()  # the query is on screen
    sent = {
        "nonce": "0123456789abcdef",
        "query_id": query.query_id,
        "answers": {str(image_id): label for image_id, label in labels.items()},
        "skipped": [],
        "ms": {},
    }
    monkeypatch.setattr(grid, "_state", lambda key, name: sent if name == "submission" else None)
    walk = Walk()
    threading.setprofile(walk)  # Streamlit runs the script in a thread of its own
    try:
        page.run()
    finally:
        threading.setprofile(None)
        sys.setprofile(None)
    assert not page.exception
    assert dict(store.log(run_id).labels()) == labels
    return walk


def test_a_label_passes_through_few_files_from_the_page_to_the_store(
    store: Store, mnist5k: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = walk_of_ten_answers(store, mnist5k, monkeypatch)
    print("\n".join(walk.files))
    assert walk.saved
    assert walk.files[0] == PAGE and "dal_ui/label/actions.py" in walk.files
    assert len(walk.files) <= MOST_FILES, walk.files
