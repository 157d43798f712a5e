"""Markdown and HTML in every field of people and files is shown as text; nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.record_file.build import build_record
from dal_core.record_file.io import dump_record
from dal_core.store.base import Store
from dal_ui.label import actions
from tests import fast
from tests.browser.conftest import StreamlitServer
from tests.report_record import BOUNDS, PROTOCOL, report_record, report_runs
from tests.ui_kit import open_query, right_labels, submission

pytestmark = pytest.mark.browser

WORK_MS = 120_000  # a loaded machine is no reason to fail
HOST = "bait.example"
BAIT = f"![x](http://{HOST}/i.png) [y](http://{HOST}/l) <img src=http://{HOST}/h.png> :smile: `c`"
SHORT = f"![x](//{HOST}/i.png)"
FOUND = f"img[src*='{HOST}'], a[href*='{HOST}'], link[href*='{HOST}'], iframe[src*='{HOST}']"


@pytest.fixture
def watched(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A tab without the Content-Security-Policy, which would hide what a page tries to fetch."""
    with browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True) as context:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        yield page, asked


@pytest.fixture(scope="module")
def run_id(store: Store, mnist5k: ImageDataset) -> str:
    """A run with the bait as its title, a batch answered under it, and a fork of it."""
    run_id = actions.start_run(store, mnist5k, fast.protocol(), "bald", 1, BAIT)
    list(advance(Workbench(store), run_id))
    log = store.log(run_id)
    labels = submission(open_query(log), right_labels(open_query(log), mnist5k))
    actions.submit(store, log, labels, SHORT)
    list(advance(Workbench(store), run_id))
    return run_id


@pytest.fixture(scope="module")
def experiment_id(store: Store, mnist5k: ImageDataset) -> str:
    row = control.create_experiment(
        store, mnist5k, fast.protocol(), ["random"], [7], full_data=False, title=SHORT
    )
    control.pause(store, row.experiment_id)
    return row.experiment_id


def as_text(page: Page, asked: list[str], text: str, where: str) -> None:
    """The page shows the text literally somewhere, and it is `inert`."""
    shown = page.get_by_test_id("stMain").get_by_text(re.compile(re.escape(text[:4])))
    # A table's cells are drawn on a canvas; the hidden ones beside it are for screen readers.
    expect(shown.filter(visible=True).first).to_be_visible(timeout=WORK_MS)
    inert(page, asked, where)


def inert(page: Page, asked: list[str], where: str) -> None:
    """The page holds nothing made of foreign text, and asked nobody."""
    page.wait_for_timeout(500)
    assert page.locator(FOUND).count() == 0, where
    assert [url for url in asked if HOST in url.split("?")[0]] == [], where


def test_titles_and_annotators_are_text_on_every_page(
    watched: tuple[Page, list[str]], server: StreamlitServer, run_id: str, experiment_id: str
) -> None:
    page, asked = watched
    page.goto(f"{server.url}/label?run={run_id}")
    as_text(page, asked, BAIT, "label")
    page.get_by_role("button", name="Review").click()
    page.get_by_text("Protocol and downloads").click()
    as_text(page, asked, BAIT, "review")
    page.get_by_role("button", name="New run").click()
    expect(page.get_by_role("button", name="Start labelling")).to_be_visible(timeout=WORK_MS)
    as_text(page, asked, BAIT, "start")
    page.goto(f"{server.url}/explain?run={run_id}")
    as_text(page, asked, BAIT, "explain")
    page.get_by_role("combobox").first.click()
    expect(page.get_by_role("option").first).to_be_visible()
    as_text(page, asked, BAIT, "the choice of runs")
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Replay").click()
    expect(page.get_by_text("Asked for next").first).to_be_visible(timeout=WORK_MS)
    inert(page, asked, "replay")  # the title stands in lists only
    page.goto(f"{server.url}/runs?run={run_id}")
    as_text(page, asked, BAIT, "runs")
    page.get_by_role("button", name="Delete").click()
    as_text(page, asked, BAIT, "delete")
    page.goto(f"{server.url}/reproduce")
    as_text(page, asked, SHORT, "experiments")
    page.goto(f"{server.url}/reproduce?experiment={experiment_id}")
    as_text(page, asked, SHORT, "experiment")


def test_what_the_address_names_is_text(
    watched: tuple[Page, list[str]], server: StreamlitServer
) -> None:
    page, asked = watched
    for path, name in (("label", "run"), ("explain", "run"), ("runs", "run")):
        page.goto(f"{server.url}/{path}?{name}=%21%5Bx%5D%28http%3A%2F%2F{HOST}%2Fi.png%29")
        as_text(page, asked, "![x](http", path)
    page.goto(
        f"{server.url}/reproduce?experiment=%21%5Bx%5D%28http%3A%2F%2F{HOST}%2Fi.png%29%0A%23a"
    )
    as_text(page, asked, "![x](http", "reproduce")


def test_functions_parameters_and_names_of_foreign_records_are_text(
    watched: tuple[Page, list[str]], server: StreamlitServer, tmp_path: Path
) -> None:
    page, asked = watched
    theirs = report_record()
    baited = [
        replace(run, acquisition=SHORT) if run.acquisition == "bald" else run
        for run in report_runs()
    ]
    text = dump_record(build_record(baited, {**PROTOCOL, "weights": SHORT}, BOUNDS))
    (tmp_path / "_!_x_.yaml").write_text(text)
    (tmp_path / f"{SHORT.replace('/', '')}.yaml").write_text(dump_record(theirs))
    (tmp_path / "cut.yaml").write_text(f"{BAIT}\n")
    page.goto(f"{server.url}/reproduce")
    page.get_by_role("radio", name="Open a record file").click(timeout=WORK_MS)
    upload = page.locator("input[type=file]")
    upload.set_input_files(tmp_path / "_!_x_.yaml")
    expect(page.get_by_text("Table 3").first).to_be_visible(timeout=WORK_MS)
    as_text(page, asked, SHORT, "tables")
    page.get_by_role("tab", name="Statistics over seeds").click()
    as_text(page, asked, SHORT, "statistics")
    page.get_by_role("tab", name="Figures").click()
    expect(page.get_by_text("Figure 2").first).to_be_visible(timeout=WORK_MS)
    as_text(page, asked, SHORT, "figures")
    upload.set_input_files(tmp_path / "cut.yaml")
    expect(page.get_by_test_id("stAlert")).to_be_visible(timeout=WORK_MS)
    assert page.locator(FOUND).count() == 0
    upload.set_input_files(tmp_path / f"{SHORT.replace('/', '')}.yaml")
    expect(page.get_by_text("Table 3").first).to_be_visible(timeout=WORK_MS)
    page.get_by_role("radio", name="Compare").click()
    as_text(page, asked, SHORT, "compare")
    assert not [url for url in asked if HOST in url.split("?")[0]]
