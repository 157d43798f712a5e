"""The labelling page in a real browser, with real workers: a session, the oracle, crashes, tabs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from dal_core.data.base import ImageDataset
from dal_core.run.events import Answer
from dal_core.store.base import Store
from dal_core.store.run_lock import RunBusy, run_lock
from dal_ui.label import actions
from tests import fast
from tests.browser.conftest import ROOT, StreamlitServer
from tests.browser.grid_page import look

pytestmark = pytest.mark.browser

WORK_MS = 120_000  # a fit takes a second or two; a loaded machine is no reason to fail
LONG = 600  # epochs that leave time to act while the model trains
# What the page says for a moment only is written down as it comes.
RECORD = """
window.seen = new Set();
new MutationObserver(() => {
  const lines = document.body ? document.body.innerText.split("\\n") : [];
  lines.filter(line => /Saved\\.|Training on/.test(line)).forEach(line => window.seen.add(line));
}).observe(document, { childList: true, subtree: true, characterData: true });
"""
HARMLESS = "Failed to load resource"  # Streamlit looks for its server beside a page's address


class LabelPage:
    """One tab with the labelling page, and what a test does to it."""

    def __init__(self, page: Page, store: Store, dataset: ImageDataset, run_id: str) -> None:
        self.page, self.store, self.dataset, self.run_id = page, store, dataset, run_id

    def open(self, url: str, path: str = "/") -> LabelPage:
        self.page.add_init_script(RECORD)
        self.page.goto(f"{url}{path}?run={self.run_id}")
        return self

    def wait_for_query(self, n_labelled: int) -> list[int]:
        """Waits until the query at so many labels can be answered; returns the images shown."""
        self.expect_text(f"{n_labelled} labels")
        expect(self.page.locator(".label-grid:not(.locked)")).to_be_visible(timeout=WORK_MS)
        cells = self.page.locator(".cell[data-image-id]")
        return [int(i) for i in cells.evaluate_all("cells => cells.map(c => c.dataset.imageId)")]

    def type(self, keys: str) -> None:
        self.page.locator(".cells").focus()
        for part in re.split("(?<=s)", keys):  # a skipped image is replaced by one to look at
            look(self.page)
            self.page.keyboard.type(part)

    def right(self, ids: list[int]) -> str:
        return "".join(str(self.dataset.labels[i]) for i in ids)

    def answer(self, ids: list[int]) -> None:
        self.type(self.right(ids))
        self.page.evaluate("window.seen.clear()")
        self.page.keyboard.press("Enter")
        self.expect_seen(r"Saved\.")

    def expect_text(self, text: str | re.Pattern[str]) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=WORK_MS)

    def expect_seen(self, pattern: str) -> None:
        """A line of the page matched since it was opened, however briefly it stood there."""
        script = "pattern => [...window.seen].some(line => new RegExp(pattern).test(line))"
        self.page.wait_for_function(script, arg=pattern, timeout=WORK_MS)

    def expect_labels(self, labels: str) -> None:
        """Labels in reading order; a dot is a cell without one."""
        texts = ["" if label == "." else label for label in labels]
        expect(self.page.locator(".cell .label")).to_have_text(texts)

    def button(self, name: str, exact: bool = False) -> Locator:
        return self.page.get_by_role("button", name=name, exact=exact)

    def hand_over(self, choice: str) -> None:
        self.press("Let the oracle answer")
        self.button(choice, exact=True).click()

    def press(self, name: str) -> None:
        """Click a button once the page is drawn: until then an old one may stand beside it."""
        app, button = self.page.get_by_test_id("stApp"), self.button(name)
        expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=WORK_MS)
        expect(button).to_have_count(1, timeout=WORK_MS)
        button.click()

    def chart(self) -> bytes:
        chart = self.page.get_by_test_id("stVegaLiteChart").first
        expect(chart.locator("canvas, svg").first).to_be_visible(timeout=WORK_MS)
        return chart.screenshot()


@contextlib.contextmanager
def nobody_at(store: Store, run_id: str) -> Iterator[None]:
    """Inside the `with` no worker trains the run; one that does so now is waited for."""
    waited_until = time.monotonic() + WORK_MS / 1000
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(run_lock(store.home, run_id))
                break
            except RunBusy:
                assert time.monotonic() < waited_until
                time.sleep(0.02)
        yield


@pytest.fixture
def errors(page: Page) -> Iterator[list[str]]:
    """What the page's console says is wrong; nothing, or the test fails."""
    found: list[str] = []
    page.on("console", lambda m: found.append(m.text) if m.type == "error" else None)
    yield found
    assert [text for text in found if HARMLESS not in text] == []


