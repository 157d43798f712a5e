"""The README's picture of the explaining page, of a run on a running app.

`python docs/screenshots_explain.py http://localhost:8501 RUN` (needs Chromium and `.[test]`). It
starts and changes nothing.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

PICTURE = Path(__file__).resolve().parent / "images" / "explain.png"
SIZE = {"width": 1280, "height": 1000}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WAIT_MS = 120_000


def photograph(page: Page, url: str, run_id: str) -> bytes:
    """The first image the run asks for, as a PNG of few colours."""
    page.goto(f"{url}/explain?run={run_id}")
    charts = page.get_by_test_id("stVegaLiteChart")
    expect(charts.nth(3).locator("canvas")).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(3000)  # the charts' first drawing
    with Image.open(io.BytesIO(page.screenshot())) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main(url: str, run_id: str) -> None:
    """Write the picture."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        sys.exit("no Chromium on the path")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_context(viewport=SIZE, color_scheme="light").new_page()  # type: ignore[arg-type]
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_bytes(photograph(page, url.rstrip("/"), run_id))
        browser.close()
    print(f"{PICTURE.name}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
