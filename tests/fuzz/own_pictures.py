"""What a person brings in: pictures, archives, labels, and what a home keeps of them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from PIL import Image

from dal_core.data.base import DataError
from dal_core.data.own import place
from dal_core.data.own.about import ABOUT, read_about
from dal_core.data.own.form import Form
from dal_core.data.own.labels_in import Files, assign, read_labels
from dal_core.data.own.pictures import difference_hash, read_picture, to_pixels, to_thumbnail
from dal_core.data.own.sources import open_source
from dal_core.limits.refused import Refused
from tests.data.own.folders import coloured, encoded, zipped

REFUSES = (DataError, Refused)

PICTURES = [
    encoded(coloured("red", 1), form)
    for form in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
] + [encoded(Image.new("RGBA", (9, 9), (9, 9, 9, 90)).quantize(4))]

ROWS = [{"file_name": f"a/{n}.png", "label": "cat"} for n in range(3)]
LABELS = {
    "labels.csv": "file_name,label\n" + "".join(f"a/{n}.png,cat\n" for n in range(3)),
    "labels.jsonl": "\n".join(map(json.dumps, ROWS)),
    "labels.json": json.dumps(
        [
            {
                "data": {"image": f"/data/upload/1/0a1b2c3d-{n}.png"},
                "annotations": [{"result": [{"type": "choices", "value": {"choices": ["cat"]}}]}],
            }
            for n in range(3)
        ]
    ),
}
FACTS = json.dumps(
    {
        **{"format": 1, "name": "birds", "kind": "pictures", "class_names": ["a", "b"]},
        **{"image_shape": [28, 28, 3], "n_images": 9, "n_known": 3, "n_test": 0, "rarest": 1},
        **{"pixel_mean": [0.1, 0.2, 0.3], "pixel_std": [0.1, 0.2, 0.3], "fingerprint": "0" * 64},
        **{"source": "/pictures", "added_at": "2026-01-31T12:00:00+00:00"},
    }
)


def use_picture(content: bytes) -> None:
    """Read a picture and make of it what an import makes."""
    picture = read_picture(content)
    for form in (Form(28, 1), Form(64, 3)):
        assert to_pixels(picture, form).shape == form.shape
    to_thumbnail(picture), difference_hash(picture)


def archive() -> bytes:
    """A small zip of pictures."""
    with tempfile.TemporaryDirectory() as folder:
        files = {f"a/{n}.png": content[:200] for n, content in enumerate(PICTURES)}
        return zipped(Path(folder) / "in.zip", files).read_bytes()


def use_archive(content: bytes) -> None:
    """List an archive and read every file of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.zip"
        path.write_bytes(content)
        with open_source(path) as source:
            for entry in source.listing.entries:
                source.read(entry)


def use_labels(given: tuple[str, bytes]) -> None:
    """Read labels and find the files that they name."""
    name, content = given
    assign(read_labels(name, content), Files(f"a/{n}.png" for n in range(3)), name)


def use_facts(content: bytes) -> None:
    """Read the facts of a data set in a home."""
    with tempfile.TemporaryDirectory() as home:
        folder = place.folder_of(Path(home), "birds")
        folder.mkdir(parents=True)
        (folder / ABOUT).write_bytes(content)
        read_about(folder)
