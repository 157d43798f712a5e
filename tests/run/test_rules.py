"""Answers are checked in one place, and refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from dal_core.run.events import Answer, Query
from dal_core.run.rules import AnswerError, check_complete, clean_answers

QUERY = Query("q", 20, 20, (7, 3, 9, 4, 1), (0.5, 0.4, 0.3, 0.2, 0.1), batch_size=3)


def answers(labels: dict[int, Any]) -> list[Answer]:
    return [Answer(image_id, label) for image_id, label in labels.items()]


def check_answers(query: Query, answers: list[Answer], n_classes: int) -> None:
    """As the store checks them."""
    check_complete(query, clean_answers(answers, n_classes))


@pytest.mark.parametrize(
    "labels",
    [
        {7: 0, 3: 9, 9: 5},
        {9: 5, 7: 0, 3: 9},
        {7: 0, 3: None, 9: 5, 4: 1},
        {7: None, 3: None, 9: None, 4: 1, 1: 2},  # the ranking runs out: two are all there are
        dict.fromkeys(QUERY.ranking),
    ],
)
def test_answers_that_fit_are_taken(labels: dict[int, Any]) -> None:
    check_answers(QUERY, answers(labels), n_classes=10)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({7: 0, 3: 9}, "labels are missing for: 9; label or skip each image"),
        ({}, "labels are missing for: 7, 3, 9; label or skip each image"),
        ({7: 0, 3: None, 9: 5}, "labels are missing for: 4; label or skip each image"),
        ({7: 0, 3: 9, 9: 5, 4: 1}, "image 4 is labelled but not shown; shown: 7, 3, 9"),
        ({7: 0, 3: 9, 9: 5, 8: 1}, "image 8 is labelled but not shown; shown: 7, 3, 9"),
        ({7: 0, 3: 9, 9: 5, 8: None}, "image 8 is skipped but the query does not rank it"),
        ({7: 10, 3: 9, 9: 5}, "label of image 7 is 10; allowed: 0 to 9, or None"),
        ({7: -1, 3: 9, 9: 5}, "label of image 7 is -1; allowed: 0 to 9, or None"),
        ({7: "4", 3: 9, 9: 5}, "label of image 7 is '4'; allowed: 0 to 9, or None"),
        ({7: True, 3: 9, 9: 5}, "label of image 7 is True; allowed: 0 to 9, or None"),
    ],
)
def test_answers_that_do_not_fit_are_refused_in_one_line(
    labels: dict[int, Any], words: str
) -> None:
    with pytest.raises(AnswerError) as error:
        check_answers(QUERY, answers(labels), n_classes=10)
    assert str(error.value) == words


def test_an_image_answered_twice_is_refused() -> None:
    with pytest.raises(AnswerError, match="image 7 is answered twice"):
        check_answers(QUERY, [*answers({7: 0, 3: 9, 9: 5}), Answer(7, 1)], n_classes=10)


@pytest.mark.parametrize("label", [3, 9])
def test_labels_end_with_the_classes_of_the_data_set(label: int) -> None:
    with pytest.raises(AnswerError, match=f"label of image 7 is {label}; allowed: 0 to 2, or None"):
        check_answers(QUERY, answers({7: label, 3: 2, 9: 0}), n_classes=3)
    check_answers(QUERY, answers({7: 1, 3: 2, 9: 0}), n_classes=3)
