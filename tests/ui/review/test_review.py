"""The review of labels: what is listed, what is suspicious, and what a correction does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dal_core.data.base import ImageDataset
from dal_core.execution.predictions import Predictions
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_ui.label import actions
from dal_ui.review.actions import LABEL, correct, new_edits
from dal_ui.review.rows import ORDERS, SHOWN, ReviewRow, chosen, review_rows, summary
from tests.ui_kit import asked_run, open_query, right_labels, submission

DIGITS = tuple("0123456789")


@pytest.fixture
def store(dal_home: Path) -> Store:
    return open_store(dal_home)


def answered(store: Store, dataset: ImageDataset) -> RunState:
    """A run with ten labels, the second of them wrong, and one image skipped."""
    run_id, _ = asked_run(store, dataset)
    log = store.log(run_id)
    query = open_query(log)
    skipped = (query.ranking[0],)
    labels = right_labels(query, dataset, skipped)
    wrong = query.ranking[2]
    labels[wrong] = (labels[wrong] + 1) % 10
    assert actions.submit(store, log, submission(query, labels, skipped), "Ann").status == "saved"
    return store.log(run_id)


def predictions(log: RunState, dataset: ImageDataset) -> Predictions:
    """A model that is right about every image, at 0.55."""
    ids = [answer.image_id for one in log.submissions for answer in one.answers]
    mean = np.full((len(ids), 10), 0.05, np.float32)
    mean[np.arange(len(ids)), dataset.labels[ids]] = 0.55
    return Predictions(np.array(ids), mean, log.n_labelled, log.after, 0)


def rows(log: RunState, dataset: ImageDataset) -> list[ReviewRow]:
    return review_rows(log, dataset, predictions(log, dataset))


def test_every_answer_is_listed_with_what_network_and_data_set_say(
    store: Store, mnist5k: ImageDataset
) -> None:
    log = answered(store, mnist5k)
    listed = rows(log, mnist5k)
    assert len(listed) == 11
    assert [row.position for row in listed] == list(range(1, 12))
    assert {row.image_id: row.label for row in listed if row.label is not None} == dict(
        log.labels()
    )
    (wrong,) = [row for row in listed if row.data_differs]
    assert wrong.network_differs and wrong.predicted == wrong.truth != wrong.label
    assert wrong.doubt == pytest.approx(0.95) and wrong.confidence == pytest.approx(0.55)
    right = next(row for row in listed if row.label == row.truth)
    assert right.doubt == pytest.approx(0.45) and not right.network_differs
    (skipped,) = [row for row in listed if row.label is None]
    assert skipped.doubt is None and not skipped.data_differs
    assert {row.asked_at for row in listed} == {20}


def test_without_a_model_there_is_no_doubt_and_nothing_the_network_differs_on(
    store: Store, mnist5k: ImageDataset
) -> None:
    listed = review_rows(answered(store, mnist5k), mnist5k, None)
    assert all(row.doubt is None and row.predicted is None for row in listed)
    assert not any(row.network_differs for row in listed)
    assert (
        summary(listed) == "10 labels, 1 skipped, 0 corrected. Labelled differently by: data set 1."
    )


def test_the_most_suspicious_label_comes_first_and_skipped_images_last(
    store: Store, mnist5k: ImageDataset
) -> None:
    listed = rows(answered(store, mnist5k), mnist5k)
    first, *_, last = chosen(listed, "All labels", "Most suspicious first", "", DIGITS)
    assert first.data_differs and last.label is None
    assert len(chosen(listed, "All labels", "Most suspicious first", " ", DIGITS)) == 11


@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize("shown", list(SHOWN))
def test_every_order_of_every_choice_shows_its_rows_once(
    store: Store, mnist5k: ImageDataset, order: str, shown: str
) -> None:
    listed = rows(answered(store, mnist5k), mnist5k)
    found = chosen(listed, shown, order, "", DIGITS)
    assert len(set(row.image_id for row in found)) == len(found)
    assert {row.image_id for row in found} == {r.image_id for r in listed if SHOWN[shown](r)}


def test_a_digit_finds_what_anybody_calls_so_and_a_number_the_image(
    store: Store, mnist5k: ImageDataset
) -> None:
    log = answered(store, mnist5k)
    listed = [replace(row, image_id=1000 + row.position) for row in rows(log, mnist5k)]
    wrong = next(row for row in listed if row.data_differs)
    for digit in (wrong.label, wrong.truth):
        assert wrong in chosen(listed, "All labels", "Newest first", str(digit), DIGITS)
    assert chosen(listed, "All labels", "Newest first", "1004", DIGITS) == [listed[3]]
    assert chosen(listed, "All labels", "Newest first", "#1004", DIGITS) == [listed[3]]
    assert chosen(listed, "All labels", "Newest first", "999999", DIGITS) == []


def test_a_correction_is_stored_and_shown_with_what_was_said_at_first(
    store: Store, mnist5k: ImageDataset
) -> None:
    log = answered(store, mnist5k)
    wrong = next(row for row in rows(log, mnist5k) if row.data_differs)
    said = correct(store, log, wrong.image_id, str(wrong.truth), DIGITS, "Ann")
    assert said.startswith(f"Image {wrong.image_id}: {wrong.label} is now {wrong.truth}.")
    now = store.log(log.run.run_id)
    assert dict(now.labels())[wrong.image_id] == wrong.truth
    row = next(r for r in rows(now, mnist5k) if r.image_id == wrong.image_id)
    assert (row.label, row.first, row.corrected) == (wrong.truth, wrong.label, True)
    assert SHOWN["Corrected"](row)
    correct(store, now, wrong.image_id, str(wrong.label), DIGITS, "Ann")  # and back again
    row = next(r for r in rows(store.log(log.run.run_id), mnist5k) if r.image_id == wrong.image_id)
    assert not row.corrected


def test_a_skipped_image_is_labelled_and_a_label_taken_away(
    store: Store, mnist5k: ImageDataset
) -> None:
    log = answered(store, mnist5k)
    skipped = next(row for row in rows(log, mnist5k) if row.label is None)
    said = correct(store, log, skipped.image_id, str(skipped.truth), DIGITS, "Ann")
    assert f"can't tell is now {skipped.truth}" in said
    assert store.log(log.run.run_id).n_labelled == log.n_labelled + 1
    assert "is now can't tell" in correct(store, log, skipped.image_id, None, DIGITS, "Ann")
    assert store.log(log.run.run_id).n_labelled == log.n_labelled


def test_a_correction_that_is_none_or_no_digit_changes_nothing_and_says_why(
    store: Store, mnist5k: ImageDataset
) -> None:
    log = answered(store, mnist5k)
    row = next(r for r in rows(log, mnist5k) if r.label is not None)
    for label in (row.label, 10):
        said = correct(store, log, row.image_id, str(label), DIGITS, "Ann")
        assert said.startswith("Nothing was changed: ")
    assert store.log(log.run.run_id) == log


def test_an_edit_of_the_table_is_obeyed_once() -> None:
    ids, seen = (7, 3, 9), dict[int, str | None]()
    first = new_edits({1: {LABEL: "4"}}, seen, ids)
    assert first == {3: "4"}
    seen.update(first)
    assert new_edits({1: {LABEL: "4"}, 2: {LABEL: None}}, seen, ids) == {9: None}
    assert new_edits({1: {LABEL: "5"}}, seen, ids) == {3: "5"}
    assert new_edits({0: {"network": "2"}}, seen, ids) == {}


OBEYING = """
import streamlit as st
from dal_ui.components.grid.submission import GridReview
from dal_ui.review.table import is_open, note_kept, obey, toggle

