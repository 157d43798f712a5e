"""What the functions would ask for: overlaps, rank correlation, redundancy, the map, drawings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dal_core.acquisition import registry
from dal_core.data.base import ImageDataset
from dal_core.data.mnist_drawing import as_mnist
from dal_core.explain.batches import Pool, asked_by, in_groups
from dal_core.explain.choices import class_counts, overlap, spearman
from dal_core.explain.pool import score_pool
from dal_core.explain.pool_map import INITIAL, UNASKED, map_of, map_points, project
from dal_core.explain.step import ModelStep
from tests import fast


@pytest.fixture(scope="module")
def fitted(mnist5k: ImageDataset) -> ModelStep:
    run = fast.run(mnist5k, n_epochs=20)
    fast.steps(run, 2)
    run.fit()
    return run.step


# -- choices -----------------------------------------------------------------------------------


def test_a_function_registered_later_appears_by_itself(fitted: ModelStep) -> None:
    def least_likely(probs):  # type: ignore[no-untyped-def]
        return 1 - probs.mean(0).amin(-1)

    entry = replace(registry.get("variation_ratios"), name="least_likely", score=least_likely)
    registry.register(replace(entry, record_name="least_likely"))
    try:
        assert "least_likely" in score_pool(fitted).scores
        assert "least_likely" in in_groups()["scores"]
        ranking = score_pool(fitted).ranking("least_likely", 10)
        assert asked_by(Pool(fitted), "least_likely", 10).image_ids == tuple(ranking.tolist())
    finally:
        registry.unregister("least_likely")


def test_overlaps_are_counted_both_ways() -> None:
    chosen = {"a": (1, 2, 3), "b": (3, 2, 9), "c": (7, 8, 6)}
    table = overlap(chosen)
    assert table.to_numpy().tolist() == [[3, 2, 0], [2, 3, 0], [0, 0, 3]]


def test_rank_correlation_follows_the_order_and_not_the_values() -> None:
    rising = np.array([0.1, 0.2, 0.3, 0.9])
    table = spearman({"a": rising, "b": rising**5, "c": -rising})
    assert table.loc["a", "b"] == pytest.approx(1.0)
    assert table.loc["a", "c"] == pytest.approx(-1.0)


def test_rank_correlation_with_ties_is_that_of_mean_ranks() -> None:
    # by hand: ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4
    table = spearman({"a": np.array([1, 2, 2, 3]), "b": np.array([1, 2, 3, 4])})
    assert table.loc["a", "b"] == pytest.approx(4.5 / np.sqrt(4.5 * 5.0))


def test_classes_that_do_not_occur_count_nothing() -> None:
    assert class_counts(np.array([2, 2, 0]), 4).tolist() == [1, 0, 2, 0]


# -- the map -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(200, 30), (40, 90)])
def test_the_projection_is_the_one_of_a_full_decomposition(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(5)
    low = generator.normal(size=(shape[0], 3)) @ (
        np.diag([9.0, 5.0, 2.0]) @ generator.normal(size=(3, shape[1]))
    )
    rows = (low + generator.normal(size=shape) + 4).astype(np.float32)
    found = project(rows)
    centred = rows.astype(np.float64) - rows.mean(0, dtype=np.float64)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left[:, :2] * sizes[:2]
    for axis in range(2):
        sign = np.sign(found.coordinates[:, axis] @ expected[:, axis])
        assert found.coordinates[:, axis] * sign == pytest.approx(expected[:, axis], abs=1e-3)
    assert found.explained == pytest.approx(sizes[:2] ** 2 / (sizes**2).sum(), rel=1e-5)


def test_the_same_features_give_the_same_map() -> None:
    rows = np.random.default_rng(6).normal(size=(60, 12)).astype(np.float32)
    assert np.array_equal(project(rows).coordinates, project(rows.copy()).coordinates)


def test_features_that_all_agree_lie_in_one_point() -> None:
    found = project(np.ones((10, 5), dtype=np.float32))
    assert np.array_equal(found.coordinates, np.zeros((10, 2)))
    assert found.explained.tolist() == [0.0, 0.0]


def test_two_images_are_too_few_for_a_map() -> None:
    with pytest.raises(ValueError, match=r"features are \[2, 5\]"):
        project(np.ones((2, 5)))


def test_the_map_knows_when_each_image_was_asked_for(fitted: ModelStep) -> None:
    points = map_points(fitted)
    assert points.image_id.is_unique
    assert set(points[points.step == INITIAL].image_id) == set(fitted.split.initial.tolist())
    for number, one in enumerate(fitted.state.submissions):
        asked = points[points.step == number]
        assert dict(zip(asked.image_id, asked.label, strict=True)) == one.labels
    rest = points[points.step == UNASKED]
    assert set(rest.image_id) == set(fitted.pool_subset.tolist())
    assert rest.label.isna().all() and not points.skipped.any()


def test_a_skipped_image_is_marked_and_has_no_label(mnist5k: ImageDataset) -> None:
    run = fast.run(mnist5k)
    run.fit()
    query, _ = run.query()
    gone = query.ranking[0]
    run.answer({gone: None, **{i: int(mnist5k.labels[i]) for i in query.ranking[1:11]}})
    run.fit()
    points = map_points(run.step).set_index("image_id")
    assert points.skipped[query.ranking[0]]
    assert np.isnan(points.label[query.ranking[0]])
    assert points.step[query.ranking[0]] == 0


def test_the_map_places_every_point(fitted: ModelStep) -> None:
    points, projection = map_of(fitted)
    assert np.isfinite(points[["x", "y"]].to_numpy()).all()
    assert 0 < projection.explained[1] <= projection.explained[0] < 1


# -- a drawn digit -----------------------------------------------------------------------------


def drawn(box: tuple[int, int, int, int], size: int = 280) -> np.ndarray:
    canvas = Image.new("L", (size, size))
    ImageDraw.Draw(canvas).ellipse(box, outline=255, width=22)
    return np.asarray(canvas)


def extent(image: np.ndarray) -> tuple[int, int]:
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    return int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)


@pytest.mark.parametrize("box", [(20, 20, 120, 260), (150, 5, 275, 90), (10, 10, 60, 60)])
def test_a_drawing_fits_a_box_of_twenty_and_keeps_its_proportions(
    box: tuple[int, int, int, int],
) -> None:
    image = as_mnist(drawn(box))
    height, width = extent(image)
    assert image.shape == (28, 28) and image.dtype == np.uint8
    assert max(height, width) == 20
    drawn_ratio = (box[3] - box[1] + 1) / (box[2] - box[0] + 1)
    assert height / width == pytest.approx(drawn_ratio, rel=0.12)


def test_a_drawing_is_centred_by_its_mass_wherever_it_was_drawn() -> None:
    one, other = as_mnist(drawn((20, 20, 90, 160))), as_mnist(drawn((170, 100, 240, 240)))
    assert np.array_equal(one, other)
    weight = one.astype(float)
    rows = float((weight.sum(1) * np.arange(28)).sum() / weight.sum())
    assert rows == pytest.approx(14, abs=0.51)


def test_the_centre_is_that_of_the_ink_and_not_of_the_box() -> None:
    canvas = np.zeros((100, 100), np.uint8)
    canvas[10:90, 20:40] = 255  # a thick stem on the left
    canvas[10:14, 20:80] = 255  # with a thin arm to the right
    weight = as_mnist(canvas).astype(float)
    columns = float((weight.sum(0) * np.arange(28)).sum() / weight.sum())
    assert columns == pytest.approx(14, abs=0.51)


def test_an_empty_drawing_is_refused() -> None:
    with pytest.raises(ValueError, match="drawing is empty"):
        as_mnist(np.zeros((280, 280), np.uint8))


def test_a_drawing_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"drawing is float64 \[4, 4\]"):
        as_mnist(np.zeros((4, 4)))


def test_a_digit_of_the_data_set_stays_as_it_is(mnist5k: ImageDataset) -> None:
    digit = mnist5k.images[1234]
    again = as_mnist(digit)
    assert np.array_equal(again, digit)  # its box is full: as MNIST has it, so it stays
