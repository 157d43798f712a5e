"""The pages for everybody: screen readers, small screens, the keyboard; and nothing jumps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from dal_core.data.base import ImageDataset
from dal_core.execution.job import Workbench, advance
from dal_core.execution.predictions import Predictions, save_predictions
from dal_core.experiments import control
from dal_core.store.base import Store
from dal_core.store.home import run_dir
from dal_ui.label import actions
from tests import fast
from tests.browser.conftest import StreamlitServer, called
from tests.browser.grid_page import look
from tests.ui_kit import open_query, right_labels, submission

pytestmark = pytest.mark.browser

WORK_MS = 120_000  # a loaded machine is no reason to fail
SERIOUS = ("serious", "critical")
TABS = 40  # from the search to the table there are fewer places for the keyboard
LOOKS = 4  # a finding that is gone at a later look was of a moment only
# Streamlit's own, which no setting of ours reaches:
NOT_OURS = [
    # its segmented control writes the chosen option in the primary colour on a tint of it
    ['[data-variant="segmented_control"]'],
    ['[data-variant="pills"]'],  # and so do its pills
    # its slider writes the value in the primary colour, which must be dark enough for white text
    ['[data-testid="stSliderThumbValue"]'],
]


@pytest.fixture(scope="module")
def run_id(store: Store, mnist5k: ImageDataset) -> str:
    """A run with ten labels, one of them wrong, one image skipped, and a model that knows."""
    return labelled_run(store, mnist5k)


def labelled_run(store: Store, dataset: ImageDataset, **changes: int) -> str:
    run_id = actions.start_run(store, dataset, fast.protocol(**changes), "bald", 1, "Ann")
    bench = Workbench(store)
    for _ in advance(bench, run_id):
        pass
    log = store.log(run_id)
    query = open_query(log)
    labels = right_labels(query, dataset, query.ranking[:1])
    labels[query.ranking[1]] = (labels[query.ranking[1]] + 1) % 10
    actions.submit(store, log, submission(query, labels, query.ranking[:1]), "Ann")
    for _ in advance(bench, run_id):
        pass
    ids = np.array(query.ranking[:11])
    mean = np.full((11, 10), 0.05, np.float32)
    mean[np.arange(11), dataset.labels[ids]] = 0.55
    now = store.log(run_id)
    save_predictions(
        run_dir(store.home, run_id), Predictions(ids, mean, now.n_labelled, now.after, 0)
    )
    return run_id


@pytest.fixture(params=["light", "dark"])
def themed(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, color_scheme=request.param
    )
    called(context, "Ann")
    yield context.new_page()
    context.close()


def expect_accessible(page: Page) -> None:
    """No serious or critical finding of axe-core that stays, and it did look.

    Streamlit pales what it is about to draw anew: a finding of such a moment is none.
    """
    lines = [""]
    for _ in range(LOOKS):
        page.wait_for_timeout(500)  # colours fade in
        found = Axe().run(page, {"exclude": NOT_OURS})
        assert found.response["passes"]
        lines = [
            f"{v['impact']} {v['id']}: {node['html'][:120]} {node['failureSummary']}"
            for v in found.response["violations"]
            if v["impact"] in SERIOUS
            for node in v["nodes"]
        ]
        if not lines:
            return
    assert lines == []


def ready(page: Page) -> None:
    expect(page.locator(".label-grid:not(.locked)")).to_be_visible(timeout=WORK_MS)
    expect(page.get_by_test_id("stVegaLiteChart").last.locator("svg")).to_be_visible()


def test_the_labelling_page_and_the_review_are_accessible(
    themed: Page, server: StreamlitServer, run_id: str
) -> None:
    themed.goto(f"{server.url}/?run={run_id}")
    ready(themed)
    expect_accessible(themed)
    themed.keyboard.press("?")
    expect(themed.locator(".keys")).to_be_visible()
    expect_accessible(themed)
    themed.keyboard.press("?")
    themed.keyboard.press("r")
    expect(themed.get_by_role("heading", name="Review your labels")).to_be_visible()
    expect_accessible(themed)


def test_training_and_the_first_fit_are_accessible(
    themed: Page, server: StreamlitServer, store: Store, mnist5k: ImageDataset
) -> None:
    protocol = fast.protocol(n_epochs=20_000)
    run_id = actions.start_run(store, mnist5k, protocol, "bald", 3, "Ann")
    themed.goto(f"{server.url}/?run={run_id}")
    expect(themed.get_by_text("The first images will appear here.")).to_be_visible(timeout=WORK_MS)
    expect(themed.get_by_text("Training on 20 labels").first).to_be_visible(timeout=WORK_MS)
    expect_accessible(themed)
    store.set_directives(run_id, paused=True)


@pytest.mark.parametrize("path", ["/", "/reproduce", "/runs", "/runs?run={run}"])
def test_the_other_pages_are_accessible(
    themed: Page, server: StreamlitServer, run_id: str, path: str
) -> None:
    themed.goto(f"{server.url}{path.format(run=run_id)}")
    expect(themed.get_by_role("heading").first).to_be_visible(timeout=WORK_MS)
    expect(themed.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=WORK_MS)
    expect_accessible(themed)


@pytest.mark.parametrize(
    "tab", ["One image", "All functions", "What coverage", "A map of the pool", "Replay"]
)
def test_the_explaining_page_is_accessible(
    themed: Page, server: StreamlitServer, run_id: str, tab: str
) -> None:
    themed.goto(f"{server.url}/explain?run={run_id}")
    themed.get_by_role("tab", name=tab).click(timeout=WORK_MS)
    chart = themed.get_by_role("tabpanel").get_by_test_id("stVegaLiteChart").first
    expect(chart.locator("canvas, svg").first).to_be_visible(timeout=WORK_MS)
    expect(themed.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=WORK_MS)
    expect_accessible(themed)


@pytest.fixture(scope="module")
def experiment_id(store: Store, mnist5k: ImageDataset) -> str:
    """A finished experiment with tables and figures."""
    protocol = fast.protocol(n_epochs=1, n_acquisition_steps=2)
    row = control.create_experiment(
        store, mnist5k, protocol, ["bald", "random"], [1, 2], full_data=False, title="small"
    )
    bench = Workbench(store)
    for run in store.experiments.runs(row.experiment_id):
        for _ in advance(bench, run.run_id):
            pass
    return row.experiment_id


@pytest.mark.slow
def test_an_experiment_with_its_tables_and_figures_is_accessible(
    themed: Page, server: StreamlitServer, experiment_id: str
) -> None:
    themed.goto(f"{server.url}/reproduce?experiment={experiment_id}")
    expect(themed.get_by_role("tab", name="Figures")).to_be_visible(timeout=WORK_MS)
    for tab in themed.get_by_role("tab").all():
        tab.click()
        expect(themed.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=WORK_MS)
        expect_accessible(themed)


# -- nothing jumps -----------------------------------------------------------------------------


def places(page: Page) -> dict[str, object]:
    """Where the grid, its images, the charts and the buttons are, in pixels of the page."""
    return {
        "grid": page.locator(".label-grid").bounding_box(),
        "first image": page.locator(".cell").first.bounding_box(),
        "last image": page.locator(".cell").last.bounding_box(),
        "accuracy": page.get_by_test_id("stVegaLiteChart").first.bounding_box(),
        "information": page.get_by_test_id("stVegaLiteChart").last.bounding_box(),
        "undo": page.get_by_role("button", name="Undo the last batch").bounding_box(),
    }


@pytest.mark.parametrize(
    "size", [(1280, 800), pytest.param((800, 900), marks=pytest.mark.slow), (390, 844)]
)
def test_nothing_moves_from_the_first_fit_to_the_next_query_and_its_measurement(
    browser: Browser,
    server: StreamlitServer,
    store: Store,
    mnist5k: ImageDataset,
    size: tuple[int, int],
) -> None:
    protocol = fast.protocol(n_epochs=1000)  # long enough to be seen by a busy browser
    run_id = actions.start_run(store, mnist5k, protocol, "bald", size[0], "Ann")
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    called(context, "Ann")
    page = context.new_page()
    page.goto(f"{server.url}/?run={run_id}")
    expect(page.get_by_text("The first images will appear here.")).to_be_visible(timeout=WORK_MS)
    expect(page.get_by_text("Training on 20 labels").first).to_be_visible(timeout=WORK_MS)
    seen = {"first fit": places(page)}
    ready(page)
    seen["first query"] = places(page)
    expect(page.get_by_text("right at 20 labels")).to_be_visible(timeout=WORK_MS)
    seen["first measured"] = places(page)
    page.locator(".cells").focus()
    look(page)
    page.keyboard.type("0123456789")
    seen["labelled"] = places(page)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Training on 30 labels").first).to_be_visible(timeout=WORK_MS)
    seen["training"] = places(page)
    ready(page)
    seen["next query"] = places(page)
    expect(page.get_by_text("right at 30 labels · random")).to_be_visible(timeout=3 * WORK_MS)
    seen["measured"] = places(page)
    context.close()
    assert {name: place for name, place in seen.items() if place != seen["first query"]} == {}


@pytest.mark.parametrize("size", [(1280, 800), (800, 900)])
def test_nothing_moves_when_a_curve_shows_calibration(
    browser: Browser, server: StreamlitServer, run_id: str, size: tuple[int, int]
) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    called(context, "Ann")
    page = context.new_page()
    page.goto(f"{server.url}/?run={run_id}")
    ready(page)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=WORK_MS)
    before = places(page)
    for name, title in (("NLL", "Test NLL"), ("Calibration error", "Calibration error")):
        page.locator(".st-key-chart-measure").get_by_role("combobox").click()
        page.get_by_role("option", name=name).click()
        chart = page.get_by_test_id("stVegaLiteChart").first
        expect(chart.locator(f"[aria-label*='{title}']").first).to_be_attached(timeout=WORK_MS)
        expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=WORK_MS)
        assert places(page) == before, name
    context.close()


# -- small screens -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size",
    [
        (390, 844),
        pytest.param((800, 900), marks=pytest.mark.slow),
        pytest.param((1280, 800), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("path", ["/?run={run}", "/", "/reproduce", "/runs?run={run}"])
def test_no_page_is_wider_than_its_screen(
    browser: Browser, server: StreamlitServer, run_id: str, size: tuple[int, int], path: str
) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, has_touch=True)
    called(context, "Ann")
    page = context.new_page()
    page.goto(server.url + path.format(run=run_id))
    expect(page.get_by_role("button").last).to_be_visible(timeout=WORK_MS)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=WORK_MS)
    main = page.get_by_test_id("stMain")
    assert main.evaluate("element => element.scrollWidth") <= size[0]
    context.close()


def test_a_phone_shows_the_images_the_pad_and_the_button_on_one_screen(
    browser: Browser, server: StreamlitServer, run_id: str
) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    called(context, "Ann")
    page = context.new_page()
    page.goto(f"{server.url}/?run={run_id}")
    ready(page)
    box = page.locator(".submit").bounding_box()
    assert box and box["y"] + box["height"] <= 844
    for digit in "0123456789":
        page.locator(f"[data-class='{digit}']").tap()
    expect(page.locator(".status")).to_have_text("10 of 10 labelled")
    context.close()


# -- the review by keyboard --------------------------------------------------------------------


def test_a_label_is_corrected_from_the_review_with_the_keyboard_alone(
    page: Page, server: StreamlitServer, store: Store, mnist5k: ImageDataset
) -> None:
    run_id = labelled_run(store, mnist5k, n_epochs=7)
    (wrong,) = [i for i, label in store.log(run_id).labels() if label != mnist5k.labels[i]]
    page.goto(f"{server.url}/?run={run_id}")
    ready(page)
    page.keyboard.press("r")
    search = page.get_by_role("textbox", name="Search")
    expect(search).to_be_focused()
    page.keyboard.type(f"#{wrong}")
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-review [data-testid=stDataFrame]")).to_have_css("height", "86px")
    for _ in range(TABS):
        if page.evaluate("document.activeElement.tagName") in ("CANVAS", "TD"):
            break
        page.keyboard.press("Tab")
    table, right = page.locator(".st-key-review"), str(mnist5k.labels[wrong])
    for column, key in enumerate(("ArrowRight", right)):  # each key once the one before has worked
        cell = table.get_by_test_id(f"glide-cell-{column}-0")
        expect(cell).to_have_attribute("aria-selected", "true")
        page.keyboard.press(key)
    expect(page.locator(".gdg-input")).to_have_value(right)  # the table opened a field at the digit
    page.keyboard.press("Enter")
    expect(page.get_by_text("10 labels, 1 skipped, 1 corrected")).to_be_visible()
    assert dict(store.log(run_id).labels())[wrong] == mnist5k.labels[wrong]
    expect(page.get_by_text("Hollow points were measured before")).to_be_visible()
    page.locator(".st-key-review-close button").press("Enter")
    expect(page.get_by_role("heading", name="Review your labels")).to_have_count(0)
    expect(page.locator(".cells")).to_be_focused()


def test_u_on_the_labelling_page_brings_the_last_ten_back(
    page: Page, server: StreamlitServer, store: Store, mnist5k: ImageDataset
) -> None:
    run_id = labelled_run(store, mnist5k, n_epochs=8)
    log = store.log(run_id)
    first = log.queries[log.submissions[0].query_id].ranking[0]
    page.goto(f"{server.url}/?run={run_id}")
    ready(page)
    page.keyboard.press("u")
    expect(page.locator(".cell").first).to_have_attribute("data-image-id", str(first))
    expect(page.locator(".status")).to_have_text("0 of 10 labelled")
    assert store.log(run_id).submissions == ()
    page.keyboard.press("u")
    expect(page.locator(".status")).to_have_text(
        "Nothing was submitted yet, so there is nothing to take back."
    )
