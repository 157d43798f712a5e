"""The simulated oracle: answers a query with the data set's labels, optionally with noise.

A noisy oracle gives a wrong label with a fixed probability (docs/method.md, section 14). Its answer
for an image depends only on the seed and the image. So runs of one seed get the same wrong answers,
whatever the acquisition function and the step, and can be compared in pairs.
"""

from __future__ import annotations

from dal_core.data.base import UNKNOWN, ImageDataset
from dal_core.protocol.randomness import Purpose, numpy_generator
from dal_core.run.events import Answer, Query


class NoOracle(ValueError):
    """The data set has no label for an image; the message is one line."""


def answer(query: Query, dataset: ImageDataset, noise: float = 0.0, seed: int = 0) -> list[Answer]:
    """A label for every image shown; none is skipped.

    Args:
        noise: probability of a wrong label for an image; 0 gives the data set's labels.
        seed: seed of the run.

    Raises:
        NoOracle: the label of an image is unknown.
    """
    return [Answer(i, label_of(i, dataset, noise, seed)) for i in query.shown()]


def label_of(image_id: int, dataset: ImageDataset, noise: float, seed: int) -> int:
    """The oracle's label for one image; all wrong labels are equally likely.

    If an image has a wrong label at some noise, it has the same wrong label at any higher noise.

    Raises:
        NoOracle: the image's label is unknown.
    """
    label = int(dataset.labels[image_id])
    if label == UNKNOWN:
        raise NoOracle(
            f"the oracle cannot answer for image {image_id}: {dataset.name} has no {dataset.noun} "
            "for it; allowed: a run that a person answers"
        )
    if noise == 0:
        return label
    generator = numpy_generator(seed, Purpose.NOISE, image_id)
    if generator.random() >= noise:
        return label
    return (label + 1 + int(generator.integers(dataset.n_classes - 1))) % dataset.n_classes
