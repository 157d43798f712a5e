"""Folders of pictures for tests: tidy ones, and one of every kind of dirt in real folders."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (210, 40, 40), "green": (40, 190, 60), "blue": (50, 60, 220)}


def coloured(name: str, seed: int, size: tuple[int, int] = (48, 36)) -> Image.Image:
    """A noisy picture of a colour; each seed gives another one."""
    rng = np.random.default_rng(seed)
    width, height = size
    noise = rng.integers(-35, 36, (height, width, 3))
    return Image.fromarray((np.array(COLOURS[name]) + noise).clip(0, 255).astype(np.uint8))


def smooth(seed: int, side: int) -> Image.Image:
    """A picture of soft spots, which looks the same at any size."""
    blocks = np.random.default_rng(seed).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((side, side), Image.Resampling.BICUBIC)


def by_class(folder: Path, n: int = 4) -> Path:
    """torchvision's layout: a sub-folder for each colour, n pictures in each."""
    for place, name in enumerate(COLOURS):
        (folder / name).mkdir(parents=True)
        for number in range(n):
            coloured(name, 100 * place + number).save(folder / name / f"{number:03}.png")
    return folder


def flat(folder: Path, n: int = 4) -> Path:
    """The same pictures without classes."""
    folder.mkdir(parents=True)
    for place, name in enumerate(COLOURS):
        for number in range(n):
            coloured(name, 100 * place + number).save(folder / f"{number:03}-{name}.png")
    return folder


def encoded(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip of these files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def png_of(width: int, height: int) -> bytes:
    """The head of a PNG that says it is so large, with no pixels behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
