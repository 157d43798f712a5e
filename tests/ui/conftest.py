"""The store that the pages show, and workers that are no processes: a test does the work itself.

A file whose tests all open pages says `pytestmark = pytest.mark.usefixtures("workers")`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dal_core.store.base import Store
    from tests.ui_kit import InlineWorkers


@pytest.fixture
def store(dal_home: Path) -> Iterator[Store]:
    """The store the pages use, in this test's home."""
    from dal_ui.shared import runtime

    runtime.store.clear()
    yield runtime.store()
    runtime.store.clear()


@pytest.fixture
def workers(store: Store, monkeypatch: pytest.MonkeyPatch) -> InlineWorkers:
    """Stands in for the pages' worker processes."""
    from dal_ui.shared import runtime
    from tests.ui_kit import InlineWorkers

    inline = InlineWorkers(store)
    monkeypatch.setattr(runtime, "workers", lambda: inline)
    return inline
