"""What every test stands on: a home of its own, one thread, and a Chromium where one is needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dal_core.data.base import ImageDataset

# Before torch is imported anywhere, subprocesses included: results differ in bits between one and
# two threads. As a variable it costs the tests that need no torch no import of it.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.hookimpl(optionalhook=True)  # nothing to decide where pytest-xdist is not installed
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Under `pytest -n`, keep a file's tests in one process, and all browser tests in one.

    A file's fixtures are then made once. Two browser tests at a time would wait for each other's
    workers on the same cores.
    """
    from xdist.scheduler.loadfile import LoadFileScheduling

    class BrowserTestsTogether(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "browser" if "tests/browser/" in nodeid else super()._split_scope(nodeid)

    return BrowserTestsTogether(config, log)


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
