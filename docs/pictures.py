"""Saves the README's pictures as small files."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).resolve().parent / "images"


def save(png: bytes, name: str) -> None:
    """Write a picture with 256 colours, which are enough for a page of flat areas."""
    IMAGES.mkdir(exist_ok=True)
    path = IMAGES / name
    with Image.open(io.BytesIO(png)) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    print(f"docs/images/{name}: {path.stat().st_size / 1000:.0f} kB")
