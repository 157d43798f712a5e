"""How long a person waits for the Label page: `python -m benchmarks.page` (needs `.[test]`).

It uses a real server, real workers, a headless Chromium and a temporary store. It measures the time
- from a key press to the visible label, with the model idle and with the model training;
- from Enter to "Saved.", and from Enter to the next ten images;
- from the start of the server to the first query.
It prints one JSON object.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, expect

from benchmarks.browser import app_server, chromium
from dal_core.data.catalogue import load
from dal_core.protocol.parameters import override
from dal_core.protocol.presets import PRESETS
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_ui.label import actions

GAP_MS, PRESSES, BATCHES = 50, 100, 12
WAIT_MS = 60_000

# A key press is timed until the first task after the frame that paints its label.
WATCH = """
() => {
  const root = () => document.querySelector('[data-testid=stBidiComponentIsolated]').shadowRoot;
  const labels = () => root().querySelectorAll('.cell[data-label]:not([data-label=""])').length;
  window.keys = []; window.saved = []; window.next = [];
  const done = new MessageChannel(), waiting = [];
  done.port1.onmessage = () => {
    const { pressed, before } = waiting.shift();
    if (labels() > before) window.keys.push(performance.now() - pressed);
  };
  let entered = null, asked = null, first = null;
  const image = () => root().querySelector('.cell').dataset.imageId;
  window.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') { entered = asked = event.timeStamp; first = image(); }
    if (!/^[0-9]$/.test(event.key)) return;
    const before = labels();
    requestAnimationFrame(() => {
      waiting.push({ pressed: event.timeStamp, before });
      done.port2.postMessage(null);
    });
  }, true);
  new MutationObserver(() => {
    const now = performance.now();
    const text = root().querySelector('.status').textContent;
    if (entered !== null && text === 'Saved.') { window.saved.push(now - entered); entered = null; }
    if (asked !== null && image() !== first) { window.next.push(now - asked); asked = null; }
  }).observe(root(), { subtree: true, childList: true, characterData: true, attributes: true });
}
"""


def main() -> None:
    """Measure and print."""
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as home, chromium() as browser:
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        started = time.monotonic()
        with app_server(home) as url:
            page.goto(url)
            page.get_by_role("button", name="Start labelling").click(timeout=WAIT_MS)
            _ready(page)
            found["server start to first query, s"] = round(time.monotonic() - started, 1)
            found |= _strict(page)
            found |= _continuous(page, url, open_store(Path(home)))
    print(json.dumps(found, indent=1))


def _strict(page: Page) -> dict[str, object]:
    page.wait_for_timeout(2000)
    page.evaluate(WATCH)
    _press(page)
    keys = page.evaluate("keys")
    for _ in range(BATCHES):
        first = page.locator(".cell").first.get_attribute("data-image-id")
        page.locator(".cells").focus()
        page.keyboard.type("0123456789")
        page.keyboard.press("Enter")
        changed = page.locator(".cell").first
        expect(changed).not_to_have_attribute("data-image-id", str(first), timeout=WAIT_MS)
        _ready(page)  # a person looks at the next ten images here
    return {
        "key to label, waiting, ms": _figures(keys),
        "Enter to saved, ms": _figures(page.evaluate("saved")),
        "Enter to the next ten, ms": _figures(page.evaluate("next")),
    }


def _continuous(page: Page, url: str, store: Store) -> dict[str, object]:
    """The waiting times while the model trains; 400 epochs keep it training throughout."""
    protocol = override(PRESETS["quick"], {"n_epochs": 400})
    dataset = load("mnist5k")
    run_id = actions.start_run(store, dataset, protocol, "bald", 2, "me", mode="continuous")
    page.goto(f"{url}/?run={run_id}")
    _ready(page)
    page.evaluate(WATCH)
    page.locator(".cells").focus()
    for _ in range(BATCHES):  # each Enter gives the model something to train on
        first = page.locator(".cell").first.get_attribute("data-image-id")
        _ready(page)
        page.keyboard.type("0123456789", delay=GAP_MS)
        page.keyboard.press("Enter")
        changed = page.locator(".cell").first
        expect(changed).not_to_have_attribute("data-image-id", str(first), timeout=WAIT_MS)
    return {
        "key to label, training, ms": _figures(page.evaluate("keys")),
        "continuous: Enter to the next ten, ms": _figures(page.evaluate("next")),
    }


def _press(page: Page) -> None:
    page.locator(".cells").focus()
    for _ in range(PRESSES // 10):
        page.keyboard.type("0123456789", delay=GAP_MS)
        for _ in range(10):
            page.keyboard.press("Backspace")


def _figures(values: list[float]) -> dict[str, float]:
    return {
        "n": len(values),
        "median": round(statistics.median(values), 1),
        "p95": round(statistics.quantiles(values, n=20)[-1], 1),
        "max": round(max(values), 1),
    }


def _ready(page: Page) -> None:
    expect(page.locator(".label-grid:not(.locked)")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator(".cell.new")).to_have_count(0, timeout=WAIT_MS)  # no key counts before


if __name__ == "__main__":
    main()
