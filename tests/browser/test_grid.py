"""The labelling grid in a real browser: what is typed is what arrives, on the right images."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import StreamlitServer
from tests.browser.grid_page import COLD_START_MS, MEASURE_LATENCY, Grid, look

pytestmark = pytest.mark.browser

TOO_SOON = "Too soon: this image has just appeared. Look, then go on."
GRID_APP = Path(__file__).with_name("grid_app.py")


@pytest.fixture(scope="session")
def log_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grid")


@pytest.fixture(scope="module")
def server(
    start_server: Callable[..., StreamlitServer], browser: Browser, log_folder: Path
) -> StreamlitServer:
    return start_server(GRID_APP, DAL_GRID_LOG=str(log_folder))


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A log of its own for every test: queries start over."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)


@pytest.fixture
def grid(page: Page, server: StreamlitServer, log_folder: Path, name: str) -> Grid:
    return Grid(page, server, log_folder, name)


def test_ten_digits_and_enter_arrive_as_one_submission_on_the_right_images(grid: Grid) -> None:
    grid.open()
    ids = grid.ids()
    grid.type("8814716278")
    grid.expect_status("10 of 10 labelled")
    grid.press("Enter")
    grid.wait_for_other_images(ids)
    (submission,) = grid.submissions()
    assert submission["answers"] == dict(zip(map(str, ids), map(int, "8814716278"), strict=True))
    assert submission["skipped"] == []
    assert submission["seconds"].keys() == submission["answers"].keys()
    grid.expect_status("0 of 10 labelled")
    grid.expect_focus(0)


def test_time_is_counted_for_the_image_it_was_spent_on(grid: Grid) -> None:
    grid.open()
    ids = [str(i) for i in grid.ids()]
    grid.type("01")
    grid.page.wait_for_timeout(600)
    grid.type("23456789")
    grid.press("Enter")
    (submission,) = grid.wait_for_submissions(1)
    assert submission["seconds"].keys() == set(ids)
    assert submission["seconds"][ids[2]] >= 0.6
    assert submission["seconds"][ids[1]] < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("gap_ms", [0, 20, 50])
def test_no_label_lands_on_a_wrong_image_however_fast_the_typing(
    grid: Grid, gap_ms: int, record_property: Callable[[str, object], None]
) -> None:
    digits = "".join(random.Random(gap_ms).choices("0123456789", k=200))
    grid.open()
    grid.page.evaluate(MEASURE_LATENCY)
    expected = []
    for start in range(0, len(digits), 10):
        ids, batch = grid.ids(), digits[start : start + 10]
        expected.append(dict(zip(map(str, ids), map(int, batch), strict=True)))
        grid.type(batch, gap_ms)
        grid.press("Enter")
        grid.wait_for_other_images(ids)
    assert [submission["answers"] for submission in grid.submissions()] == expected
    latencies = grid.page.evaluate("latencies")
    median, p95 = statistics.median(latencies), statistics.quantiles(latencies, n=20)[-1]
    print(f"\ngap {gap_ms} ms: {len(latencies)} labels, median {median:.1f}, p95 {p95:.1f} ms")
    record_property("key_to_label_ms", {"median": median, "p95": p95})
    if gap_ms == 50:  # 20 presses a second; faster ones queue up before they are painted
        assert len(latencies) >= 100  # the times are for people to read, no test fails by the clock


def test_digits_beyond_the_last_image_change_no_label(grid: Grid) -> None:
    grid.open()
    grid.type("0123456789" + "55")
    grid.expect_labels("0123456789")


def test_backspace_clears_the_label_given_last_and_nothing_else(grid: Grid) -> None:
    grid.open()
    grid.type("123")
    grid.press("Backspace")
    grid.expect_labels("12........")
    grid.expect_focus(2)
    grid.press("Backspace", "Backspace", "Backspace")
    grid.expect_labels("..........")
    grid.expect_focus(0)


def test_backspace_on_a_labelled_image_clears_that_one(grid: Grid) -> None:
    grid.open()
    grid.type("123")
    grid.page.locator(".cell").nth(0).click()
    grid.press("Backspace")
    grid.expect_labels(".23.......")
    grid.type("7")
    grid.expect_labels("723.......")
    grid.expect_focus(3)


def test_arrows_move_by_image_and_by_row_and_stop_at_the_edge(grid: Grid) -> None:
    grid.open()
    grid.press("ArrowLeft", "ArrowUp")
    grid.expect_focus(0)
    grid.press("ArrowDown", "ArrowRight")
    grid.expect_focus(6)
    grid.type("4")
    grid.expect_labels("......4...")
    grid.expect_focus(7)


def test_no_key_lands_on_an_image_that_has_just_appeared(grid: Grid) -> None:
    grid.open()
    grid.type("1")
    ids = grid.ids()
    grid.page.keyboard.type("s7s")  # meant for the image that was there
    grid.expect_status(TOO_SOON)
    grid.expect_labels("1.........")
    now = grid.ids()
    assert now[1] != ids[1] and len(set(ids) - set(now)) == 1  # the second s skipped nothing
    grid.type("7")
    grid.expect_labels("17........")
    grid.type("23456789")
    grid.page.keyboard.type("\n" + "5" * 10)  # typed on while the next ten appear
    (submission,) = grid.wait_for_submissions(1)
    assert submission["answers"][str(now[1])] == 7
    grid.wait_for_other_images(now)
    grid.expect_labels("..........")


@pytest.mark.parametrize("gap_ms", [30, 350])
def test_a_burst_that_begins_too_soon_labels_no_image_at_all(grid: Grid, gap_ms: int) -> None:
    grid.open()
    grid.type("1")
    grid.press("s")
    # The 7 is refused. Were the others taken, each would label the image before its own.
    grid.page.keyboard.type("7345678", delay=gap_ms)
    grid.expect_status(TOO_SOON)
    grid.expect_labels("1.........")
    grid.expect_focus(1)
    grid.type("734")  # after a pause
    grid.expect_labels("1734......")


def test_in_a_refused_burst_backspace_clears_no_earlier_label(grid: Grid) -> None:
    grid.open()
    grid.type("12")
    grid.press("s")
    grid.page.keyboard.type("7")
    grid.page.keyboard.press("Backspace")  # meant for the 7
    grid.page.keyboard.type("8")
    grid.expect_labels("12........")


def test_a_burst_that_runs_over_into_the_next_images_labels_none_of_them(grid: Grid) -> None:
    grid.open()
    ids = grid.ids()
    grid.type("0123456789")
    grid.press("Enter")
    grid.page.keyboard.type("5" * 30, delay=100)  # on and on, while the next ten appear
    grid.wait_for_other_images(ids)
    grid.expect_labels("..........")
    grid.type("6")
    grid.expect_labels("6.........")


def test_a_click_at_an_image_shows_that_the_person_looks(grid: Grid) -> None:
    grid.open()
    grid.press("s")
    grid.page.keyboard.type("7")
    grid.expect_status(TOO_SOON)
    grid.page.locator(".cell").nth(3).click()
    grid.page.keyboard.type("4")
    grid.expect_labels("...4......")


def test_a_touch_at_an_image_that_has_just_appeared_labels_nothing(grid: Grid) -> None:
    grid.open()
    look(grid.page)
    skip, seven = grid.page.locator("[data-do=skip]"), grid.page.locator(".classes button").nth(7)
    grid.page.evaluate(
        "([one, two]) => { one.click(); two.click(); }",
        [skip.element_handle(), seven.element_handle()],
    )
    grid.expect_labels("..........")
    look(grid.page)
    seven.click()
    grid.expect_labels("7.........")


def test_with_all_labelled_a_correction_can_be_corrected_again(grid: Grid) -> None:
    grid.open()
    grid.type("0123456789")
    expect(grid.page.locator(".cell[aria-selected=true]")).to_have_count(0)
    grid.page.locator(".cell").nth(3).click()
    grid.type("7")
    grid.expect_labels("0127456789")
    grid.expect_focus(3)
    grid.type("8")
    grid.expect_labels("0128456789")
    grid.press("ArrowRight")
    grid.type("1")
    grid.expect_labels("0128156789")
    grid.press("Enter")
    (submission,) = grid.wait_for_submissions(1)
    assert list(submission["answers"].values()).count(8) == 2


def test_labels_whose_batch_was_taken_back_elsewhere_come_back_with_its_images(
    grid: Grid, server: StreamlitServer, log_folder: Path, name: str
) -> None:
    grid.open()
    first = grid.ids()
    grid.type("0123456789")
    grid.press("Enter")
    grid.wait_for_other_images(first)
    grid.type("98")
    grid.press("s")
    grid.type("76543210")
    second = grid.ids()
    tab = Grid(grid.page.context.new_page(), server, log_folder, name).open()
    tab.press("u")
    expect(tab.page.locator(f".cell[data-image-id='{first[0]}']")).to_have_count(1)
    grid.press("Enter")  # answers a batch that is not asked any more
    expect(grid.page.locator(f".cell[data-image-id='{first[0]}']")).to_have_count(1)
    grid.expect_labels("..........")
    grid.type("0000000000")
    grid.press("Enter")
    expect(grid.page.locator(f".cell[data-image-id='{second[0]}']")).to_have_count(1)
    grid.expect_labels("9876543210")
    grid.expect_status(
        "Your labels of these images were not saved before. They are filled in again."
    )
    assert grid.ids() == second
    grid.press("Enter")
    *_, last = grid.wait_for_submissions(4)  # the first, the undo, the first again, the second
    assert last["answers"] == dict(zip(map(str, second), range(9, -1, -1), strict=True))
    assert len(last["skipped"]) == 1 and all(last["seconds"].values())


def test_labels_dropped_with_the_undo_key_do_not_come_back(grid: Grid) -> None:
    grid.open()
    first = grid.ids()
    grid.type("0123456789")
    grid.press("Enter")
    grid.wait_for_other_images(first)
    second = grid.ids()
    grid.type("55")
    grid.press("u", "u")
    grid.wait_for_other_images(second)
    grid.type("0123456789")
    grid.press("Enter")
    grid.wait_for_other_images(first)
    assert grid.ids() == second
    grid.expect_labels("..........")


def test_a_skipped_image_is_replaced_from_the_reserve_at_once(grid: Grid) -> None:
    grid.open()
    first = grid.ids()
    grid.type("1")
    grid.press("s", "Space")
    grid.expect_status("1 of 10 labelled, 2 skipped")
    shown = grid.ids()
    assert shown[0] == first[0] and shown[2:] == first[2:]
    assert shown[1] not in first
    grid.expect_focus(1)
    grid.type("234567890")
    grid.press("Enter")
    (submission,) = grid.wait_for_submissions(1)
    assert submission["answers"] == dict(zip(map(str, shown), [*range(1, 10), 0], strict=True))
    assert submission["skipped"][0] == first[1]
    assert len(set(submission["skipped"]) | set(shown)) == 12


def test_with_the_ranking_exhausted_fewer_labels_complete_the_query(grid: Grid) -> None:
    grid.open(total=11)
    grid.press("s", "s", "s")
    grid.expect_status("0 of 8 labelled, 3 skipped")
    expect(grid.page.locator(".submit")).to_be_disabled()
    ids = grid.ids()
    grid.type("12345678")
    expect(grid.page.locator(".submit")).to_have_text("Submit 8 labels")
    grid.press("Enter")
    (submission,) = grid.wait_for_submissions(1)
    assert submission["answers"] == dict(zip(map(str, ids), range(1, 9), strict=True))
    assert len(submission["skipped"]) == 3


def test_enter_before_the_last_label_sends_nothing(grid: Grid) -> None:
    grid.open()
    grid.type("123456789")
    grid.press("Enter")
    grid.expect_status("9 of 10 labelled")
    expect(grid.page.locator(".submit")).to_be_disabled()
    assert not grid.log.exists()


def test_u_takes_the_last_submission_back_and_its_images_are_asked_again(grid: Grid) -> None:
    grid.open()
    ids = grid.ids()
    grid.type("8814716278")
    grid.press("Enter")
    grid.wait_for_other_images(ids)
    grid.press("u")
    expect(grid.page.locator(".cell").first).to_have_attribute("data-image-id", str(ids[0]))
    grid.expect_status("0 of 10 labelled")
    grid.expect_focus(0)
    assert grid.ids() == ids
    assert [line.get("undo") for line in grid.submissions()] == [None, 1]
    grid.type("0123456789")
    grid.press("Enter")
    grid.wait_for_other_images(ids)
    assert grid.submissions()[-1]["answers"] == dict(zip(map(str, ids), range(10), strict=True))


def test_u_drops_labels_typed_since_only_when_pressed_twice(grid: Grid) -> None:
    grid.open()
    ids = grid.ids()
    grid.type("8814716278")
    grid.press("Enter")
    grid.wait_for_other_images(ids)
    grid.type("55")
    grid.press("u")
    grid.expect_status("Press U again to take back the last batch and drop these labels.")
    grid.type("5")  # another key: the question is withdrawn
    grid.expect_status("3 of 10 labelled")
    grid.expect_labels("555.......")
    grid.press("u", "u")
    expect(grid.page.locator(".cell").first).to_have_attribute("data-image-id", str(ids[0]))
    grid.expect_labels("..........")


def test_u_works_while_the_saved_labels_are_in_view(grid: Grid) -> None:
    grid.open(hold=1)
    grid.type("0123456789")
    grid.press("Enter")
    grid.expect_status("Saved.")
    grid.press("u")
    grid.expect_status("0 of 10 labelled")


def test_with_nothing_submitted_u_says_so_and_keeps_the_labels(grid: Grid) -> None:
    grid.open()
    grid.type("12")
    grid.press("u")
    grid.expect_status("Nothing was submitted yet, so there is nothing to take back.")
    grid.expect_labels("12........")
    grid.type("3")
    grid.expect_status("3 of 10 labelled")


def test_r_opens_the_review_and_closes_it(grid: Grid) -> None:
    grid.open()
    grid.press("r")
    expect(grid.page.get_by_text("Review open: True")).to_be_visible()
    grid.press("r")
    expect(grid.page.get_by_text("Review open: False")).to_be_visible()
    grid.expect_labels("..........")


def test_r_pressed_in_haste_alternates_all_the_same(grid: Grid) -> None:
    grid.open()
    for times, is_open in ((3, True), (2, True), (3, False)):  # faster than Python answers
        grid.press(*["r"] * times)
        expect(grid.page.get_by_text(f"Review open: {is_open}")).to_be_visible()


def test_before_the_first_query_its_places_are_there_and_nothing_moves_when_it_comes(
    grid: Grid,
) -> None:
    grid.open(total=0, disabled=1)
    expect(grid.page.get_by_text("The first images will appear here.")).to_be_visible()
    expect(grid.page.locator(".cell.empty")).to_have_count(10)
    places = grid.page.locator(".label-grid").bounding_box()
    grid.type("12")
    grid.open()
    grid.expect_labels("..........")
    assert grid.page.locator(".label-grid").bounding_box() == places


def test_shortcuts_and_held_keys_label_nothing(grid: Grid) -> None:
    grid.open()
    grid.press("Control+5", "Alt+5", "Meta+5")
    grid.expect_labels("..........")
    look(grid.page)
    for _ in range(4):
        grid.page.keyboard.down("6")  # the second and later ones are key repeats
    grid.page.keyboard.up("6")
    grid.expect_labels("6.........")


def test_keys_pressed_in_another_input_label_nothing(grid: Grid) -> None:
    grid.open()
    notes = grid.page.get_by_label("Notes")
    notes.click()
    grid.type("12345")
    expect(notes).to_have_value("12345")
    grid.expect_labels("..........")


def test_a_new_query_does_not_take_focus_from_an_input(grid: Grid) -> None:
    grid.open()
    ids = grid.ids()
    grid.type("0123456789")
    grid.press("Enter")
    notes = grid.page.get_by_label("Notes")
    notes.focus()
    grid.wait_for_other_images(ids)
    expect(notes).to_be_focused()


def test_a_reload_before_submitting_keeps_labels_and_skips(grid: Grid) -> None:
    grid.open()
    grid.type("12")
    grid.press("s")
    grid.type("3")
    ids = grid.ids()
    grid.page.reload()
    grid.expect_labels("123.......")
    grid.expect_status("3 of 10 labelled, 1 skipped")
    assert grid.ids() == ids
    grid.expect_focus(3)


def test_a_rerun_of_the_page_keeps_labels_and_the_very_same_cells(grid: Grid) -> None:
    grid.open()
    grid.type("123")
    grid.page.locator(".cell").first.evaluate("cell => { cell.title = 'drawn once'; }")
    grid.page.get_by_label("Notes").fill("a note")
    grid.press("Enter")
    expect(grid.page.get_by_text("Notes: a note")).to_be_visible()
    grid.expect_labels("123.......")
    expect(grid.page.locator(".cell").first).to_have_attribute("title", "drawn once")


@pytest.mark.parametrize(
    "mirrored",
    [
        "no JSON",
        "null",
        '{"state": {"slots": [1], "reserve": [], "skipped": [], "given": [], "labels": {}}}',
    ],
)
def test_nonsense_in_the_browser_storage_starts_the_query_afresh(grid: Grid, mirrored: str) -> None:
    grid.open()
    grid.type("1")
    (key,) = grid.mirrored()
    grid.page.evaluate("([key, text]) => sessionStorage.setItem(key, text)", [key, mirrored])
    grid.page.reload()
    grid.expect_labels("..........")
    grid.type("7")
    grid.expect_labels("7.........")


def test_labels_leave_the_browser_once_the_server_has_moved_on(grid: Grid) -> None:
    grid.open()
    ids = grid.ids()
    grid.type("0123456789")
    assert len(grid.mirrored()) == 1
    grid.press("Enter")
    grid.wait_for_other_images(ids)
    assert grid.mirrored() == []


def test_the_grid_says_saved_only_when_the_server_does(grid: Grid) -> None:
    grid.open(deaf=1)
    grid.type("0123456789")
    grid.press("Enter")
    grid.expect_status("Sending…")
    expect(grid.page.locator(".submit")).to_be_disabled()
    grid.type("5")
    grid.expect_labels("0123456789")
    grid.expect_status("Not confirmed yet, trying again. Your labels are kept.")
    expect(grid.page.locator(".submit")).to_have_text("Send again")


def test_saved_keeps_the_labels_in_view_until_the_next_query(grid: Grid) -> None:
    grid.open(hold=1)
    grid.type("0123456789")
    grid.press("Enter")
    grid.expect_status("Saved.")
    grid.expect_labels("0123456789")
    assert grid.mirrored() == []


def test_a_submission_that_was_never_confirmed_is_sent_again_after_a_reload(grid: Grid) -> None:
    grid.open(deaf=1)
    grid.type("0123456789")
    grid.press("Enter")
    grid.expect_status("Sending…")
    mirrored = grid.page.evaluate("JSON.parse(Object.values(sessionStorage)[0]).pending.nonce")
    grid.open()
    (submission,) = grid.wait_for_submissions(1)
    assert submission["nonce"] == mirrored
    assert list(submission["answers"].values()) == list(range(10))


def test_a_disabled_grid_takes_no_keys(grid: Grid) -> None:
    grid.open(disabled=1)
    grid.page.locator(".cell").nth(2).click(force=True)
    grid.type("123")
    grid.press("s")
    grid.expect_labels("..........")
    grid.expect_status("0 of 10 labelled")
    expect(grid.page.locator(".pad button:enabled")).to_have_count(0)


def test_the_key_list_opens_and_closes_with_the_question_mark(grid: Grid) -> None:
    grid.open()
    keys = grid.page.locator(".keys")
    expect(keys).to_be_hidden()
    grid.press("?")
    expect(keys).to_be_visible()
    grid.press("Escape")
    expect(keys).to_be_hidden()


def test_the_key_list_gives_way_to_the_images_when_labelling_goes_on(grid: Grid) -> None:
    grid.open()
    grid.press("?")
    expect(grid.page.locator(".keys")).to_be_visible()
    grid.type("7")
    expect(grid.page.locator(".keys")).to_be_hidden()
    grid.expect_labels("7.........")


def test_classes_with_names_are_labelled_by_key_or_button_and_shown_by_name(grid: Grid) -> None:
    grid.open(classes=3)
    ids = grid.ids()
    buttons = grid.page.locator(".classes button")
    expect(buttons).to_have_text(["0cat", "1dog", "2a long-haired guinea pig"])
    expect(grid.page.locator(".hint .range")).to_have_text("0–2")
    grid.type("0127")  # there is no class 7
    buttons.nth(1).click()
    grid.expect_status("4 of 10 labelled")
    names = grid.page.locator(".cell .label")
    expect(names).to_have_text(["cat", "dog", "a long-haired guinea pig", "dog", *[""] * 6])
    grid.type("000000")
    grid.press("Enter")
    (submission,) = grid.wait_for_submissions(1)
    expected = [0, 1, 2, 1, 0, 0, 0, 0, 0, 0]
    assert submission["answers"] == dict(zip(map(str, ids), expected, strict=True))


def test_more_than_ten_classes_have_letters_that_no_other_key_uses(grid: Grid) -> None:
    grid.open(classes=15)
    grid.type("aBo5")  # classes 0, 1 and 14; a digit is no class here
    grid.press("s")
    grid.expect_status("3 of 10 labelled, 1 skipped")
    expect(grid.page.locator(".cell .label")).to_have_text(["cat", "dog", "animal 14", *[""] * 7])


def test_a_screen_reader_is_told_the_count_and_never_the_digit(grid: Grid) -> None:
    grid.open()
    expect(grid.page.get_by_role("listbox", name="Images to label")).to_be_focused()
    expect(grid.page.get_by_role("option")).to_have_count(10)
    expect(grid.page.get_by_alt_text("image 3 of 10")).to_have_count(1)
    grid.type("123")
    expect(grid.page.get_by_role("status")).to_have_text("3 of 10 labelled")
    active = grid.page.get_by_role("listbox").get_attribute("aria-activedescendant")
    expect(grid.page.locator(f"#{active}")).to_have_attribute("aria-selected", "true")


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True
    )
    yield context.new_page()
    context.close()


def test_a_phone_labels_skips_clears_and_submits_by_touch(
    phone: Page, server: StreamlitServer, log_folder: Path, name: str
) -> None:
    grid = Grid(phone, server, log_folder, name).open()
    look(phone)
    phone.locator(".cell").nth(4).tap()
    phone.locator("[data-class='7']").tap()
    grid.expect_labels("....7.....")
    phone.locator("[data-do=clear]").tap()
    grid.expect_labels("..........")
    phone.locator("[data-do=skip]").tap()
    grid.expect_status("0 of 10 labelled, 1 skipped")
    look(phone)
    for digit in "4567890123":
        phone.locator(f"[data-class='{digit}']").tap()
    grid.expect_labels("0123456789")
    phone.locator(".submit").tap()
    (submission,) = grid.wait_for_submissions(1)
    assert len(submission["answers"]) == 10
    assert len(submission["skipped"]) == 1


@pytest.mark.parametrize("classes", [0, 15])  # the ten digits, or names
@pytest.mark.parametrize("width", [360, 800, 1024, 1280])
def test_touch_targets_are_at_least_44_pixels_at_every_width(
    phone: Page, server: StreamlitServer, log_folder: Path, name: str, width: int, classes: int
) -> None:
    phone.set_viewport_size({"width": width, "height": 800})
    Grid(phone, server, log_folder, name).open(classes=classes)
    for box in phone.locator(".cell, .label-grid button:visible").all():
        size = box.bounding_box()
        assert size and size["width"] >= 44 and size["height"] >= 44, size
    assert phone.evaluate("document.documentElement.scrollWidth") <= width


def test_the_grid_fits_three_fifths_of_a_1280_by_800_page(grid: Grid) -> None:
    grid.open()
    box = grid.page.locator(".label-grid").bounding_box()
    assert box and box["height"] <= 440
    image = grid.page.locator(".cell img").first.bounding_box()
    assert image and 105 <= image["width"] <= 112


@pytest.fixture
def own_server(
    start_server: Callable[..., StreamlitServer], browser: Browser, log_folder: Path
) -> StreamlitServer:
    """A server that a test may kill."""
    return start_server(GRID_APP, DAL_GRID_LOG=str(log_folder))


@pytest.mark.slow
def test_labels_submitted_while_the_server_is_down_arrive_when_it_is_back(
    page: Page, own_server: StreamlitServer, log_folder: Path, name: str
) -> None:
    grid = Grid(page, own_server, log_folder, name).open()
    ids = grid.ids()
    grid.type("01234")
    own_server.kill()
    grid.type("56789")
    grid.press("Enter")
    grid.expect_status("Sending…")
    own_server.start()
    (submission,) = grid.wait_for_submissions(1)
    assert submission["answers"] == dict(zip(map(str, ids), range(10), strict=True))
    grid.wait_for_other_images(ids)
    grid.expect_status("0 of 10 labelled")


@pytest.mark.slow
def test_an_undo_asked_for_while_the_server_is_down_takes_back_one_submission(
    page: Page, own_server: StreamlitServer, log_folder: Path, name: str
) -> None:
    grid = Grid(page, own_server, log_folder, name).open()
    for _ in range(2):
        ids = grid.ids()
        grid.type("0123456789")
        grid.press("Enter")
        grid.wait_for_other_images(ids)
    own_server.kill()
    grid.press("u")
    grid.expect_status("Taking back the last batch…")
    own_server.start()
    expect(page.locator(".cell").first).to_have_attribute(
        "data-image-id", str(ids[0]), timeout=COLD_START_MS
    )
    grid.expect_status("0 of 10 labelled")
    assert [line.get("undo") for line in grid.submissions()] == [None, None, 2]


@pytest.mark.slow
def test_labels_not_yet_submitted_survive_a_restarted_server(
    page: Page, own_server: StreamlitServer, log_folder: Path, name: str
) -> None:
    grid = Grid(page, own_server, log_folder, name).open()
    grid.type("0123")
    own_server.kill()
    own_server.start()
    page.reload()
    grid.expect_labels("0123......")
    grid.type("456789")
    grid.press("Enter")
    (submission,) = grid.wait_for_submissions(1)
    assert list(submission["answers"].values()) == list(range(10))
