"""Pictures of every kind become upright eight-bit pixels, or are refused in one line."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dal_core.data.own.form import Form
from dal_core.data.own.pictures import (
    MAX_PIXELS,
    THUMBNAIL,
    difference_hash,
    is_grey,
    read_picture,
    to_pixels,
    to_thumbnail,
)
from dal_core.limits.refused import Refused
from tests.data.own.folders import coloured, encoded, png_of

RED, WHITE = (255, 0, 0), (255, 255, 255)


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Image.Image:
    picture = Image.new("RGB", (40, 20), left)
    picture.paste(right, (20, 0, 40, 20))
    return picture


def pixel(picture: Image.Image, x: int, y: int) -> tuple[int, ...]:
    found = picture.convert("RGB").getpixel((x, y))
    assert isinstance(found, tuple)
    return tuple(int(value) for value in found)


def test_a_picture_that_the_camera_turned_is_set_upright() -> None:
    lying = halves(RED, (0, 0, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right
    upright = read_picture(encoded(lying, exif=exif.tobytes()))
    assert upright.size == (20, 40)
    assert (pixel(upright, 10, 5), pixel(upright, 10, 35)) == (RED, (0, 0, 255))


def test_what_is_transparent_becomes_white_and_is_cropped_away() -> None:
    clear = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    clear.paste((255, 0, 0, 255), (10, 20, 40, 50))
    clear.putpixel((10, 20), (0, 0, 0, 1))
    picture = read_picture(encoded(clear))
    assert picture.size == (30, 30) and picture.mode == "RGB"
    assert pixel(picture, 15, 15) == RED
    assert min(pixel(picture, 0, 0)) >= 253


def test_a_palette_with_a_transparent_colour_is_read_with_it() -> None:
    clear = Image.new("RGBA", (30, 30), (0, 0, 0, 0))
    clear.paste((255, 0, 0, 255), (5, 5, 25, 25))
    content = encoded(clear.quantize(4))
    assert Image.open(io.BytesIO(content)).mode == "P"
    picture = read_picture(content)
    assert picture.size == (20, 20) and pixel(picture, 3, 3) == RED


def test_a_grey_picture_with_a_transparent_value_is_read_with_it() -> None:
    grey = Image.new("L", (30, 30), 0)
    grey.paste(80, (5, 5, 25, 25))
    picture = read_picture(encoded(grey, transparency=0))
    assert picture.size == (20, 20) and pixel(picture, 3, 3) == (80, 80, 80)


def test_inks_become_colours() -> None:
    content = encoded(halves(RED, WHITE).convert("CMYK"), "JPEG", quality=95)
    picture = read_picture(content)
    assert picture.mode == "RGB"
    assert np.abs(np.subtract(pixel(picture, 5, 10), RED)).max() < 12


def test_sixteen_bits_are_scaled_to_eight() -> None:
    values = np.tile(np.linspace(0, 65535, 32).astype(np.uint16), (8, 1))
    for form in ("PNG", "TIFF"):
        pixels = np.asarray(read_picture(encoded(Image.fromarray(values), form)))
        assert np.array_equal(pixels[0], np.rint(values[0] / 257).astype(np.uint8))


def test_fractions_are_stretched_between_their_extremes() -> None:
    values = np.tile(np.linspace(-1, 3, 9, dtype=np.float32), (5, 1))
    pixels = np.asarray(read_picture(encoded(Image.fromarray(values), "TIFF")))
    assert pixels[0].tolist() == [0, 32, 64, 96, 128, 159, 191, 223, 255]
    with pytest.raises(Refused, match="not finite"):
        read_picture(encoded(Image.fromarray(np.full((5, 5), np.nan, np.float32)), "TIFF"))


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, WHITE)]
    for form in ("GIF", "WEBP", "PNG"):
        content = encoded(frames[0], form, save_all=True, append_images=frames[1:])
        assert np.abs(np.subtract(pixel(read_picture(content), 9, 9), RED)).max() < 12, form


def test_black_and_white_is_grey() -> None:
    picture = read_picture(encoded(Image.new("1", (10, 10), 1)))
    assert picture.mode == "L" and pixel(picture, 1, 1) == WHITE


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a letter, not a picture\n", "is not a picture of a known kind"),
        (b"", "is not a picture of a known kind"),
        (encoded(coloured("red", 1), "JPEG")[:900], "is damaged or cut off"),
        (encoded(coloured("red", 1), "PNG")[:900], "is damaged or cut off"),
        (encoded(Image.new("RGB", (1, 1))), r"is 1 x 1 pixels; allowed: at least 4 x 4"),
        (encoded(Image.new("RGBA", (9, 9), (5, 5, 5, 0))), "is wholly transparent"),
        (png_of(30_000, 30_000), "has more than 178 million pixels"),
        (png_of(10_000, 10_000), "has 100 million pixels; allowed: 64 million"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(content: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        read_picture(content)
    assert "\n" not in str(refused.value)


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size() -> None:
    side = 9_000  # 81 million pixels, more than are decoded
    assert side * side > MAX_PIXELS
    content = encoded(Image.new("L", (side, side), 90), "JPEG", quality=10)
    picture = read_picture(content)
    assert 2 * THUMBNAIL <= min(picture.size) < 1_300
    progressive = encoded(Image.new("L", (side, side), 90), "JPEG", quality=10, progressive=True)
    with pytest.raises(Refused, match="has 81 million pixels; allowed: 64 million"):
        read_picture(progressive)


def test_the_longer_side_fills_the_square_and_the_border_colour_the_rest() -> None:
    wide = Image.new("RGB", (80, 20), (10, 200, 30))
    pixels = to_pixels(wide, Form(32, 3))
    assert pixels.shape == (32, 32, 3) and (pixels == (10, 200, 30)).all()
    bar = halves(RED, RED).convert("L")
    bar.paste(0, (15, 5, 25, 15))
    grey = to_pixels(bar, Form(28, 1))
    assert grey.shape == (28, 28)
    assert (grey[:7] == grey[-7:]).all() and grey[14, 14] == 0 and grey[0, 0] == 76


def test_a_line_of_pixels_does_not_become_a_huge_square() -> None:
    assert to_pixels(Image.new("RGB", (60_000, 4)), Form(28, 3)).shape == (28, 28, 3)


def test_a_thumbnail_keeps_the_shape_and_is_not_enlarged() -> None:
    for size, expected in [((640, 320), (160, 80)), ((30, 20), (30, 20))]:
        small = Image.open(io.BytesIO(to_thumbnail(coloured("red", 1, size))))
        assert (small.format, small.size) == ("JPEG", expected)


def test_a_picture_without_colour_is_grey_whatever_its_mode() -> None:
    assert is_grey(Image.new("RGB", (30, 30), (90, 92, 91)))
    assert not is_grey(halves(RED, WHITE))


def test_copies_of_another_size_have_nearly_the_same_difference_hash() -> None:
    rng = np.random.default_rng(1)
    blocks = Image.fromarray(rng.integers(0, 255, (9, 9), dtype=np.uint8))
    large = blocks.resize((400, 400), Image.Resampling.BICUBIC)
    small = large.resize((150, 150))
    other = Image.fromarray(rng.integers(0, 255, (9, 9), dtype=np.uint8)).resize((400, 400))
    near = difference_hash(large) ^ difference_hash(small)
    far = difference_hash(large) ^ difference_hash(other)
    assert near.bit_count() <= 2 and far.bit_count() > 12
