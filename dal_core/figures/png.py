"""Thousands of digits small enough to travel with a chart: data URIs of about 200 bytes each."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

LEVELS, ENLARGED = 4, 2  # greys, and the side of a pixel: to know a digit by, not to measure
_PALETTE = [grey for level in range(LEVELS) for grey in [level * 255 // (LEVELS - 1)] * 3]


def thumbnail(image: np.ndarray) -> str:
    """uint8 [28, 28] -> a PNG of four greys as a data URI."""
    levels = (image.astype(np.uint16) * (LEVELS - 1) + 127) // 255
    large = np.kron(levels.astype(np.uint8), np.ones((ENLARGED, ENLARGED), np.uint8))
    png = Image.fromarray(large, mode="P")
    png.putpalette(_PALETTE)
    buffer = io.BytesIO()
    png.save(buffer, format="PNG", bits=2)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def picture(image: np.ndarray, enlarged: int = 4) -> str:
    """uint8 [28, 28] -> a PNG of all its greys as a data URI, for a few images at a time."""
    large = np.kron(image, np.ones((enlarged, enlarged), np.uint8))
    buffer = io.BytesIO()
    Image.fromarray(large).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
