"""The README's picture of the reproduction page, of an experiment on a running app.

`python docs/screenshots_reproduce.py http://localhost:8501 EXPERIMENT` (needs Chromium and
`.[test]`); another script may call `photograph`. It starts and changes nothing.
"""

from __future__ import annotations

import sys

from pictures import chromium, save
from playwright.sync_api import Page, expect

SIZE = {"width": 1280, "height": 800}
WAIT_MS = 120_000


def photograph(page: Page, url: str, experiment_id: str) -> bytes:
    """The page of an experiment with two measured steps or more, as a PNG."""
    page.goto(f"{url}/reproduce?experiment={experiment_id}")
    charts = page.get_by_test_id("stVegaLiteChart")
    expect(charts.nth(1).locator("canvas, svg").first).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(3000)  # the charts' first drawing and the table's
    return page.screenshot()


def main(url: str, experiment_id: str) -> None:
    """Write the picture."""
    with chromium() as browser:
        page = browser.new_context(viewport=SIZE, color_scheme="light").new_page()  # type: ignore[arg-type]
        save(photograph(page, url.rstrip("/"), experiment_id), "reproduce.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
