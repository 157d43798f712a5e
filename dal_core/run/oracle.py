"""Simulated oracles: they answer a query the way a person would, from the data set's labels.

One may be noisy: it then says something wrong of an image with a fixed probability, as tired
people do. What it says of an image depends on the seed and the image alone, so runs of one seed
meet the same wrong answers, whichever function asks and whenever, and can be compared in pairs.
"""

from __future__ import annotations

from dal_core.data.base import ImageDataset
from dal_core.protocol.randomness import Purpose, numpy_generator
from dal_core.run.events import Answer, Query


def answer(query: Query, dataset: ImageDataset, noise: float = 0.0, seed: int = 0) -> list[Answer]:
    """A label for every image shown; nothing is ever skipped.

    Args:
        noise: probability of a wrong label, by image; 0 gives the data set's own labels.
        seed: the run's.
    """
    return [Answer(i, said(i, dataset, noise, seed)) for i in query.shown()]


def said(image_id: int, dataset: ImageDataset, noise: float, seed: int) -> int:
    """What the oracle says of one image: a wrong label is any of the others, equally likely.

    An image that is answered wrongly at some noise is so, with the same label, at any higher one.
    """
    label = int(dataset.labels[image_id])
    if noise == 0:
        return label
    generator = numpy_generator(seed, Purpose.NOISE, image_id)
    if generator.random() >= noise:
        return label
    return (label + 1 + int(generator.integers(dataset.n_classes - 1))) % dataset.n_classes