sent = st.session_state.get("sent")  # the nonce and what is wanted, as the component holds it
sent = GridReview(*sent) if sent else None
if "drawn" in st.session_state:  # what a component holds is known once it was drawn
    obey(sent)
st.session_state["drawn"] = True
note_kept(sent)
st.button("Close", on_click=toggle)
st.text("open" if is_open() else "closed")
"""


def reviewing(*sent: str | bool) -> AppTest:
    """A session that has just begun, with what the browser holds of one before."""
    page = AppTest.from_string(OBEYING)
    page.session_state["sent"] = sent
    return page.run()


def test_the_review_opens_and_closes_as_the_key_asks_once() -> None:
    page = reviewing()
    assert page.text[0].value == "closed"
    page.session_state["sent"] = ("n1", True)
    assert page.run().text[0].value == "open"
    assert page.button[0].click().run().text[0].value == "closed"  # by its button
    assert page.run().text[0].value == "closed"  # the browser still holds n1
    page.session_state["sent"] = ()
    assert page.run().text[0].value == "closed"  # another page was looked at
    page.session_state["sent"] = ("n1", True)
    assert page.run().text[0].value == "closed"
    page.session_state["sent"] = ("n2", True)
    assert page.run().text[0].value == "open"


def test_a_restarted_server_does_not_open_the_review_by_what_was_sent_to_the_one_before() -> None:
    page = reviewing("n1", True)
    assert page.text[0].value == page.run().text[0].value == "closed"
    page.session_state["sent"] = ("n2", True)  # the key, pressed again
    assert page.run().text[0].value == "open"
