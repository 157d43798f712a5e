"""How quick the labelling page is for a person: `python -m benchmarks.page` (needs `.[test]`).

A real server, real workers and a headless Chromium on a store of its own. Measures the key press
to the visible label while the page waits and while the model trains, Enter to "Saved." and to the
next ten, and the start of the server to the first query. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from dal_core.data.catalogue import load
from dal_core.protocol.parameters import override
from dal_core.protocol.presets import PRESETS
from dal_core.store.store import Store
from dal_ui.label import actions

ROOT = Path(__file__).resolve().parent.parent
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
GAP_MS, PRESSES, BATCHES = 50, 100, 12
WAIT_MS = 60_000

# A press is timed to the task after the frame that paints its label.
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
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        sys.exit("no Chromium on the path")
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as home, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        begun = time.monotonic()
        process, url = _serve(home)
        try:
            page.goto(url)
            page.get_by_role("button", name="Start labelling").click(timeout=WAIT_MS)
            _ready(page)
            found["server start to first query, s"] = round(time.monotonic() - begun, 1)
            found |= _strict(page)
            found |= _continuous(page, url, Store(Path(home)))
        finally:
            process.terminate()
            process.wait()
            browser.close()
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
        _ready(page)
        page.wait_for_timeout(300)  # looking at the next ten; their measurement goes on
    return {
        "key to label, waiting, ms": _figures(keys),
        "Enter to saved, ms": _figures(page.evaluate("saved")),
        "Enter to the next ten, ms": _figures(page.evaluate("next")),
    }


def _continuous(page: Page, url: str, store: Store) -> dict[str, object]:
    """While the model trains, which a long protocol makes sure of."""
    protocol = override(PRESETS["quick"], {"n_epochs": 400})
    dataset = load("mnist5k")
    run_id = actions.start_run(store, dataset, protocol, "bald", 2, "me", mode="continuous")
    page.goto(f"{url}/?run={run_id}")
    _ready(page)
    page.evaluate(WATCH)
    page.locator(".cells").focus()
    for _ in range(BATCHES):  # each Enter gives the model something to train on
        first = page.locator(".cell").first.get_attribute("data-image-id")
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


def _serve(home: str) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "DAL_HOME": home, "PYTHONPATH": path}
    process = subprocess.Popen(
        [*command, f"--server.port={port}"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    url = f"http://localhost:{port}"
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                break
        except OSError:
            time.sleep(0.05)
    return process, url


if __name__ == "__main__":
    main()
