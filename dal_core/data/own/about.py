"""What is known of a person's data set without reading its images: `about.json` in its folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dal_core.atomic import write_atomically
from dal_core.data.base import DataCorrupt
from dal_core.limits.json_text import read_json
from dal_core.limits.refused import Refused
from dal_core.limits.text import clean_name, shown, visible

ABOUT = "about.json"
LEAST_CLASSES, MOST_CLASSES = 2, 100
_FORMAT = 1

Kind = Literal["pictures", "idx"]


@dataclass(frozen=True)
class About:
    """Facts about a data set.

    Attributes:
        kind: picture files, or IDX files with MNIST's layout.
        image_shape: (H, W), or (H, W, 3) for RGB.
        n_images, n_known: images, and how many of them have a known class.
        n_test: the last so many images are the test set that came with the data.
        rarest: images of the class that has the fewest known labels, without the test set.
        pixel_mean, pixel_std: one value for each channel, of pixels scaled to [0, 1].
        fingerprint: as `ImageDataset.fingerprint`.
        source: where it came from; the originals are there, if nobody moved them.
        added_at: ISO 8601, UTC.
    """

    name: str
    kind: Kind
    class_names: tuple[str, ...]
    image_shape: tuple[int, ...]
    n_images: int
    n_known: int
    n_test: int
    rarest: int
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    fingerprint: str
    source: str
    added_at: str

    @property
    def labels_known(self) -> bool:
        """Whether every image has a known class."""
        return self.n_known == self.n_images

    @property
    def title(self) -> str:
        """What people call the data set."""
        return f"{self.name} ({self.n_images:,} images, {len(self.class_names)} classes)"


def write_about(folder: Path, about: About) -> None:
    """Write the file. Raises OSError."""
    text = json.dumps({"format": _FORMAT, **asdict(about)}, indent=1)
    write_atomically(folder / ABOUT, text.encode())


def read_about(folder: Path) -> About:
    """Read the file.

    Raises:
        DataCorrupt: it is missing, damaged or of another version.
    """
    path = folder / ABOUT
    try:
        facts = read_json(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or facts.pop("format", None) != _FORMAT:
            raise Refused("it is of another version")
        return _checked(facts)
    except OSError as error:
        raise DataCorrupt(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        why = visible(" ".join(str(error).split()))[:200]  # it may quote the file
        raise DataCorrupt(f"{path} is damaged: {why}") from None


def clean_classes(names: list[str]) -> tuple[str, ...]:
    """The names of classes, each once. Raises ValueError for a list that cannot be used."""
    cleaned = tuple(clean_name(name, "class") for name in names)
    twice = next((name for place, name in enumerate(cleaned) if name in cleaned[:place]), None)
    if twice is not None:
        raise ValueError(f"class {shown(twice)} is named twice; allowed: each once")
    if not LEAST_CLASSES <= len(cleaned) <= MOST_CLASSES:
        what = f"{len(cleaned)} classes" if len(cleaned) != 1 else f"1 class, {shown(cleaned[0])}"
        raise ValueError(f"there are {what}; allowed: {LEAST_CLASSES} to {MOST_CLASSES}")
    return cleaned


def _checked(facts: dict[str, Any]) -> About:
    for name in ("class_names", "image_shape", "pixel_mean", "pixel_std"):
        facts[name] = tuple(facts.get(name, ()))
    about = About(**facts)
    clean_classes(list(about.class_names))
    counts = (*about.image_shape, about.n_images, about.n_known, about.n_test, about.rarest)
    if not all(type(count) is int and count >= 0 for count in counts):
        raise Refused("its counts are not whole numbers")
    if len(about.image_shape) not in (2, 3) or about.image_shape[2:] not in ((), (3,)):
        raise Refused(f"image_shape is {shown(about.image_shape)}")
    channels = 3 if len(about.image_shape) == 3 else 1
    for values in (about.pixel_mean, about.pixel_std):
        if len(values) != channels or not all(type(value) is float for value in values):
            raise Refused("its pixel values are not one number for each channel")
    if not all(isinstance(t, str) for t in (about.name, about.fingerprint, about.source)):
        raise Refused("a name is not text")
    return about
