"""Seed -> split: sizes, roles that share no image, balance, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dal_core.data.base import ImageDataset, build
from dal_core.protocol.parameters import Protocol, ProtocolError, override
from dal_core.protocol.presets import PRESETS
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.splits import Split, full_data_split, make_split, split_of
from tests import fast, toys


@pytest.fixture(scope="module")
def mnist() -> ImageDataset:
    """As many images as MNIST has, of one pixel each."""
    labels = np.random.default_rng(0).integers(10, size=70_000)
    images = np.zeros((70_000, 1, 1), dtype=np.uint8)
    return build("mnist", "stand-in", images, labels, np.arange(60_000, 70_000))


def roles(split: Split) -> list[np.ndarray]:
    return [split.initial, split.validation, split.pool, split.test]


def equal(one: Split, other: Split) -> bool:
    return all(map(np.array_equal, roles(one), roles(other)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mnist_splits_as_the_report_says(mnist: ImageDataset, seed: int) -> None:
    split = make_split(mnist, PRESETS["report"], seed)
    assert split.sizes() == {"initial": 20, "validation": 1000, "pool": 58_980, "test": 10_000}
    assert np.array_equal(split.test, np.arange(60_000, 70_000))
    together = np.concatenate([split.initial, split.validation, split.pool])
    assert np.array_equal(np.sort(together), np.arange(60_000))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mnist5k_splits_into_four_roles_that_share_no_image(
    mnist5k: ImageDataset, seed: int
) -> None:
    split = make_split(mnist5k, PRESETS["quick"], seed)
    assert split.sizes() == {"initial": 20, "validation": 500, "pool": 3480, "test": 1000}
    assert np.array_equal(np.sort(np.concatenate(roles(split))), np.arange(5000))
    assert {ids.dtype for ids in roles(split)} == {np.dtype(np.int64)}


@pytest.mark.parametrize("train_size", [10, 20, 50])
def test_the_initial_set_holds_as_many_distinct_images_of_each_class(
    mnist5k: ImageDataset, train_size: int
) -> None:
    initial = make_split(mnist5k, fast.protocol(train_size=train_size), 1).initial
    assert len(set(initial.tolist())) == train_size
    assert np.bincount(mnist5k.labels[initial]).tolist() == [train_size // 10] * 10


def test_the_classes_of_validation_and_test_are_left_to_chance(mnist5k: ImageDataset) -> None:
    split = make_split(mnist5k, fast.protocol(), 1)
    for ids, expected in ((split.validation, 10), (split.test, 20)):
        counts = np.bincount(mnist5k.labels[ids], minlength=10)
        assert len(set(counts)) > 1
        assert counts.tolist() == pytest.approx([expected] * 10, abs=5 * expected**0.5)


def test_a_seed_gives_one_split_and_another_seed_another(mnist5k: ImageDataset) -> None:
    one, again, other = (make_split(mnist5k, fast.protocol(), seed) for seed in (1, 1, 2))
    assert equal(one, again)
    assert not any(map(np.array_equal, roles(one), roles(other)))


def test_other_parameters_do_not_change_the_split(mnist5k: ImageDataset) -> None:
    changed = fast.protocol(n_epochs=9, dropout=[0.1, 0.2], pool_subset_size="all", ties="first")
    base = make_split(mnist5k, fast.protocol(), 1)
    assert equal(base, make_split(mnist5k, changed, 1))


def test_with_replacement_an_image_may_come_twice_and_leaves_the_pool_once(
    mnist5k: ImageDataset,
) -> None:
    few = fast.few_images(mnist5k, 15)
    sizes = {"val_size": 10, "test_size": 10, "pool_subset_size": 50, "test_subset_size": 5}
    protocol = fast.protocol(initial_with_replacement=True, **sizes)
    splits = [make_split(few, protocol, seed) for seed in range(20)]
    assert any(len(set(split.initial.tolist())) < 20 for split in splits)
    for split in splits:
        assert np.bincount(few.labels[split.initial]).tolist() == [2] * 10
        distinct = set(split.initial.tolist())
        assert not distinct & set(split.pool.tolist())
        assert len(split.pool) == 150 - 10 - 10 - len(distinct)


def test_without_replacement_no_image_comes_twice(mnist5k: ImageDataset) -> None:
    few = fast.few_images(mnist5k, 15)
    sizes = {"val_size": 10, "test_size": 10, "pool_subset_size": 50, "test_subset_size": 5}
    for seed in range(20):
        assert len(set(make_split(few, fast.protocol(**sizes), seed).initial.tolist())) == 20


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"val_size": 4781},
            "test_size 200 + val_size 4781 + train_size 20 is 5001; "
            "allowed: at most the 5000 images that mnist5k has for them",
        ),
        ({"test_size": 10**9}, "test_size 1000000000 + val_size 100 + train_size 20"),
        ({"pool_subset_size": 4681}, "pool_subset_size is 4681; allowed: at most 4680"),
        ({"test_subset_size": 201}, "test_subset_size is 201; allowed: at most 200"),
        ({"train_size": 4700}, "train_size is 4700; allowed: at most "),
    ],
)
def test_a_size_larger_than_the_data_is_refused_in_one_line(
    mnist5k: ImageDataset, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ProtocolError) as error:
        make_split(mnist5k, fast.protocol(**changes), 1)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_the_largest_sizes_that_fit_are_taken(mnist5k: ImageDataset) -> None:
    protocol = fast.protocol(pool_subset_size=4680, test_subset_size=200)
    assert len(make_split(mnist5k, protocol, 1).pool) == 4680


def test_a_validation_set_larger_than_mnist_is_refused(mnist: ImageDataset) -> None:
    with pytest.raises(ProtocolError, match=r"val_size 59981 \+ train_size 20 is 60001"):
        make_split(mnist, override(PRESETS["report"], {"val_size": 59_981}), 1)


def test_the_full_data_bound_trains_on_all_but_the_validation_images(mnist: ImageDataset) -> None:
    split = make_split(mnist, PRESETS["released"], 1)
    full = full_data_split(split, mnist)
    assert full.sizes() == {"initial": 59_000, "validation": 1000, "pool": 0, "test": 10_000}
    assert np.array_equal(full.validation, split.validation)
    assert len(np.union1d(full.initial, full.validation)) == 60_000


def toy_protocol(**changes: Any) -> Protocol:
    # Not through `override`: this is about splits, and the catalogue need not know the toy.
    return PRESETS["quick"].model_copy(update={**toys.SETTINGS, **changes})


def test_a_data_set_without_test_images_has_an_empty_test_set() -> None:
    split = make_split(toys.dataset(), toy_protocol(test_subset_size=3000), 1)
    assert split.sizes() == {"initial": 6, "validation": 12, "pool": 222, "test": 0}
    assert np.bincount(toys.truth()[split.initial]).tolist() == [2, 2, 2]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_images_of_unknown_class_are_in_the_pool_and_nowhere_else(seed: int) -> None:
    toy = toys.dataset(toys.PARTLY)
    split = make_split(toy, toy_protocol(), seed)
    assert toy.known[split.initial].all() and toy.known[split.validation].all()
    assert np.isin(np.flatnonzero(~toy.known), split.pool).all()
    assert np.array_equal(np.sort(np.concatenate(roles(split))), np.arange(len(toy)))
    assert toy.known[full_data_split(split, toy).initial].all()


def test_test_images_whose_class_is_unknown_measure_nothing() -> None:
    toy = toys.dataset(toys.PARTLY)
    own = build(
        toy.name,
        "own test set",
        toy.images,
        toy.labels,
        np.arange(200, 240),
        class_names=toy.class_names,
    )
    test = make_split(own, toy_protocol(), 1).test
    assert np.array_equal(test, np.arange(200, 240)[toy.known[200:]])


@pytest.mark.parametrize("train_size", [1, 2, 20])
def test_the_initial_set_must_hold_every_class_equally_often(train_size: int) -> None:
    words = f"train_size is {train_size}; allowed: a whole number, at least 3 and a multiple of 3"
    with pytest.raises(ProtocolError, match=words):
        make_split(toys.dataset(), toy_protocol(train_size=train_size), 1)


@pytest.mark.parametrize(("name", "smallest"), [("lenet5", 12), ("gal_cnn", 5)])
def test_images_too_small_for_the_network_are_refused_before_a_run_exists(
    name: str, smallest: int
) -> None:
    for side in (smallest, smallest - 1):
        images = np.zeros((2_000, side, side), dtype=np.uint8)
        data = build("mnist5k", "small", images, np.arange(2_000) % 10)
        changes = {"which_model": name, "val_size": 10, "test_size": 10}
        changes |= {"pool_subset_size": "all", "test_subset_size": "all"}
        spec = RunSpec("", override(PRESETS["quick"], changes), "bald", 1)
        if side == smallest:
            assert len(split_of(spec, data).test) == 10
        else:
            with pytest.raises(ProtocolError, match=f"which_model is '{name}'; images of {side} x"):
                split_of(spec, data)
