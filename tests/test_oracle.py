"""The simulated oracle answers as a person would: the images shown, in one go."""

from __future__ import annotations

from dal_core import oracle
from dal_core.answers import check_answers
from dal_core.datasets import Dataset
from dal_core.records import Query


def test_the_oracle_gives_the_data_sets_labels_of_the_images_shown(mnist5k: Dataset) -> None:
    ranking = tuple(range(4990, 40, -99))
    query = Query("q", 20, 20, ranking, (0.5,) * len(ranking), batch_size=10)
    answers = oracle.answer(query, mnist5k)
    assert [(a.image_id, a.label) for a in answers] == [
        (image_id, int(mnist5k.labels[image_id])) for image_id in ranking[:10]
    ]
    assert {type(a.label) for a in answers} == {int}
    check_answers(query, answers)
