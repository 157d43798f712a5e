"""The labelling grid's Python side: what it lets in from the browser and what it shows."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dal_ui.components.grid import class_keys, label_grid
from dal_ui.components.grid.submission import (
    GridReview,
    GridSubmission,
    GridUndo,
    parse_review,
    parse_submission,
    parse_undo,
)


def message(**changes: Any) -> dict[str, Any]:
    valid: dict[str, Any] = {
        "nonce": "0123456789abcdef",
        "query_id": "q1",
        "answers": {"7": 1, "10": 9},
        "skipped": [13],
        "ms": {"7": 1500, "10": 250.5, "13": 0},
    }
    return {**valid, **changes}


def test_a_valid_message_becomes_a_submission_with_times_in_seconds() -> None:
    assert parse_submission(message()) == GridSubmission(
        nonce="0123456789abcdef",
        query_id="q1",
        answers={7: 1, 10: 9},
        skipped=(13,),
        seconds={7: 1.5, 10: 0.2505, 13: 0.0},
    )


def test_nothing_submitted_yet_is_no_submission() -> None:
    assert parse_submission(None) is None
    assert parse_undo(None) is None and parse_review(None) is None


def test_an_undo_names_the_submission_and_a_review_what_it_is_to_be() -> None:
    nonce = "0123456789abcdef"
    assert parse_undo({"nonce": nonce, "submission_id": 7}) == GridUndo(nonce, 7)
    assert parse_review({"nonce": nonce, "open": False}) == GridReview(nonce, False)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"nonce": "0123456789", "submission_id": 0}, "submission_id"),
        ({"nonce": "0123456789", "submission_id": True}, "submission_id"),
        ({"nonce": "0123456789", "submission_id": "7"}, "submission_id"),
        ({"nonce": "short", "submission_id": 7}, "nonce"),
        ([7], "undo"),
    ],
)
def test_an_undo_that_is_none_is_refused_in_one_line(raw: object, field: str) -> None:
    with pytest.raises(ValueError, match=f"^submission: {field} is ") as refusal:
        parse_undo(raw)
    assert "\n" not in str(refusal.value)


def test_a_review_is_open_or_not() -> None:
    with pytest.raises(ValueError, match=r"^submission: open is 'yes'; allowed: true or false"):
        parse_review({"nonce": "0123456789", "open": "yes"})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"nonce": None}, "nonce"),
        ({"nonce": "short"}, "nonce"),
        ({"nonce": "0123456789\n<b>"}, "nonce"),
        ({"query_id": ""}, "query_id"),
        ({"query_id": 3}, "query_id"),
        ({"query_id": "q" * 201}, "query_id"),
        ({"answers": None}, "answers"),
        ({"answers": [1, 2]}, "answers"),
        ({"answers": {"7": 1000}}, "answers"),
        ({"answers": {"7": -1}}, "answers"),
        ({"answers": {"7": True}}, "answers"),
        ({"answers": {"7": "1"}}, "answers"),
        ({"answers": {"7": 1.0}}, "answers"),
        ({"answers": {"-7": 1}}, "answers"),
        ({"answers": {"seven": 1}}, "answers"),
        ({"answers": {"٧": 1}}, "answers"),
        ({"answers": {"07": 1, "7": 2}}, "answers"),
        ({"answers": {}, "skipped": [], "ms": {}}, "answers"),
        ({"skipped": None}, "skipped"),
        ({"skipped": [13, 13]}, "skipped"),
        ({"skipped": [7]}, "skipped"),
        ({"skipped": [1.5]}, "skipped"),
        ({"skipped": [False]}, "skipped"),
        ({"ms": None}, "ms"),
        ({"ms": {"7": -1}}, "ms"),
        ({"ms": {"7": float("nan")}}, "ms"),
        ({"ms": {"7": float("inf")}}, "ms"),
        ({"ms": {"7": "1"}}, "ms"),
        ({"ms": {"99": 1}}, "ms"),
    ],
)
def test_a_wrong_message_is_refused_with_one_line_naming_the_field(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValueError, match=f"^submission: {field} is ") as refusal:
        parse_submission(message(**changes))
    assert "\n" not in str(refusal.value)
    assert "allowed: " in str(refusal.value)


@pytest.mark.parametrize("raw", ["text", 5, [], True])
def test_something_else_than_an_object_is_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="allowed: an object"):
        parse_submission(raw)


def test_a_huge_value_does_not_make_a_huge_error() -> None:
    with pytest.raises(ValueError) as refusal:
        parse_submission(message(query_id="q" * 1_000_000))
    assert len(str(refusal.value)) < 400


def test_up_to_ten_classes_have_digits_as_keys_and_more_have_letters() -> None:
    assert class_keys(("cat", "dog", "cow")) == [
        {"key": "0", "name": "cat"},
        {"key": "1", "name": "dog"},
        {"key": "2", "name": "cow"},
    ]
    digits = tuple("0123456789")
    assert [(one["key"], one["name"]) for one in class_keys(digits)] == [(d, d) for d in digits]
    keys = [one["key"] for one in class_keys([str(number) for number in range(30)])]
    assert keys[:3] == ["a", "b", "c"] and len(set(keys[:23])) == 23
    assert not set(keys) & {"r", "s", "u"}  # review, skip, undo
    assert keys[23:] == [""] * 7  # no key left: by button only


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"query_id": ""}, "query_id"),
        ({"batch_size": 0}, "batch_size"),
        ({"images": [(1, "data:,"), (1, "data:,")]}, "images"),
    ],
)
def test_arguments_that_make_no_query_are_refused(changes: dict[str, Any], named: str) -> None:
    valid: dict[str, Any] = {"query_id": "q", "images": [(1, "data:,")], "batch_size": 1}
    valid["class_names"] = ("a", "b")
    with pytest.raises(ValueError, match=f"^{named} "):
        label_grid(**{**valid, **changes})


def test_a_page_with_the_grid_runs_on_every_rerun_and_starts_without_a_submission() -> None:
    def script() -> None:
        import streamlit as st

        from dal_ui.components.grid import label_grid, sent_submission

        st.write(f"submission: {sent_submission()}")
        label_grid(query_id="q", images=[(3, "data:,")], batch_size=1, class_names=("a", "b"))

    app = AppTest.from_function(script).run().run()
    assert not app.exception
    assert app.markdown[0].value == "submission: None"


@pytest.mark.parametrize(
    "changes",
    [
        {"ms": {"7": 10**400}},
        {"ms": {"7": -(10**400)}},
        {"answers": {"7": 10**400}},
        {"answers": {10**400: 1}},
        {"answers": {10**13: 1}, "ms": {}},
        {"skipped": [10**400]},
        {"query_id": "\ud800"},
        {"query_id": "a\x1bb"},
        {"nonce": 10**5000},
        {"answers": {str(n): 1 for n in range(100_001)}},
        {"skipped": list(range(100_001))},
    ],
)
def test_a_value_beyond_all_bounds_is_one_line(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        parse_submission(message(**changes))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_an_undo_beyond_all_submissions_is_one_line() -> None:
    with pytest.raises(ValueError, match="submission_id is 1000"):
        parse_undo({"nonce": "0123456789abcdef", "submission_id": 10**400})
