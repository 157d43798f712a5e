"""Finds near copies among the images of a data set, to be shown to a person; none is dropped.

Equal difference hashes alone join different pictures, so the pixels are compared too.
"""

from __future__ import annotations

import numpy as np

MAX_BITS = 4  # of 64 that may differ
MAX_DIFFERENCE = 8.0  # mean over the pixels, of 255
MAX_PAIRS = 10_000
_NEIGHBOURS = 20  # compared with each image, of those that share a quarter of its hash
_CHUNK = 4096


def near_copies(hashes: np.ndarray, images: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of images (smaller id first) that look the same, at most `MAX_PAIRS`.

    Args:
        hashes: uint64 [n], `pictures.difference_hash`.
        images: uint8 [n, ...], the pixels that the data set keeps.
    """
    pairs = _candidates(hashes)
    kept: list[tuple[int, int]] = []
    for start in range(0, len(pairs), _CHUNK):
        some = pairs[start : start + _CHUNK]
        first, second = (images[some[:, side]].astype(np.int16) for side in (0, 1))
        differences = np.abs(first - second).reshape(len(some), -1).mean(axis=1)
        kept += [(int(a), int(b)) for a, b in some[differences <= MAX_DIFFERENCE]]
        if len(kept) >= MAX_PAIRS:
            break
    return kept[:MAX_PAIRS]


def _candidates(hashes: np.ndarray) -> np.ndarray:
    """int64 [m, 2]: pairs whose hashes differ in few bits.

    Two hashes that differ in at most three bits share one of their four quarters. Images are sorted
    by each quarter in turn and compared with their next neighbours.
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    for band in range(4):
        quarter = (hashes >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        order = np.lexsort((hashes, quarter))
        for step in range(1, min(_NEIGHBOURS, len(order) - 1) + 1):
            a, b = order[:-step], order[step:]
            is_near = np.bitwise_count(hashes[a] ^ hashes[b]) <= MAX_BITS
            is_near &= quarter[a] == quarter[b]
            found.append(np.sort(np.stack([a[is_near], b[is_near]], axis=1), axis=1))
    return np.unique(np.concatenate(found), axis=0)
