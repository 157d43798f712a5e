"""Images as PNG data URIs, for pages and charts: grey [H, W] or RGB [H, W, 3], uint8, any size."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

THUMBNAIL_SIDE = 56  # approximate longer side of a thumbnail in pixels
_GREYS, _COLOURS = 4, 16  # shades of a thumbnail, enough to recognise an image
_PALETTE = [grey for level in range(_GREYS) for grey in [level * 255 // (_GREYS - 1)] * 3]


def image_data_uri(image: np.ndarray, scale: int = 1) -> str:
    """An image with all its greys or colours.

    Args:
        image: uint8 [H, W] or [H, W, 3].
        scale: side of the square drawn for each pixel. Above 1, pixels stay sharp when a page
            enlarges the image.

    Raises:
        ValueError: the image has another shape or type, or is empty.
    """
    return _data_uri(Image.fromarray(_enlarged(_checked(image), scale)))


def thumbnail(image: np.ndarray) -> str:
    """A small image with few greys or colours, since a chart can hold thousands of them.

    A digit of MNIST takes about 200 bytes.

    Raises:
        ValueError: the image is not uint8 [H, W] or [H, W, 3], or is empty.
    """
    longest = max(_checked(image).shape[:2])
    every = max(1, longest // THUMBNAIL_SIDE)
    small = _enlarged(image[::every, ::every], max(1, THUMBNAIL_SIDE // longest))
    if image.ndim == 3:
        return _data_uri(Image.fromarray(small).quantize(_COLOURS))
    levels = (small.astype(np.uint16) * (_GREYS - 1) + 127) // 255
    png = Image.fromarray(levels.astype(np.uint8), mode="P")
    png.putpalette(_PALETTE)
    return _data_uri(png, bits=2)


def _checked(image: np.ndarray) -> np.ndarray:
    grey_or_rgb = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if not grey_or_rgb or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            f"image is {image.dtype} {list(image.shape)}; allowed: uint8 [H, W] or [H, W, 3]"
        )
    return image


def _enlarged(image: np.ndarray, scale: int) -> np.ndarray:
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def _data_uri(image: Image.Image, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", **options)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
