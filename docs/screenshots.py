"""Makes the pictures of the README: `python docs/screenshots.py` (needs Chromium and `.[test]`).

A run in a store of its own, labelled in a real browser up to about a hundred, with MNIST's own
labels but for two slips that the review finds; nobody's runs are read or written.
"""

from __future__ import annotations

import sys
import tempfile

from pictures import ROOT, chromium, save, server
from playwright.sync_api import Page, expect

SIZE = {"width": 1280, "height": 800}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
BATCHES = 9  # of ten, after the twenty to begin with
SLIPS = (2, 5)  # batches whose first image gets a wrong label
KEY_MS = 250  # between two keys: what the times on the page are made of
WAIT_MS = 300_000


def main() -> None:
    """Label a run and take the pictures."""
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as home, server(home) as url, chromium() as browser:
        page = browser.new_context(viewport=SIZE, color_scheme="light").new_page()  # type: ignore[arg-type]
        address = _label(page, url)
        _settle(page)
        _type_some(page)
        page.mouse.move(0, 0)  # or the button that began the run would leave its hint there
        page.wait_for_timeout(500)
        save(page.screenshot(), "label.png")
        reveal = page.get_by_test_id("stExpander").first
        reveal.scroll_into_view_if_needed()
        save(reveal.screenshot(), "reveal.png")
        _review(page)
        save(page.locator(".st-key-review").screenshot(), "review.png")
        dark = browser.new_context(viewport=SIZE, color_scheme="dark").new_page()  # type: ignore[arg-type]
        dark.goto(address)
        _ready(dark)
        _settle(dark)
        _type_some(dark)
        save(dark.screenshot(), "label-dark.png")
        phone = browser.new_context(**PHONE, color_scheme="light").new_page()  # type: ignore[arg-type]
        phone.goto(address)
        _ready(phone)
        _settle(phone)
        save(phone.screenshot(), "label-phone.png")


def _label(page: Page, url: str) -> str:
    """Start a run and give it its labels; returns its address."""
    from dal_core.data.catalogue import load

    truth = load("mnist5k").labels
    page.goto(url)
    page.get_by_role("button", name="Start labelling").click(timeout=WAIT_MS)
    for batch in range(BATCHES):
        _ready(page)
        page.locator(".cells").focus()
        if batch == 1:
            page.keyboard.press("s")
        ids = _ids(page)
        labels = [int(truth[i]) for i in ids]
        if batch in SLIPS:
            labels[0] = (labels[0] + 4) % 10
        page.keyboard.type("".join(map(str, labels)), delay=KEY_MS)
        page.keyboard.press("Enter")
        first = page.locator(".cell").first
        expect(first).not_to_have_attribute("data-image-id", str(ids[0]), timeout=WAIT_MS)
    _ready(page)
    return page.url


def _ready(page: Page) -> None:
    expect(page.locator(".label-grid:not(.locked)")).to_be_visible(timeout=WAIT_MS)


def _ids(page: Page) -> list[int]:
    cells = page.locator(".cell[data-image-id]")
    return [int(i) for i in cells.evaluate_all("cells => cells.map(c => c.dataset.imageId)")]


def _settle(page: Page) -> None:
    """Wait for the measurement and the random baseline, and for the charts to be drawn."""
    n_labelled = 20 + 10 * BATCHES
    done = page.get_by_text(f"right at {n_labelled} labels · random")
    expect(done).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(1500)


def _type_some(page: Page) -> None:
    """Three labels given, the fourth image marked: what labelling looks like."""
    from dal_core.data.catalogue import load

    truth = load("mnist5k").labels
    page.locator(".cells").focus()
    page.keyboard.type("".join(str(truth[i]) for i in _ids(page)[:3]))
    page.wait_for_timeout(300)


def _review(page: Page) -> None:
    """Open the review with its key."""
    page.locator(".cells").focus()
    page.keyboard.press("r")
    expect(page.locator(".st-key-review canvas").first).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(2000)


if __name__ == "__main__":
    main()