@pytest.fixture
def new_page(page: Page, store: Store, mnist5k: ImageDataset) -> Callable[..., LabelPage]:
    """Makes a run and the tab for it; nothing is opened yet."""

    def make(n_epochs: int = 40, seed: int = 1, **changes: int) -> LabelPage:
        protocol = fast.protocol(n_epochs=n_epochs, **changes)
        run_id = actions.start_run(store, mnist5k, protocol, "bald", seed, "Ann")
        return LabelPage(page, store, mnist5k, run_id)

    return make


def test_a_session_of_labelling(
    new_page: Callable[..., LabelPage], server: StreamlitServer, store: Store, errors: list[str]
) -> None:
    label = new_page(n_epochs=400).open(server.url)
    page, run_id = label.page, label.run_id
    first = label.wait_for_query(20)
    label.expect_text("right at 20 labels")
    before = label.chart()

    # A typing error is taken back, an image that nobody can tell is replaced.
    label.type("12")
    page.keyboard.press("Backspace")
    label.type("s3")
    expect(page.locator(".status")).to_have_text("2 of 10 labelled, 1 skipped")
    skipped = first[1]
    page.reload()
    ids = label.wait_for_query(20)
    assert skipped not in ids and ids[0] == first[0]
    label.expect_labels("13........")
    page.locator(".cell").nth(2).click()
    label.type("45678901")
    assert store.log(run_id).submissions == ()
    page.keyboard.press("Enter")

    # Saved, then the model trains, then the next ten.
    label.expect_seen(r"Saved\.")
    (submission,) = store.log(run_id).submissions
    assert submission.labels == dict(zip(ids, [1, 3, 4, 5, 6, 7, 8, 9, 0, 1], strict=True))
    assert submission.skipped == (skipped,)
    label.expect_seen(r"Training on 30 labels: epoch \d+ of 400, training loss")
    label.expect_text("you 1")
    second = label.wait_for_query(30)
    assert not set(second) & {*first, *ids}
    label.expect_text("right at 30 labels")
    label.expect_text(re.compile(r"right at 30 labels · random \d"))
    assert label.chart() != before
    label.expect_text(re.compile(r"You and the data set agree on \d+ of the 10 labels"))

    # Undo brings the same ten back, to be answered differently.
    label.button("Undo the last batch").click()
    again = label.wait_for_query(20)
    assert again == first
    label.answer(again)
    label.wait_for_query(30)
    assert dict(store.log(run_id).labels()) == dict(
        zip(again, map(int, label.right(again)), strict=True)
    )


def test_the_oracle_answers_is_paused_and_hands_back(
    new_page: Callable[..., LabelPage], server: StreamlitServer, store: Store, errors: list[str]
) -> None:
    # So many steps that the oracle is nowhere near the end when it is paused, on any machine.
    label = new_page(n_epochs=100, seed=2, n_acquisition_steps=100).open(server.url)
    label.wait_for_query(20)
    label.hand_over("The next batch")
    label.wait_for_query(30)
    label.expect_text("the oracle on 10")
    label.hand_over("To the end of the run")
    label.expect_text("The oracle answers up to 1020 labels.")
    label.press("Pause: hand back to me")
    expect(label.button("Let the oracle answer")).to_be_visible(timeout=WORK_MS)
    expect(label.page.locator(".label-grid:not(.locked)")).to_be_visible(timeout=WORK_MS)
    log = store.log(label.run_id)
    assert log.open_query is not None and log.n_labelled < 1020
    n_labelled = log.n_labelled
    label.answer(label.wait_for_query(n_labelled))
    label.wait_for_query(n_labelled + 10)
    sources = [submission.source for submission in store.log(label.run_id).submissions]
    assert sources == ["oracle"] * (len(sources) - 1) + ["person"]


def test_a_second_tab_follows_and_its_late_labels_are_told_what_is_stored(
    new_page: Callable[..., LabelPage], server: StreamlitServer, store: Store, errors: list[str]
) -> None:
    one = new_page(seed=3).open(server.url)
    ids = one.wait_for_query(20)
    tab = one.page.context.new_page()
    two = LabelPage(tab, store, one.dataset, one.run_id).open(server.url)
    assert two.wait_for_query(20) == ids
    two.type("0000000000")
    with nobody_at(store, one.run_id):  # the next ten would be over what is to be seen
        one.answer(ids)
        two.page.keyboard.press("Enter")
        two.expect_text(
            re.compile("Answered elsewhere. These are the stored labels|were not saved")
        )
        two.expect_labels(one.right(ids))
    two.wait_for_query(30)
    one.wait_for_query(30)
    assert dict(store.log(one.run_id).labels()) == dict(
        zip(ids, map(int, one.right(ids)), strict=True)
    )
    one.press("Undo the last batch")
    two.wait_for_query(20)


