"""What a browser test does to the labelling grid, and what it can see of it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import StreamlitServer

COLD_START_MS = 30_000  # a fresh server imports and reads the embedded images first
CONFIRMED_WITHIN = 20.0  # seconds

MEASURE_LATENCY = """
() => {
  window.latencies = [];
  const done = new MessageChannel();
  const waiting = [];
  done.port1.onmessage = () => {
    const { pressed, before } = waiting.shift();
    const root = document.querySelector('[data-testid=stBidiComponentIsolated]').shadowRoot;
    const shown = root.querySelectorAll('.cell[data-label]:not([data-label=""])').length;
    if (shown > before) window.latencies.push(performance.now() - pressed);
  };
  window.addEventListener('keydown', (event) => {
    if (!/^[0-9]$/.test(event.key)) return;
    const root = document.querySelector('[data-testid=stBidiComponentIsolated]').shadowRoot;
    const before = root.querySelectorAll('.cell[data-label]:not([data-label=""])').length;
    requestAnimationFrame(() => {       // runs just before the frame with the label is painted
      waiting.push({ pressed: event.timeStamp, before });
      done.port2.postMessage(null);     // runs just after it
    });
  }, true);
}
"""


def look(page: Page) -> None:
    """Wait until every image has been on screen so long that keys may label it, and do not type."""
    expect(page.locator(".cell.new, .label-grid.refusing")).to_have_count(0)


class Grid:
    """The grid on one page, and the submissions its server took."""

    def __init__(self, page: Page, server: StreamlitServer, folder: Path, name: str) -> None:
        self.page, self.server = page, server
        self.name, self.log = name, folder / f"{name}.jsonl"

    def open(self, **options: int) -> Grid:
        query = "".join(f"&{key}={value}" for key, value in options.items())
        self.page.goto(f"{self.server.url}/?log={self.name}{query}")
        expect(self.page.locator(".cell").first).to_be_visible(timeout=COLD_START_MS)
        return self

    def type(self, digits: str, gap_ms: float = 0) -> None:
        look(self.page)
        self.page.keyboard.type(digits, delay=gap_ms)

    def press(self, *keys: str) -> None:
        for key in keys:
            if key in ("s", "Space"):
                look(self.page)
            self.page.keyboard.press(key)

    def ids(self) -> list[int]:
        cells = self.page.locator(".cell[data-image-id]")
        return [int(i) for i in cells.evaluate_all("cells => cells.map(c => c.dataset.imageId)")]

    def expect_labels(self, labels: str) -> None:
        """Labels in reading order; a dot is a cell without one."""
        texts = ["" if label == "." else label for label in labels]
        expect(self.page.locator(".cell .label")).to_have_text(texts)

    def expect_status(self, text: str) -> None:
        expect(self.page.locator(".status")).to_have_text(text)

    def expect_focus(self, position: int) -> None:
        expect(self.page.locator(".cell[aria-selected=true]")).to_have_count(1)
        expect(self.page.locator(".cell").nth(position)).to_have_attribute("aria-selected", "true")

    def submissions(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def wait_for_submissions(self, count: int) -> list[dict]:
        deadline = time.monotonic() + CONFIRMED_WITHIN
        while time.monotonic() < deadline:
            if self.log.exists() and len(self.submissions()) >= count:
                return self.submissions()
            self.page.wait_for_timeout(20)
        raise AssertionError(f"fewer than {count} submissions in {CONFIRMED_WITHIN} s")

    def wait_for_other_images(self, ids: list[int]) -> None:
        expect(self.page.locator(".cell").first).not_to_have_attribute(
            "data-image-id", str(ids[0]), timeout=CONFIRMED_WITHIN * 1000
        )

    def mirrored(self) -> list[str]:
        return self.page.evaluate(
            "Object.keys(sessionStorage).filter(key => key.startsWith('dal:'))"
        )
