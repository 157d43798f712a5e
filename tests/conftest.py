"""What every test stands on: a home of its own, one thread, and a Chromium where one is needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dal_core.data.base import ImageDataset

# Before torch is imported anywhere, subprocesses included: results differ in bits between one and
# two threads. As a variable it costs the tests that need no torch no import of it.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests share a process under `pytest -n`: those of a file, and all in a browser.

    A file's fixtures are then made once. Browser tests wait for the same two cores, so two at once
    would measure each other.
    """
    for item in items:
        in_browser = item.get_closest_marker("browser") is not None
        item.add_marker(pytest.mark.xdist_group("browser" if in_browser else str(item.path)))


@pytest.fixture(autouse=True)
def dal_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store of this test alone; nobody's runs are read or written."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("DAL_HOME", str(home))
    return home


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of these tests alone, also for their subprocesses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def mnist5k() -> ImageDataset:
    """The embedded images; read-only, so one copy serves all tests."""
    from dal_core.data import catalogue

    return catalogue.load("mnist5k")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's Chromium; without one the test skips, or fails where it is required."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        reason = f"no Chromium on the path (looked for {', '.join(BROWSERS)})"
        if os.environ.get("DAL_REQUIRE_BROWSER") == "1":
            pytest.fail(f"DAL_REQUIRE_BROWSER=1, but {reason}", pytrace=False)
        pytest.skip(reason)
    return path
