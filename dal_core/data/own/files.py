"""What belongs to an image of a person's data set: the name of its file, and a thumbnail."""

from __future__ import annotations

import io
from pathlib import Path

from dal_core.data.base import DataCorrupt
from dal_core.data.own.form import OFFSETS, SEEN, THUMBNAILS
from dal_core.data.own.journal import Seen, read_seen
from dal_core.data.own.place import folder_of
from dal_core.limits.npy import map_array
from dal_core.limits.refused import Refused


def files(home: Path, name: str) -> list[Seen]:
    """The file of every image, in the order of the image ids; empty for sets without files."""
    return [one for one in read_seen(folder_of(home, name) / SEEN) if one.is_taken]


def file_names(home: Path, name: str) -> list[str]:
    """The path of every image within the folder or zip it came from."""
    return [one.file for one in files(home, name)]


def thumbnail(home: Path, name: str, image_id: int) -> io.BytesIO:
    """The JPEG of an image, at most 160 pixels a side.

    Raises:
        DataCorrupt: it cannot be read.
    """
    folder = folder_of(home, name)
    try:
        start, end = (int(place) for place in map_array(folder / OFFSETS)[image_id : image_id + 2])
        with (folder / THUMBNAILS).open("rb") as file:
            file.seek(start)
            return io.BytesIO(file.read(end - start))
    except (OSError, Refused, ValueError) as error:
        raise DataCorrupt(f"{folder}: the thumbnails cannot be read: {error}") from None
