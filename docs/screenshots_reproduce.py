"""Makes the README's picture of the Reproduce page: `python -m docs.screenshots_reproduce`.

Needs Chromium, `.[test]` and a few minutes. It starts a small experiment on the embedded digits in
a temporary store and photographs the page while it runs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, expect

from benchmarks.browser import app_server, chromium
from dal_core.data.catalogue import load
from dal_core.experiments import control
from dal_core.protocol.parameters import override
from dal_core.protocol.presets import preset
from dal_core.results.published import REPORT_FUNCTIONS
from dal_core.store.opening import open_store
from dal_ui.reproduce import actions
from docs.pictures import save

SIZE = {"width": 1280, "height": 800}
SEEDS = (1, 2)
N_ACQUISITION_STEPS = 10
SHARE = 0.7  # of the steps done when the picture is taken
WAIT_MS = 120_000
EXPERIMENT_SECONDS = 900


def main() -> None:
    """Run most of the experiment and take the picture."""
    with tempfile.TemporaryDirectory() as home, app_server(home) as url, chromium() as browser:
        experiment_id = _create(home)
        page = browser.new_context(viewport=SIZE, color_scheme="light").new_page()  # type: ignore[arg-type]
        page.goto(f"{url}/reproduce?experiment={experiment_id}")  # opening it starts the workers
        _wait_for_steps(page, home, experiment_id)
        save(photograph(page), "reproduce.png")


def photograph(page: Page) -> bytes:
    """The page of an experiment with at least two measured steps, running or not, as a PNG."""
    charts = page.get_by_test_id("stVegaLiteChart")
    expect(charts.nth(1).locator("canvas, svg").first).to_be_visible(timeout=WAIT_MS)
    runs = page.get_by_test_id("stExpander").first  # closed when the experiment is complete
    expect(runs).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(3000)  # the charts' first drawing and the table's
    expect(page.get_by_test_id("stStatusWidget")).to_be_hidden(timeout=WAIT_MS)
    return page.screenshot()


def _create(home: str) -> str:
    protocol = override(preset("quick"), {"n_acquisition_steps": str(N_ACQUISITION_STEPS)})
    row = control.create_experiment(
        *(open_store(Path(home)), load("mnist5k"), protocol, REPORT_FUNCTIONS, SEEDS),
        full_data=True,
    )
    return row.experiment_id


def _wait_for_steps(page: Page, home: str, experiment_id: str) -> None:
    store, deadline = open_store(Path(home)), time.monotonic() + EXPERIMENT_SECONDS
    while time.monotonic() < deadline:
        now = actions.find(store, experiment_id)
        if now is not None and now.n_done >= SHARE * now.n_steps:
            return
        page.wait_for_timeout(1000)
    sys.exit(f"the experiment did not come far enough in {EXPERIMENT_SECONDS} s")


if __name__ == "__main__":
    main()
