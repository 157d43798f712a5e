"""Reads one picture of any kind: upright, on white, eight bits, as pixels of a fixed size.

The size is checked before anything is decoded. Large JPEGs are decoded at a fraction of their size.
What cannot be read is refused in one line that fits behind the file's name.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dal_core.data.own.form import Form
from dal_core.limits.refused import Refused

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".bmp", ".webp")
) | frozenset((".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"))

MAX_PIXELS = 64_000_000  # decoded
MAX_JPEG_PIXELS = 178_000_000  # before it is reduced; Pillow itself refuses more
MIN_SIDE = 4
THUMBNAIL = 160  # pixels of the longer side
GREY_TOLERANCE = 8  # largest difference between the channels of a grey picture, for JPEG


def read_picture(content: bytes) -> Image.Image:
    """The picture as a person sees it: mode L or RGB, at least twice a thumbnail if it was so.

    The first frame of an animation counts. Transparent parts become white, and the picture is
    cropped to its visible box.

    Raises:
        Refused: it is not a picture, is damaged, or is too large or too small.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata; sizes are checked here
            return _decoded(content)
    except Refused:
        raise
    except UnidentifiedImageError:
        raise Refused("is not a picture of a known kind") from None
    except Image.DecompressionBombError:
        raise Refused(f"has more than {MAX_JPEG_PIXELS // 1_000_000} million pixels") from None
    except Exception as error:  # Pillow fails in many ways on damaged files
        raise Refused(f"is damaged or cut off ({type(error).__name__})") from None


def to_pixels(picture: Image.Image, form: Form) -> np.ndarray:
    """The picture within a square: uint8 [size, size], or [size, size, 3].

    The longer side is scaled to `size`. What remains is filled with the median colour of the
    picture's border.
    """
    mode = "L" if form.channels == 1 else "RGB"
    scaled = _scaled(picture.convert(mode), form.size)
    pixels = np.asarray(scaled)
    width, height = scaled.size
    square = np.empty(form.shape, dtype=np.uint8)
    square[:] = _border_colour(pixels)
    top, left = (form.size - height) // 2, (form.size - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


def to_thumbnail(picture: Image.Image) -> bytes:
    """A JPEG of at most `THUMBNAIL` pixels a side; smaller pictures are not enlarged."""
    small = picture if max(picture.size) <= THUMBNAIL else _scaled(picture, THUMBNAIL)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=92)
    return file.getvalue()


def is_grey(picture: Image.Image) -> bool:
    """Whether the picture has no colour, whatever its mode."""
    if picture.mode == "L":
        return True
    pixels = np.asarray(_scaled(picture, min(THUMBNAIL, max(picture.size)))).astype(np.int16)
    return int(np.ptp(pixels, axis=-1).max()) <= GREY_TOLERANCE


def difference_hash(picture: Image.Image) -> int:
    """64 bits that are equal or nearly so for copies of other size or quality (dHash)."""
    small = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BOX))
    bits = small[:, 1:] > small[:, :-1]
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _decoded(content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        _check_size(image)
        if image.format in ("JPEG", "MPO"):
            image.draft(None, (2 * THUMBNAIL, 2 * THUMBNAIL))
        image.load()
        upright = _upright(_reduced(image))
    picture = _flat(upright) if _has_alpha(upright) else _opaque(upright)
    if min(picture.size) < MIN_SIDE:
        width, height = picture.size
        raise Refused(f"is {width} x {height} pixels; allowed: at least {MIN_SIDE} x {MIN_SIDE}")
    return picture


def _check_size(image: Image.Image) -> None:
    """Refuse what would take too much memory, from the header alone."""
    width, height = image.size
    can_be_reduced = image.format in ("JPEG", "MPO") and not image.info.get("progressive")
    most = MAX_JPEG_PIXELS if can_be_reduced else MAX_PIXELS
    if width * height > most:
        raise Refused(
            f"has {width * height / 1e6:,.0f} million pixels; allowed: {most // 1_000_000} million"
        )


def _reduced(image: Image.Image) -> Image.Image:
    """A huge picture at a fraction of its size, where its mode allows it."""
    factor = min(image.size) // (4 * THUMBNAIL)
    if factor < 2 or image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    return image.reduce(factor)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata: the picture is taken as it lies
        return image


def _has_alpha(image: Image.Image) -> bool:
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return True
    return "transparency" in image.info and image.mode in ("P", "L", "RGB", "1")


def _flat(image: Image.Image) -> Image.Image:
    """On white, cropped to what can be seen."""
    coloured = image.convert("RGBA")
    alpha = coloured.getchannel("A")
    box = alpha.getbbox()
    if box is None:
        raise Refused("is wholly transparent")
    white = Image.new("RGB", coloured.size, "white")
    white.paste(coloured, mask=alpha)
    return white.crop(box)


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode in ("L", "RGB"):
        return image.copy()
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(np.asarray(image), image.mode))
    return image.convert("RGB")


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Sixteen bits scaled by their full range; wider numbers stretched between their extremes."""
    wide = values.astype(np.float64)
    low, high = float(wide.min()), float(wide.max())
    if not np.isfinite([low, high]).all():
        raise Refused("has values that are not finite")
    if mode.startswith("I") and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    scaled = (wide - low) / max(high - low, 1e-12) * 255
    eight: np.ndarray = np.rint(scaled).astype(np.uint8)
    return eight


def _scaled(picture: Image.Image, longest: int) -> Image.Image:
    width, height = picture.size
    scale = longest / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def _border_colour(pixels: np.ndarray) -> np.ndarray:
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    colour: np.ndarray = np.median(np.concatenate(edges), axis=0)
    return colour
