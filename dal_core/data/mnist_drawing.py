"""Turns a drawing into an image like MNIST's, as in LeCun, Bottou, Bengio and Haffner (1998).

The ink is scaled into a box of 20 x 20 pixels. This keeps its proportions and gives grey levels.
Then it is shifted so that its centre of mass lies in the middle of 28 x 28 pixels.
"""

from __future__ import annotations

import numpy as np

SIDE, BOX = 28, 20


def as_mnist(drawing: np.ndarray) -> np.ndarray:
    """White on black ink of any size -> uint8 [28, 28].

    Args:
        drawing: uint8 [H, W], 0 where there is no ink.

    Raises:
        ValueError: the drawing has the wrong type or shape, or no ink.
    """
    if drawing.ndim != 2 or drawing.dtype != np.uint8:
        shape = f"{drawing.dtype} {list(drawing.shape)}"
        raise ValueError(f"drawing is {shape}; allowed: uint8 [height, width]")
    ink = drawing > 0
    if not ink.any():
        raise ValueError("drawing is empty; allowed: at least one stroke")
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    cut = drawing[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _centred(_into_box(cut))


def _into_box(cut: np.ndarray) -> np.ndarray:
    """Scaled so that the longer side is BOX pixels; each pixel averages the area it covers."""
    height, width = cut.shape
    from PIL import Image  # only a drawing needs it

    scale = BOX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(cut).resize(size, Image.Resampling.BOX))


def _centred(digit: np.ndarray) -> np.ndarray:
    """[28, 28] with the centre of mass on pixel 14, or as close to it as the ink fits."""
    height, width = digit.shape
    # Faint ink can vanish in scaling; the small constant keeps the centre of mass defined.
    weight = digit.astype(np.float64) + 1e-9
    total = weight.sum()
    middle = (
        float((weight.sum(1) * np.arange(height)).sum() / total),
        float((weight.sum(0) * np.arange(width)).sum() / total),
    )
    top = int(np.clip(round(SIDE / 2 - middle[0]), 0, SIDE - height))
    left = int(np.clip(round(SIDE / 2 - middle[1]), 0, SIDE - width))
    image = np.zeros((SIDE, SIDE), dtype=np.uint8)
    image[top : top + height, left : left + width] = digit
    return image
