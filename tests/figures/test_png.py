"""Images as data URIs: grey and RGB, of any size."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from dal_core.figures.png import image_data_uri, thumbnail

RNG = np.random.default_rng(0)


def read(uri: str) -> Image.Image:
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    image = Image.open(io.BytesIO(base64.b64decode(body)))
    assert image.format == "PNG"
    return image


@pytest.mark.parametrize("shape", [(28, 28), (20, 12), (20, 12, 3), (1, 1), (300, 200, 3)])
def test_a_data_uri_holds_every_pixel_unchanged(shape: tuple[int, ...]) -> None:
    image = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(read(image_data_uri(image))), image)


def test_every_pixel_becomes_a_square() -> None:
    image = RNG.integers(0, 256, (5, 4, 3), dtype=np.uint8)
    large = np.asarray(read(image_data_uri(image, 3)))
    assert large.shape == (15, 12, 3)
    np.testing.assert_array_equal(large[1::3, 2::3], image)


@pytest.mark.parametrize("draw", [image_data_uri, thumbnail])
@pytest.mark.parametrize(
    "image",
    [
        np.zeros((28, 28)),
        np.zeros(28, np.uint8),
        np.zeros((28, 28, 4), np.uint8),
        np.zeros((0, 28), np.uint8),
    ],
)
def test_what_is_no_grey_or_rgb_image_is_refused(draw: object, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"allowed: uint8 \[H, W\] or \[H, W, 3\]"):
        draw(image)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((28, 28), (56, 56)),
        ((20, 12, 3), (24, 40)),
        ((224, 112, 3), (28, 56)),
        ((60, 30), (30, 60)),
    ],
)
def test_a_thumbnail_is_small_whatever_the_image(
    shape: tuple[int, ...], size: tuple[int, int]
) -> None:
    uri = thumbnail(np.full(shape, 200, np.uint8))
    assert read(uri).size == size
    assert len(uri) < 500


def test_a_thumbnail_keeps_colours() -> None:
    image = np.zeros((20, 12, 3), np.uint8)
    image[:10] = (250, 10, 10)
    shown = np.asarray(read(thumbnail(image)).convert("RGB"))
    assert np.abs(shown[::2, ::2].astype(int) - image).max() <= 8
