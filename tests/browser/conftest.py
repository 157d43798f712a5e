"""Fixtures of the browser tests: a Streamlit server of its own and a headless Chromium."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_ui.shared.person import NAME

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 60

expect.set_options(timeout=30_000)  # a loaded machine is no reason to fail


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class StreamlitServer:
    """`streamlit run` as a subprocess that can be killed and started again on the same port."""

    def __init__(self, script: Path, env: dict[str, str], log: Path) -> None:
        self.script, self.env, self.log = script, env, log
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "streamlit", "run", str(self.script)]
        command += ["--server.port", str(self.port), "--server.address", "localhost"]
        command += ["--server.headless", "true", "--server.fileWatcherType", "none"]
        command += ["--browser.gatherUsageStats", "false"]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **self.env}
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT
            )
        self._wait_until_healthy(self._process)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _wait_until_healthy(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError as answer:
                if answer.code in (401, 404):  # it asks for a code, or lies on a sub-path
                    return
                time.sleep(0.1)
            except OSError:
                time.sleep(0.1)
        self.kill()
        raise RuntimeError(f"no server at {self.url}; it said: {self.log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium for all tests; each opens contexts of its own."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def start_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., StreamlitServer]]:
    """Starts `streamlit run script` on a free port; all that were started end with the session."""
    servers: list[StreamlitServer] = []

    def start(script: Path, **env: str) -> StreamlitServer:
        log = tmp_path_factory.mktemp("server") / "server.log"
        server = StreamlitServer(script, env, log)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of one test module, on an app of its own."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def store(home: Path) -> Store:
    """The store that the app of the module shows."""
    return open_store(home)


@pytest.fixture(scope="module")
def server(
    start_server: Callable[..., StreamlitServer], browser: Browser, home: Path
) -> StreamlitServer:
    """The app on the module's runs; not started where there is no browser to look at it."""
    return start_server(ROOT / "app.py", DAL_HOME=str(home))


def called(context: BrowserContext, name: str) -> BrowserContext:
    """The browser remembers the name, as after an earlier visit."""
    context.add_cookies([{"name": NAME, "value": name, "domain": "localhost", "path": "/"}])
    return context


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab of Ann's, 1280 x 800, that fails the test when the page throws an error."""
    context = called(browser.new_context(viewport={"width": 1280, "height": 800}), "Ann")
    tab = context.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.set_default_timeout(20_000)
    yield tab
    context.close()
    assert not errors, errors
