"""Where every random number of a run comes from (docs/method.md, section 13).

Each purpose has its own stream, which depends only on seed, purpose and number of labels. So no
draw depends on draws for another purpose, nor on how the work was divided. Nothing uses a global
generator.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What random numbers are for. Stored runs depend on the values: never renumber."""

    SPLIT = 1
    INITIAL_WEIGHTS = 2
    TRAINING_DROPOUT = 3
    TEST_SUBSET = 4
    POOL_SUBSET = 5
    MC_DROPOUT_POOL = 6
    MC_DROPOUT_TEST = 7
    TIES = 8
    RANDOM_SCORES = 9
    MC_DROPOUT_SHOWN = 10
    BATCH_ORDER = 11
    NOISE = 12
    SELECTION = 13
    CONSISTENT_POOL = 14


def sequence(seed: int, purpose: Purpose, n_labelled: int = 0) -> np.random.SeedSequence:
    """The seed sequence of one purpose at one training set size.

    For `NOISE`, `n_labelled` is the image's id (see `run.oracle`).
    """
    return np.random.SeedSequence(seed, spawn_key=(int(purpose), n_labelled))


def numpy_generator(seed: int, purpose: Purpose, n_labelled: int = 0) -> np.random.Generator:
    """A generator for NumPy draws: splits, subsets, ties, random scores."""
    return np.random.default_rng(sequence(seed, purpose, n_labelled))


def torch_seed(seed: int, purpose: Purpose, n_labelled: int = 0) -> int:
    """A seed for `torch.Generator.manual_seed`: initial weights and dropout masks."""
    return int(sequence(seed, purpose, n_labelled).generate_state(1, np.uint64)[0] >> 1)
