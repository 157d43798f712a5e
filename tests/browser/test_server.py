"""What the server lets a browser do: only its own pages, with the code, nothing from outside."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.record_file.io import dump_record
from dal_core.store.base import Store
from dal_ui.label import actions
from tests import fast
from tests.browser.conftest import ROOT, StreamlitServer
from tests.report_record import report_record
from tests.ui_kit import open_query, right_labels, submission

pytestmark = pytest.mark.browser

WORK_MS = 120_000  # a loaded machine is no reason to fail
CODE = "AB3CD-EF4GH"
OPEN_SOCKET = """
(url) => new Promise((done) => {
  const socket = new WebSocket(url, ["streamlit"]);
  socket.onopen = () => done("open");
  socket.onerror = () => done("refused");
})
"""


@pytest.fixture(scope="module")
def run_id(store: Store, mnist5k: ImageDataset) -> str:
    """A labelled run with a model."""
    run_id = actions.start_run(store, mnist5k, fast.protocol(), "bald", 1, "Ann")
    bench = Workbench(store)
    list(advance(bench, run_id))
    log = store.log(run_id)
    labels = right_labels(open_query(log), mnist5k)
    actions.submit(store, log, submission(open_query(log), labels), "Ann")
    list(advance(bench, run_id))
    return run_id


@pytest.fixture(scope="module")
def shared(
    start_server: Callable[..., StreamlitServer], browser: Browser, home: Path
) -> StreamlitServer:
    """The same runs, shared with a code and on a sub-path."""
    return start_server(
        ROOT / "app.py",
        DAL_HOME=str(home),
        DAL_SHARE_CODE=CODE,
        STREAMLIT_SERVER_BASE_URL_PATH="labs/dal",
    )


@pytest.fixture
def refused(page: Page) -> list[str]:
    """What the page tried to load against the policy."""
    said: list[str] = []
    page.on("console", lambda one: said.append(one.text) if "Security" in one.text else None)
    return said


def test_every_page_works_under_the_content_security_policy_and_asks_nobody_else(
    page: Page,
    server: StreamlitServer,
    store: Store,
    run_id: str,
    refused: list[str],
    tmp_path: Path,
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    charts = page.locator("[data-testid=stVegaLiteChart] :is(canvas, svg)")
    page.goto(f"{server.url}/label?run={run_id}")
    expect(page.locator(".cell[data-image-id]")).to_have_count(10, timeout=WORK_MS)
    expect(charts.first).to_be_visible(timeout=WORK_MS)
    page.get_by_role("button", name="Review").click()
    expect(page.locator("[data-testid=stDataFrame] canvas").first).to_be_visible(timeout=WORK_MS)
    page.get_by_text("Protocol and downloads").click()
    with page.expect_download() as labels:
        page.get_by_role("button", name="Labels (CSV)").click()
    assert labels.value.suggested_filename.endswith("labels.csv")
    page.goto(f"{server.url}/explain?run={run_id}")
    expect(charts.first).to_be_visible(timeout=WORK_MS)
    page.get_by_text("Draw one").click()
    expect(page.locator(".drawing-canvas canvas")).to_be_visible(timeout=WORK_MS)
    page.goto(f"{server.url}/runs")
    expect(page.locator("[data-testid=stDataFrame] canvas").first).to_be_visible(timeout=WORK_MS)
    page.goto(f"{server.url}/reproduce")
    page.get_by_role("radio", name="Open a record file").click(timeout=WORK_MS)
    (tmp_path / "theirs.yaml").write_text(dump_record(report_record()))
    page.locator("input[type=file]").set_input_files(tmp_path / "theirs.yaml")
    page.get_by_role("tab", name="Figures").click(timeout=WORK_MS)
    expect(charts.first).to_be_visible(timeout=WORK_MS)
    assert not refused
    own = (server.url, "data:", f"blob:{server.url}")
    assert [url for url in asked if not url.startswith(own)] == []


def test_a_page_cannot_be_framed_nor_spoken_to_by_another_server(
    browser: Browser, server: StreamlitServer, shared: StreamlitServer, run_id: str
) -> None:
    socket = server.url.replace("http", "ws") + "/_stcore/stream"
    with browser.new_context(bypass_csp=True) as context:
        stranger = context.new_page()
        stranger.goto(shared.url)  # the same machine, another port
        assert stranger.evaluate(OPEN_SOCKET, socket) == "refused"
        stranger.goto(server.url)
        assert stranger.evaluate(OPEN_SOCKET, socket) == "open"
        stranger.goto(shared.url)
        stranger.set_content(f"<iframe src='{server.url}/label?run={run_id}'></iframe>")
        expect(stranger.frame_locator("iframe").locator(".cell")).to_have_count(0)
        assert "refused to connect" in stranger.frames[1].content()


def test_a_shared_server_on_a_sub_path_asks_for_its_code_once_and_opens_the_deep_link(
    browser: Browser, shared: StreamlitServer, run_id: str
) -> None:
    with browser.new_context(viewport={"width": 390, "height": 800}) as context:
        page = context.new_page()
        page.goto(f"{shared.url}/labs/dal/label?run={run_id}")
        page.get_by_label("Code").fill("wrong")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("alert")).to_have_text("This is not the code.")
        page.get_by_label("Code").fill(CODE.lower())
        page.keyboard.press("Enter")
        expect(page.locator(".cell[data-image-id]")).to_have_count(10, timeout=WORK_MS)
        assert page.url == f"{shared.url}/labs/dal/label?run={run_id}"
        second = context.new_page()
        second.goto(f"{shared.url}/labs/dal/explain?run={run_id}")
        expect(second.get_by_role("tab", name="Replay")).to_be_visible(timeout=WORK_MS)
        assert re.fullmatch(r"dal_share_\d+", context.cookies()[0]["name"])
        assert context.cookies()[0]["httpOnly"]
    with browser.new_context() as context:  # somebody else
        stranger = context.new_page()
        stranger.goto(f"{shared.url}/labs/dal/label?run={run_id}")
        expect(stranger.get_by_label("Code")).to_be_visible()
        socket = f"{shared.url.replace('http', 'ws')}/labs/dal/_stcore/stream"
        with browser.new_context(bypass_csp=True) as free:
            tab = free.new_page()
            tab.goto(f"{shared.url}/labs/dal/")
            assert tab.evaluate(OPEN_SOCKET, socket) == "refused"
