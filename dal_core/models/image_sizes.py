"""Sizes of the networks that decide which protocols are possible.

No torch, so that a run is refused before it is created.
"""

from __future__ import annotations

from collections.abc import Mapping

# After convolution and pooling, nothing would be left of a smaller image.
SMALLEST: Mapping[str, int] = {"lenet5": 12, "gal_cnn": 5}

DENSE_LAYERS: Mapping[str, int] = {"lenet5": 3, "gal_cnn": 2}


class ImageTooSmall(ValueError):
    """The images are too small for the network; the message is one line."""


def image_size(name: str, image_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(channels, H, W) of images of shape (H, W) or (H, W, channels). Raises ImageTooSmall."""
    height, width, channels = (*image_shape, 1)[:3]
    smallest = SMALLEST[name]
    if min(height, width) < smallest:
        raise ImageTooSmall(
            f"images of {height} x {width} pixels are too small for {name}; "
            f"allowed: at least {smallest} x {smallest}"
        )
    return channels, height, width
