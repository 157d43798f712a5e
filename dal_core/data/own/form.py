"""The form of a data set's images, and the names of the files that hold them."""

from __future__ import annotations

from dataclasses import dataclass

SETTINGS, SEEN = "settings.json", "seen.jsonl"
IMAGES, LABELS = "images.npy", "labels.npy"
THUMBNAILS = "thumbnails.bin"
OFFSETS = "offsets.npy"  # where each thumbnail begins, and where the last one ends


@dataclass(frozen=True)
class Form:
    """What pixels become: square pictures of `size` pixels, with 1 or 3 channels."""

    size: int
    channels: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image, as in `ImageDataset`."""
        return (self.size, self.size) if self.channels == 1 else (self.size, self.size, 3)
