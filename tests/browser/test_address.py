"""Back, Forward, reload and second tabs: every page shows what the address names."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.experiments import control
from dal_core.store.base import Store
from dal_ui.label import actions
from tests import fast
from tests.browser.conftest import StreamlitServer

pytestmark = pytest.mark.browser

WORK_MS = 120_000  # a loaded machine is no reason to fail


@pytest.fixture(scope="module")
def runs(store: Store, mnist5k: ImageDataset) -> tuple[str, str]:
    """Two runs with a query each, by Ann and by Bob."""
    ids = []
    for seed, name in enumerate(("Ann", "Bob"), start=1):
        ids.append(actions.start_run(store, mnist5k, fast.protocol(), "bald", seed, name))
        list(advance(Workbench(store), ids[-1]))
    return ids[0], ids[1]


def see_run(page: Page, name: str, seed: int) -> None:
    """The page is drawn for the run with this title and seed, and for no other."""
    other = {"Ann": "Bob", "Bob": "Ann"}[name]
    main = page.get_by_test_id("stMain")
    about = main.locator("p", has_text=re.compile(rf"^{name} · .* · seed {seed} · "))
    expect(about.first).to_be_visible(timeout=WORK_MS)
    expect(main.locator("p", has_text=re.compile(rf"^{other} · "))).to_have_count(0)
    whole(page)


def see_start(page: Page) -> None:
    expect(page.get_by_role("button", name="Start labelling")).to_be_visible(timeout=WORK_MS)
    whole(page)


def whole(page: Page) -> None:
    """The page is drawn to its end, from where on the address is watched."""
    page.wait_for_timeout(300)  # a change of page begins a little after the change of address
    done = page.locator("[data-testid=stApp][data-test-script-state=notRunning]")
    expect(done).to_be_visible(timeout=WORK_MS)
    page.wait_for_function("() => window.dalAddress?.drawn", timeout=WORK_MS)
    page.wait_for_timeout(300)


def settle(page: Page, url: str) -> None:
    """The address stays what it was led to: the page adds nothing to it."""
    page.wait_for_url(url)
    page.wait_for_timeout(600)
    assert page.url == url


def test_label_follows_back_and_forward_between_runs_and_the_start_form(
    page: Page, server: StreamlitServer, runs: tuple[str, str]
) -> None:
    one, two = runs
    first = f"{server.url}/label?run={one}"
    page.goto(first)
    see_run(page, "Ann", 1)
    page.get_by_role("button", name="New run").click()
    see_start(page)
    start = page.url
    page.locator(f".st-key-open-{two} button").click()
    see_run(page, "Bob", 2)
    page.go_back()
    see_start(page)
    settle(page, start)
    page.go_back()  # Streamlit's own step between the pages, a start form too
    see_start(page)
    page.go_back()
    see_run(page, "Ann", 1)
    settle(page, first)
    page.go_forward()
    see_start(page)
    page.evaluate("history.go(2)")
    see_run(page, "Bob", 2)
    settle(page, f"{server.url}/?run={two}")
    page.reload()
    see_run(page, "Bob", 2)
    tab = page.context.new_page()
    tab.goto(first)
    see_run(tab, "Ann", 1)
    see_run(page, "Bob", 2)


def test_explain_follows_back_through_its_choice_of_runs(
    page: Page, server: StreamlitServer, runs: tuple[str, str]
) -> None:
    one, two = runs
    page.goto(f"{server.url}/explain?run={one}")
    see_run(page, "Ann", 1)
    choose_run(page, "Bob", 2)
    page.go_back()
    see_run(page, "Ann", 1)
    settle(page, f"{server.url}/explain?run={one}")
    page.go_forward()
    see_run(page, "Bob", 2)
    settle(page, f"{server.url}/explain?run={two}")


def test_back_from_another_page_shows_the_run_of_then_and_leads_on_to_where_one_came_from(
    page: Page, server: StreamlitServer, runs: tuple[str, str]
) -> None:
    one, _ = runs
    page.goto(f"{server.url}/label?run={one}")
    see_run(page, "Ann", 1)
    whole = page.locator("[data-testid=stApp][data-test-script-state=notRunning]")
    expect(whole).to_be_visible(timeout=WORK_MS)  # drawn to its end, where the address is watched
    page.get_by_role("link", name="Runs").click()
    page.wait_for_url(f"**/runs?run={one}")
    expect(page.get_by_role("button", name="Open")).to_be_visible(timeout=WORK_MS)
    page.get_by_role("link", name="Explain").click()
    see_run(page, "Ann", 1)
    page.go_back()
    expect(page.get_by_text("Ann · ", exact=False).first).to_be_visible(timeout=WORK_MS)
    settle(page, f"{server.url}/runs?run={one}")
    page.go_back()
    see_run(page, "Ann", 1)
    settle(page, f"{server.url}/label?run={one}")


def test_runs_follows_back_to_the_run_chosen_before(
    page: Page, server: StreamlitServer, runs: tuple[str, str]
) -> None:
    one, two = runs
    page.goto(f"{server.url}/runs?run={one}")
    chosen = page.get_by_test_id("stMain").locator("p", has_text="protocol")
    expect(chosen.filter(has_text="Ann")).to_be_visible(timeout=WORK_MS)
    page.evaluate(f"location.hash = 'x'; history.replaceState({{}}, '', '/runs?run={two}')")
    page.go_back()  # the same address as drawn: nothing happens
    settle(page, f"{server.url}/runs?run={one}")
    page.go_forward()
    expect(chosen.filter(has_text="Bob")).to_be_visible(timeout=WORK_MS)
    settle(page, f"{server.url}/runs?run={two}")
    page.go_back()
    expect(chosen.filter(has_text="Ann")).to_be_visible(timeout=WORK_MS)
    expect(chosen.filter(has_text="Bob")).to_have_count(0)
    settle(page, f"{server.url}/runs?run={one}")


def test_reproduce_follows_back_to_the_list_and_forward_to_the_experiment(
    page: Page, server: StreamlitServer, store: Store, mnist5k: ImageDataset
) -> None:
    row = control.create_experiment(
        store, mnist5k, fast.protocol(), ["random"], [7], full_data=False, title="from before"
    )
    control.pause(store, row.experiment_id)
    page.goto(f"{server.url}/reproduce")
    page.locator(f".st-key-open-{row.experiment_id} button").click(timeout=WORK_MS)
    title = page.get_by_role("heading", name="from before")
    expect(title).to_be_visible(timeout=WORK_MS)
    page.go_back()
    expect(page.get_by_role("heading", name="Start an experiment")).to_be_visible(timeout=WORK_MS)
    expect(title).to_have_count(0)
    settle(page, f"{server.url}/reproduce")
    page.go_forward()
    expect(title).to_be_visible(timeout=WORK_MS)
    settle(page, f"{server.url}/reproduce?experiment={row.experiment_id}")


BACK_THREE_TIMES = """() => new Promise((done) => {
    let left = 3;
    const back = () => {
        history.back();
        left -= 1;
        setTimeout(left ? back : done, 60);
    };
    back();
})"""


@pytest.mark.parametrize("other_pages", [False, True])
def test_three_backs_at_once_end_where_the_browser_says(
    page: Page, server: StreamlitServer, runs: tuple[str, str], other_pages: bool
) -> None:
    page.goto(f"{server.url}/explain?run={runs[0]}")
    see_run(page, "Ann", 1)
    choose_run(page, "Bob", 2)
    if other_pages:
        page.get_by_role("link", name="Runs").click()
        page.wait_for_url("**/runs?**")
        whole(page)
        page.get_by_role("link", name="Label").click()
        page.wait_for_url(re.compile(r"/\?run="))
        whole(page)
    else:
        choose_run(page, "Ann", 1)
        choose_run(page, "Bob", 2)
    slowly = page.context.new_cdp_session(page)
    slowly.send("Emulation.setCPUThrottlingRate", {"rate": 8})
    page.evaluate(BACK_THREE_TIMES)
    page.wait_for_timeout(1500)
    slowly.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    see_run(page, "Ann", 1)
    settle(page, f"{server.url}/explain?run={runs[0]}")


@pytest.mark.parametrize(("n_lost", "shown"), [(1, 0), (100, 1)])
def test_a_page_that_has_not_heard_of_a_step_back_is_told_again_and_else_keeps_its_address(
    page: Page, server: StreamlitServer, runs: tuple[str, str], n_lost: int, shown: int
) -> None:
    page.goto(f"{server.url}/explain?run={runs[0]}")
    see_run(page, "Ann", 1)
    choose_run(page, "Bob", 2)
    page.evaluate(
        """(left) => {
            const send = dalAddress.send;
            dalAddress.send = () => left-- > 0 || send();
        }""",
        n_lost,
    )
    page.go_back()
    page.wait_for_function("() => dalAddress.timer === null")
    see_run(page, ("Ann", "Bob")[shown], shown + 1)
    settle(page, f"{server.url}/explain?run={runs[shown]}")


def choose_run(page: Page, name: str, seed: int) -> None:
    page.get_by_role("combobox").first.click()
    page.get_by_role("option", name=re.compile(f"^{name}")).click()
    see_run(page, name, seed)


@pytest.mark.parametrize("size", [(390, 800), (1280, 720)])
def test_what_a_button_far_down_opens_begins_at_its_top(
    page: Page, server: StreamlitServer, store: Store, size: tuple[int, int]
) -> None:
    scrolled = "document.querySelector('[data-testid=stMain]').scrollTop"
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(server.url)
    start = page.get_by_role("button", name="Start labelling")
    start.scroll_into_view_if_needed(timeout=WORK_MS)
    page.wait_for_timeout(300)  # the form may grow under the button
    start.click()
    page.wait_for_url(re.compile(r"\?run="), timeout=WORK_MS)
    expect(page.locator(".label-grid")).to_be_visible(timeout=WORK_MS)
    page.wait_for_function(f"() => {scrolled} === 0", timeout=WORK_MS)
    page.goto(f"{server.url}/reproduce")
    button = page.locator(".st-key-start button")
    button.scroll_into_view_if_needed(timeout=WORK_MS)
    button.click(timeout=WORK_MS)
    page.wait_for_url(re.compile(r"\?experiment="), timeout=WORK_MS)
    page.locator(".st-key-pause button").click(timeout=WORK_MS)
    page.wait_for_function(f"() => {scrolled} === 0", timeout=WORK_MS)
    for row in store.experiments.all():
        control.stop(store, row.experiment_id)


def test_a_link_followed_while_the_address_is_still_watched_keeps_the_run(
    page: Page, server: StreamlitServer, runs: tuple[str, str]
) -> None:
    one, _ = runs
    page.goto(f"{server.url}/?run={one}")
    see_run(page, "Ann", 1)
    # As just after Back, or while a page of another address is drawn.
    page.evaluate("() => { window.dalAddress.timer = window.setInterval(() => {}, 1000); }")
    page.get_by_role("link", name="Runs").click()
    page.wait_for_url(f"**/runs?run={one}")
    whole(page)
    settle(page, f"{server.url}/runs?run={one}")
