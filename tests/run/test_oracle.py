"""The simulated oracle answers as a person would: the images shown, in one go."""

from __future__ import annotations

import numpy as np
import pytest

from dal_core.data.base import ImageDataset
from dal_core.run import oracle
from dal_core.run.events import Query
from dal_core.run.rules import check_complete, clean_answers
from tests import toys


def test_the_oracle_gives_the_data_sets_labels_of_the_images_shown(mnist5k: ImageDataset) -> None:
    ranking = tuple(range(4990, 40, -99))
    query = Query("q", 20, 20, ranking, (0.5,) * len(ranking), batch_size=10)
    answers = oracle.answer(query, mnist5k)
    assert [(a.image_id, a.label) for a in answers] == [
        (image_id, int(mnist5k.labels[image_id])) for image_id in ranking[:10]
    ]
    assert {type(a.label) for a in answers} == {int}
    check_complete(query, clean_answers(answers, mnist5k.n_classes))


def _labels_given(dataset: ImageDataset, noise: float, seed: int, n: int = 2000) -> np.ndarray:
    """What the oracle says of the first images, [n]."""
    return np.array([oracle.label_of(i, dataset, noise, seed) for i in range(n)])


def test_a_noisy_oracle_is_wrong_about_as_often_as_asked_for(mnist5k: ImageDataset) -> None:
    truth = mnist5k.labels[:2000]
    wrong = (_labels_given(mnist5k, 0.2, seed=1) != truth).mean()
    assert wrong == pytest.approx(0.2, abs=4 * np.sqrt(0.2 * 0.8 / 2000))
    assert (_labels_given(mnist5k, 1.0, seed=1) != truth).all()
    assert (_labels_given(mnist5k, 0.0, seed=1) == truth).all()


def test_a_wrong_label_is_each_of_the_others_about_equally_often(mnist5k: ImageDataset) -> None:
    shift = (_labels_given(mnist5k, 1.0, seed=3) - mnist5k.labels[:2000]) % 10
    counts = np.bincount(shift, minlength=10)
    assert counts[0] == 0
    assert abs(counts[1:] - 2000 / 9).max() < 5 * np.sqrt(2000 / 9)


def test_an_image_gets_the_same_wrong_answer_in_every_run_of_its_seed(
    mnist5k: ImageDataset,
) -> None:
    ranking = tuple(range(100))
    one = Query("one", 20, 20, ranking, (0.5,) * 100, batch_size=50)
    other = Query("other", 70, 70, ranking[::-1], (0.5,) * 100, batch_size=100)
    first = {a.image_id: a.label for a in oracle.answer(one, mnist5k, 0.5, seed=7)}
    later = {a.image_id: a.label for a in oracle.answer(other, mnist5k, 0.5, seed=7)}
    assert all(later[image_id] == label for image_id, label in first.items())
    elsewhere = {a.image_id: a.label for a in oracle.answer(one, mnist5k, 0.5, seed=8)}
    assert elsewhere != first


def test_a_wrong_label_at_low_noise_is_the_same_at_higher_noise(mnist5k: ImageDataset) -> None:
    low, high, truth = (
        _labels_given(mnist5k, 0.1, 1),
        _labels_given(mnist5k, 0.3, 1),
        mnist5k.labels[:2000],
    )
    wrong = low != truth
    assert wrong.any()
    assert (low[wrong] == high[wrong]).all()


def test_the_oracle_refuses_an_image_whose_label_is_unknown_in_one_line() -> None:
    toy = toys.dataset(toys.PARTLY)
    unknown = int(np.flatnonzero(~toy.known)[0])
    query = Query("q", 6, 6, (unknown,), (0.5,), batch_size=1)
    with pytest.raises(oracle.NoOracle) as error:
        oracle.answer(query, toy)
    assert str(error.value) == (
        f"the oracle cannot answer for image {unknown}: toy-partly has no sign for it; "
        "allowed: a run that a person answers"
    )


def test_wrong_answers_are_classes_of_the_data_set() -> None:
    toy = toys.dataset()
    wrong = [oracle.label_of(i, toy, 1.0, seed=1) for i in range(60)]
    assert set(wrong) == {0, 1, 2}
    assert not any(label == toy.labels[i] for i, label in enumerate(wrong))
