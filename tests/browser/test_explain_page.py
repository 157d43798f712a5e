"""The explaining page in a real browser: a deep link, a slider, a drawn digit, the map."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Locator, Page, expect

from dal_core.data.base import ImageDataset
from dal_core.store.base import Store
from tests.browser.conftest import StreamlitServer
from tests.ui_kit import asked_run

pytestmark = pytest.mark.browser

WORK_MS = 120_000  # a loaded machine is no reason to fail
PASSES = re.compile(r"^\d+ of (\d+) passes predict \d")


@pytest.fixture(scope="module")
def run_id(store: Store, mnist5k: ImageDataset) -> str:
    """A person's run whose first query is open."""
    return asked_run(store, mnist5k, num_mc_samples=16, n_epochs=20)[0]


def open_page(page: Page, server: StreamlitServer, run_id: str, view: str = "One image") -> None:
    page.goto(f"{server.url}/explain?run={run_id}")  # a deep link, also on a cold server
    tab = page.get_by_role("tab", name=view)
    expect(tab).to_be_visible(timeout=WORK_MS)
    tab.click()


def charts(page: Page) -> Locator:
    return page.get_by_test_id("stVegaLiteChart").locator("canvas")


def wait_until_drawn(page: Page) -> None:
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=WORK_MS)


def pixels(chart: Locator) -> str:
    return str(chart.evaluate("canvas => canvas.toDataURL()"))


def wait_for_other(chart: Locator, before: str) -> None:
    """Until the chart shows something else; it is asked for as it is now, never for a moment."""
    chart.page.wait_for_function(
        "([chart, before]) => chart.toDataURL() !== before",
        arg=[chart.element_handle(), before],
        timeout=WORK_MS,
    )


def test_sliders_change_the_heat_map_and_the_sums(
    page: Page, server: StreamlitServer, run_id: str
) -> None:
    open_page(page, server, run_id)
    said = page.get_by_text(PASSES)
    expect(said).to_contain_text("of 16 passes", timeout=WORK_MS)
    matrix, sums = charts(page).nth(0), charts(page).nth(2)
    expect(sums).to_be_visible(timeout=WORK_MS)
    wait_until_drawn(page)
    seen = pixels(matrix), pixels(sums)
    page.locator(".st-key-explain-passes input[type=range]").press("ArrowLeft")
    expect(said).to_contain_text("of 15 passes", timeout=WORK_MS)
    wait_for_other(matrix, seen[0])
    seen = pixels(matrix), pixels(sums)
    # other rates leave every table its size: the numbers must change all the same
    page.locator(".st-key-explain-drop-1 input[type=range]").press("End")
    expect(
        page.get_by_text("Computed for this page; the run did not use these settings")
    ).to_be_visible(timeout=WORK_MS)
    wait_for_other(matrix, seen[0])
    wait_for_other(sums, seen[1])
    page.get_by_role("button", name="Reset to run settings").click()
    expect(said).to_contain_text("of 16 passes", timeout=WORK_MS)


def test_a_drawn_digit_is_looked_at_after_every_stroke(
    page: Page, server: StreamlitServer, run_id: str
) -> None:
    open_page(page, server, run_id)
    page.get_by_text("Draw one", exact=True).click(timeout=WORK_MS)
    canvas = page.locator(".drawing-canvas canvas")
    expect(canvas).to_be_visible(timeout=WORK_MS)
    expect(page.get_by_text("every stroke gives a new prediction")).to_be_visible()
    box = canvas.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2
    page.mouse.move(middle, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(middle - 6, box["y"] + box["height"] - 30, steps=12)
    page.mouse.up()
    expect(page.get_by_text(PASSES)).to_be_visible(timeout=WORK_MS)
    expect(page.get_by_text("What the network sees")).to_be_visible()
    row = page.locator("tr", has_text="BALD").first
    expect(row).to_contain_text(re.compile(r"\d\.\d{3}.*of 301"))  # 300 scored and this one
    page.locator(".drawing-canvas button", has_text="Clear").click()
    expect(page.get_by_text("every stroke gives a new prediction")).to_be_visible(timeout=WORK_MS)


def test_pointing_at_the_map_shows_the_image(
    page: Page, server: StreamlitServer, run_id: str
) -> None:
    open_page(page, server, run_id, "A map of the pool")
    chart = charts(page).first
    expect(chart).to_be_visible(timeout=WORK_MS)
    box = chart.bounding_box()
    assert box is not None
    picture = page.locator("#vg-tooltip-element img")
    deadline = time.monotonic() + WORK_MS / 1000
    step = 0
    while not picture.is_visible() and time.monotonic() < deadline:
        share = 0.2 + 0.01 * (step % 60)  # somewhere on this line there is a point
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.55 * box["height"], steps=3)
        page.wait_for_timeout(50)  # the chart may not have its points yet, the picture not be read
        step += 1
    expect(picture).to_have_attribute("src", re.compile("^data:image/png;base64,"))
    assert picture.evaluate("image => image.complete && image.naturalWidth") == 56


def test_a_slider_of_picks_changes_the_map_and_a_phone_does_not_scroll_sideways(
    page: Page, server: StreamlitServer, run_id: str
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for view in ("One image", "All functions, one model", "What coverage covers"):
        open_page(page, server, run_id, view)
        chart = page.get_by_role("tabpanel").get_by_test_id("stVegaLiteChart").first
        expect(chart.locator("canvas, svg").first).to_be_visible(timeout=WORK_MS)
        wait_until_drawn(page)
        main = page.get_by_test_id("stMain")
        assert main.evaluate("main => main.scrollWidth - main.clientWidth") <= 0, view
    chart = charts(page).first
    before = pixels(chart)
    slider = page.locator("input[type=range][name=picks]")
    assert (slider.get_attribute("min"), slider.get_attribute("max")) == ("0", "10")
    slider.press("Home")
    wait_for_other(chart, before)


def test_a_tab_can_be_left_and_the_run_stays(
    page: Page, server: StreamlitServer, run_id: str
) -> None:
    open_page(page, server, run_id, "All functions, one model")
    expect(page.get_by_text("Rank agreement")).to_be_visible(timeout=WORK_MS)
    page.get_by_role("link", name="Runs").click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible(timeout=WORK_MS)
    page.get_by_role("link", name="Explain").click()
    expect(page.get_by_role("heading", name="Explain")).to_be_visible(timeout=WORK_MS)
    page.wait_for_url(re.compile(f"run={run_id}"), timeout=WORK_MS)
