"""Makes the README's pictures of the Explain page, from a run of a running app.

`python -m docs.screenshots_explain http://localhost:8501 RUN`; needs Chromium and `.[test]`. The
run does not change.
"""

from __future__ import annotations

import sys

from playwright.sync_api import Page, expect

from benchmarks.browser import chromium
from docs.pictures import save

SIZE = {"width": 1280, "height": 1000}
WAIT_MS = 120_000


def photograph(page: Page, url: str, run_id: str) -> bytes:
    """The page for the first image the run asks for, as a PNG."""
    page.goto(f"{url}/explain?run={run_id}")
    charts = page.get_by_test_id("stVegaLiteChart")
    expect(charts.nth(3).locator("canvas")).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(3000)  # the charts' first drawing
    return page.screenshot()


def photograph_coverage(page: Page) -> bytes:
    """The map of what coverage covers, on the same page."""
    page.get_by_role("tab", name="What coverage covers").click()
    expect(page.get_by_text("What each pick adds")).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(3000)
    return page.screenshot()


def main(url: str, run_id: str) -> None:
    """Write the pictures."""
    with chromium() as browser:
        page = browser.new_context(viewport=SIZE, color_scheme="light").new_page()  # type: ignore[arg-type]
        save(photograph(page, url.rstrip("/"), run_id), "explain.png")
        save(photograph_coverage(page), "explain-coverage.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
