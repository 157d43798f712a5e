"""The split of a data set: which images a run starts with, validates on, asks for and tests on.

A split depends on the data set, the seed and four parameters of the protocol. It does not depend on
the acquisition function, so runs of one seed can be compared in pairs (docs/method.md, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dal_core.models.image_sizes import ImageTooSmall, image_size
from dal_core.protocol import posteriors
from dal_core.protocol.parameters import Protocol, ProtocolError
from dal_core.protocol.randomness import Purpose, numpy_generator
from dal_core.protocol.run_spec import FULL_DATA, RunSpec

if TYPE_CHECKING:
    from dal_core.data.base import ImageDataset


@dataclass(frozen=True)
class Split:
    """Image ids (int64) by role; no image has two roles.

    `initial` is ordered class by class, may be empty, and may contain an image twice if the
    protocol draws with replacement; `pool` is every training image without another role. The
    labels of `initial`, `validation` and `test` are known. `test` is empty where the data set has
    no test set. `audit` is in the random order of its drawing; empty unless the protocol asks for
    it.
    """

    initial: np.ndarray
    validation: np.ndarray
    pool: np.ndarray
    test: np.ndarray
    audit: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def sizes(self) -> dict[str, int]:
        """Number of images by role; an audit is named only if there is one."""
        names = ("initial", "validation", "pool", "test", *(("audit",) if len(self.audit) else ()))
        return {name: len(getattr(self, name)) for name in names}


def make_split(dataset: ImageDataset, protocol: Protocol, seed: int) -> Split:
    """The split of one seed (report, section 3.1).

    Raises:
        ProtocolError: the data set is too small for these sizes, or `train_size` is not a
            multiple of its number of classes.
    """
    generator = numpy_generator(seed, Purpose.SPLIT)
    shuffled = generator.permutation(_training_ids(dataset))
    known = shuffled[dataset.known[shuffled]]
    _check_total(dataset, protocol, len(known))
    test, rest = _test_images(dataset, protocol, known)
    validation, rest = rest[: protocol.val_size], rest[protocol.val_size :]
    initial = _initial(dataset, protocol, rest, generator)
    pool = np.setdiff1d(shuffled, np.concatenate([test, validation, initial]))
    audit = _audit(protocol, pool, generator)
    pool = np.setdiff1d(pool, audit)
    _check_subset("pool_subset_size", protocol.pool_subset_size, len(pool))
    if len(test):
        _check_subset("test_subset_size", protocol.test_subset_size, len(test))
    return Split(initial, np.sort(validation), pool, np.sort(test), audit)


def full_data_split(split: Split, dataset: ImageDataset) -> Split:
    """A split whose initial set also has all known labels of the pool (docs/method.md, 7)."""
    pool = split.pool[dataset.known[split.pool]]
    return Split(np.union1d(split.initial, pool), split.validation, split.pool[:0], split.test)


def split_of(spec: RunSpec, dataset: ImageDataset) -> Split:
    """The images of a run by role.

    Raises:
        ProtocolError: as `make_split`, or the images are too small for the run's network.
    """
    _check_images(dataset, spec.protocol)
    split = make_split(dataset, spec.protocol, spec.seed)
    return full_data_split(split, dataset) if spec.acquisition == FULL_DATA else split


def _training_ids(dataset: ImageDataset) -> np.ndarray:
    ids = np.arange(len(dataset.labels))
    return ids if dataset.test_ids is None else ids[~np.isin(ids, dataset.test_ids)]


def _test_images(
    dataset: ImageDataset, protocol: Protocol, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The test images, and the remaining shuffled training images with known labels."""
    if dataset.test_ids is not None:
        return dataset.test_ids[dataset.known[dataset.test_ids]], known
    size = protocol.test_size or 0
    return known[:size], known[size:]


def _initial(
    dataset: ImageDataset, protocol: Protocol, ids: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """The initial set, chosen from `ids`, class by class."""
    if protocol.initial_set == "balanced":
        return _balanced(dataset, protocol, ids, generator)
    chosen = ids if protocol.initial_set == "known" else ids[:0]
    return chosen[np.lexsort((chosen, dataset.labels[chosen]))]


def _balanced(
    dataset: ImageDataset, protocol: Protocol, ids: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """train_size / C images of each class, distinct or drawn with replacement.

    See docs/method.md, sections 4 and 9.
    """
    per_class, left_over = divmod(protocol.train_size, dataset.n_classes)
    if left_over or not per_class:
        raise ProtocolError(
            f"train_size is {protocol.train_size}; allowed: a whole number, at least "
            f"{dataset.n_classes} and a multiple of {dataset.n_classes}"
        )
    labels = dataset.labels[ids]
    rarest = int(np.bincount(labels, minlength=dataset.n_classes).min())
    _check_size("train_size", protocol.train_size, rarest * dataset.n_classes)
    replace = protocol.initial_with_replacement
    return np.concatenate(
        [
            generator.choice(ids[labels == label], per_class, replace=replace)
            for label in range(dataset.n_classes)
        ]
    )


def _audit(protocol: Protocol, pool: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Random images of the pool, drawn last, so that all other roles are as without an audit."""
    if not protocol.audit_size:
        return pool[:0]
    _check_size("audit_size", protocol.audit_size, max(0, len(pool) - 1))
    return generator.permutation(pool)[: protocol.audit_size]


def _check_images(dataset: ImageDataset, protocol: Protocol) -> None:
    """Refuse images too small for the network, before a run with them is created."""
    if posteriors.get(protocol.posterior).trains_network:
        try:
            image_size(protocol.which_model, dataset.image_shape)
        except ImageTooSmall as error:
            raise ProtocolError(f"which_model is {protocol.which_model!r}; {error}") from None


def _check_total(dataset: ImageDataset, protocol: Protocol, available: int) -> None:
    """Check the sum of the sizes, which can be too large even if each size is allowed."""
    parts = ("test_size", "val_size", "train_size")
    sizes = {name: getattr(protocol, name) or 0 for name in parts}
    if sum(sizes.values()) > available:
        listed = " + ".join(f"{name} {size}" for name, size in sizes.items() if size)
        raise ProtocolError(
            f"{listed} is {sum(sizes.values())}; allowed: at most the {available} images "
            f"that {dataset.name} has for them"
        )


def _check_size(name: str, value: int, available: int) -> None:
    if value > available:
        raise ProtocolError(f"{name} is {value}; allowed: at most {available} with this data set")


def _check_subset(name: str, value: int | str, available: int) -> None:
    if value != "all":
        _check_size(name, int(value), available)
