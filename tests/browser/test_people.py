"""Who labels, in a real browser: a name kept by the browser, and runs that are read-only."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.store.base import Store
from dal_ui.label import actions
from dal_ui.shared.person import LAST_RUN, NAME
from tests import fast
from tests.browser.conftest import StreamlitServer
from tests.browser.grid_page import look
from tests.experiment_kit import until

pytestmark = pytest.mark.browser

WORK_MS = 120_000  # a loaded machine is no reason to fail


@pytest.fixture
def stranger(browser: Browser) -> Iterator[Page]:
    """A browser that has never been here."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


def label_all(page: Page, store: Store, run_id: str) -> None:
    """Answer the query on the screen with sevens."""
    n_before = store.log(run_id).n_submissions
    expect(page.locator(".label-grid:not(.locked)")).to_be_visible(timeout=WORK_MS)
    look(page)
    page.locator(".cells").focus()
    page.keyboard.type("7777777777")
    page.keyboard.press("Enter")
    until(lambda: store.log(run_id).n_submissions == n_before + 1)


def cookies(page: Page) -> dict[str, str]:
    return {one["name"]: one["value"] for one in page.context.cookies()}


def test_a_link_opened_by_another_person_labels_under_the_name_that_they_give(
    stranger: Page, server: StreamlitServer, store: Store, mnist5k: ImageDataset
) -> None:
    run_id = actions.start_run(store, mnist5k, fast.protocol(), "bald", 1, "Ann's run")
    stranger.goto(f"{server.url}/?run={run_id}")
    expect(stranger.get_by_text("Who labels here?")).to_be_visible(timeout=WORK_MS)
    stranger.get_by_label("Your name", exact=True).fill("Ben Müller")
    stranger.get_by_role("button", name="Label under this name").click()
    expect(stranger.get_by_text("Who labels here?")).to_have_count(0, timeout=WORK_MS)
    label_all(stranger, store, run_id)
    (submission,) = store.log(run_id).submissions
    assert (submission.annotator, submission.source) == ("Ben Müller", "person")
    assert store.run(run_id).title == "Ann's run"
    # Asked once: the browser keeps it, also for a session of its own and without the run's address.
    until(lambda: cookies(stranger).get(LAST_RUN) == run_id)
    assert cookies(stranger)[NAME] == "Ben%20M%C3%BCller"
    stranger.goto(server.url)
    expect(stranger).to_have_url(re.compile(f"run={run_id}"), timeout=WORK_MS)
    expect(stranger.get_by_role("button", name="Ben Müller")).to_be_visible(timeout=WORK_MS)
    expect(stranger.get_by_text("Who labels here?")).to_have_count(0)


def test_a_run_of_an_experiment_is_read_only_and_forked_by_one_button(
    page: Page, server: StreamlitServer, store: Store, mnist5k: ImageDataset
) -> None:
    protocol = fast.protocol(n_acquisition_steps=1)
    made = control.create_experiment(store, mnist5k, protocol, ["bald"], [2], full_data=False)
    (run,) = store.experiments.runs(made.experiment_id)
    list(advance(Workbench(store), run.run_id))
    before = store.log(run.run_id)
    page.goto(f"{server.url}/?run={run.run_id}")
    expect(page.get_by_text(f"belongs to experiment {made.experiment_id}")).to_be_visible(
        timeout=WORK_MS
    )
    expect(page.locator(".label-grid.locked")).to_be_visible(timeout=WORK_MS)
    expect(page.get_by_role("button", name="Undo the last batch")).to_have_count(0)
    page.locator(".cells").focus()
    page.keyboard.press("u")
    page.get_by_role("button", name="Fork it to go on by hand").click()
    expect(page).not_to_have_url(re.compile(f"run={run.run_id}"), timeout=WORK_MS)
    mine = next(one.run_id for one in store.runs() if one.forked_from == run.run_id)
    expect(page).to_have_url(re.compile(f"run={mine}"), timeout=WORK_MS)
    label_all(page, store, mine)
    assert store.log(mine).answerers == ("oracle", "person Ann")
    assert store.log(run.run_id) == before
