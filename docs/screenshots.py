"""Makes the README's pictures of labelling: `python -m docs.screenshots`.

Needs Chromium and `.[test]`. It labels a run in a temporary store with a real browser, up to about
a hundred labels. The labels are MNIST's own, except for two mistakes that the review finds.
"""

from __future__ import annotations

import tempfile

from playwright.sync_api import Page, expect

from benchmarks.browser import app_server, chromium
from dal_core.data.catalogue import load
from docs.pictures import save

SIZE = {"width": 1280, "height": 800}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
BATCHES = 9  # of ten images, after the initial twenty
MISTAKES = (2, 5)  # batches whose first image gets a wrong label
KEY_MS = 250  # between two keys; the page shows times made of it
WAIT_MS = 300_000


def main() -> None:
    """Label a run and take the pictures."""
    with tempfile.TemporaryDirectory() as home, app_server(home) as url, chromium() as browser:
        page = browser.new_context(viewport=SIZE, color_scheme="light").new_page()  # type: ignore[arg-type]
        address = _label(page, url)
        _settle(page)
        _type_some(page)
        page.mouse.move(0, 0)  # away from the start button, which would show its hint
        page.wait_for_timeout(500)
        save(page.screenshot(), "label.png")
        reveal = page.get_by_test_id("stExpander").first
        reveal.scroll_into_view_if_needed()
        save(reveal.screenshot(), "reveal.png")
        _review(page)
        save(page.locator(".st-key-review").screenshot(), "review.png")
        name = page.context.storage_state()  # the cookie; a browser without one asks for a name
        dark = browser.new_context(
            viewport=SIZE,  # type: ignore[arg-type]
            color_scheme="dark",
            storage_state=name,
        ).new_page()
        dark.goto(address)
        _ready(dark)
        _settle(dark)
        _type_some(dark)
        save(dark.screenshot(), "label-dark.png")
        phone = browser.new_context(**PHONE, color_scheme="light", storage_state=name).new_page()  # type: ignore[arg-type]
        phone.goto(address)
        _ready(phone)
        _settle(phone)
        save(phone.screenshot(), "label-phone.png")


def _label(page: Page, url: str) -> str:
    """Start a run and give it its labels; returns its address."""
    truth = load("mnist5k").labels
    page.goto(url)
    page.get_by_role("button", name="Start labelling").click(timeout=WAIT_MS)
    for batch in range(BATCHES):
        _ready(page)
        page.locator(".cells").focus()
        if batch == 1:
            page.keyboard.press("s")
            _ready(page)
        ids = _ids(page)
        labels = [int(truth[i]) for i in ids]
        if batch in MISTAKES:
            labels[0] = (labels[0] + 4) % 10
        page.keyboard.type("".join(map(str, labels)), delay=KEY_MS)
        page.keyboard.press("Enter")
        first = page.locator(".cell").first
        expect(first).not_to_have_attribute("data-image-id", str(ids[0]), timeout=WAIT_MS)
    _ready(page)
    return page.url


def _ready(page: Page) -> None:
    expect(page.locator(".label-grid:not(.locked)")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator(".cell.new, .label-grid.refusing")).to_have_count(0, timeout=WAIT_MS)


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
    """Give three labels and mark the fourth image, as during labelling."""
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