def test_a_server_killed_while_training_goes_on_and_loses_nothing(
    new_page: Callable[..., LabelPage],
    start_server: Callable[..., StreamlitServer],
    store: Store,
    home: Path,
) -> None:
    server = start_server(ROOT / "app.py", DAL_HOME=str(home))
    label = new_page(n_epochs=LONG, seed=4)
    label.open(server.url)
    ids = label.wait_for_query(20)
    label.answer(ids)
    label.expect_text(re.compile(rf"Training on 30 labels: epoch \d+ of {LONG}"))
    server.kill()
    held = store.log(label.run_id)
    assert dict(held.labels()) == dict(zip(ids, map(int, label.right(ids)), strict=True))
    assert held.open_query is None
    server.start()
    label.open(server.url, "/label")  # a deep link, and nobody has opened the server yet
    expect(label.page.get_by_role("link", name="Runs")).to_be_visible(timeout=WORK_MS)
    assert not set(label.wait_for_query(30)) & set(ids)
    assert f"/label?run={label.run_id}" in label.page.url
    assert store.log(label.run_id).labels() == held.labels()
    server.kill()


def test_a_restarted_server_leaves_a_closed_review_closed(
    new_page: Callable[..., LabelPage],
    start_server: Callable[..., StreamlitServer],
    store: Store,
    home: Path,
) -> None:
    server = start_server(ROOT / "app.py", DAL_HOME=str(home))
    label = new_page(n_epochs=1, seed=7).open(server.url)
    ids = label.wait_for_query(20)
    review = label.page.get_by_role("heading", name="Review your labels")
    label.type("r")
    expect(review).to_be_visible(timeout=WORK_MS)
    label.button("Close", exact=True).click()
    expect(review).to_have_count(0)
    server.kill()
    query = store.log(label.run_id).open_query
    assert query is not None
    answers = [Answer(i, int(label.dataset.labels[i])) for i in ids]
    store.submit(query.query_id, answers, annotator="Ann", source="person")
    server.start()
    label.wait_for_query(30)  # drawn by the new server
    expect(label.button("Let the oracle answer")).to_be_enabled(timeout=WORK_MS)
    expect(review).to_have_count(0)
    label.type("r")  # and it can be opened
    expect(review).to_be_visible(timeout=WORK_MS)
    server.kill()


def test_a_worker_killed_while_training_costs_the_fit_and_not_the_run(
    new_page: Callable[..., LabelPage], server: StreamlitServer, store: Store, home: Path
) -> None:
    label = new_page(n_epochs=LONG, seed=5).open(server.url)
    ids = label.wait_for_query(20)
    label.answer(ids)
    label.expect_text(re.compile(rf"Training on 30 labels: epoch \d+ of {LONG}"))
    for pid in worker_pids(home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not set(label.wait_for_query(30)) & set(ids)
    assert store.log(label.run_id).n_labelled == 30


def test_deep_links_to_a_cold_server_show_the_frame_and_keep_the_run(
    new_page: Callable[..., LabelPage],
    start_server: Callable[..., StreamlitServer],
    store: Store,
    home: Path,
    errors: list[str],
) -> None:
    label = new_page(n_epochs=1, seed=6)
    cold = start_server(ROOT / "app.py", DAL_HOME=str(home))
    page = label.open(cold.url, "/runs").page
    expect(page.get_by_role("heading", name="Runs")).to_be_visible(timeout=WORK_MS)
    label.expect_text(label.run_id)
    page.get_by_role("link", name="Label").click()
    label.wait_for_query(20)
    assert page.url.endswith(f"?run={label.run_id}")
    page.get_by_role("link", name="Runs").click()
    page.wait_for_url(f"**/runs?run={label.run_id}")
    label.button("Open").click()
    label.wait_for_query(20)
    label.button("New run").click()
    expect(label.button("Start labelling")).to_be_visible(timeout=WORK_MS)
    assert "run=" not in page.url
    cold.kill()


def worker_pids(home: Path) -> list[int]:
    """The workers of a store's server."""
    found = subprocess.run(
        ["pgrep", "-f", f"dal_core.execution.worker_process {home}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(pid) for pid in found.stdout.split()]
