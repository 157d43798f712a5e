"""The cached file of images that processes share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dal_core.data.image_cache import cache_dir, mapped_images

LABELS = np.arange(4)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "images"
    path.write_bytes(bytes(range(4)))
    return path


def read(source: Path) -> np.ndarray:
    values = np.frombuffer(source.read_bytes(), np.uint8)
    return np.repeat(values, 28 * 28).reshape(-1, 28, 28)


def load(source: Path) -> np.ndarray:
    return mapped_images("some", [source], LABELS, lambda: read(source))


def never() -> np.ndarray:
    raise AssertionError("the sources were read again")


def test_images_are_mapped_from_a_file_and_read_only_once(source: Path) -> None:
    first = load(source)
    again = mapped_images("some", [source], LABELS, never)
    for images in (first, again):
        assert type(images) is np.ndarray and isinstance(images.base, np.memmap)
        assert not images.flags.writeable
        np.testing.assert_array_equal(images, read(source))


def test_a_changed_source_is_read_again_and_its_old_copy_removed(source: Path) -> None:
    load(source)
    source.write_bytes(bytes(range(10, 14)))
    os.utime(source, ns=(1, 1))
    np.testing.assert_array_equal(load(source), read(source))
    assert len(list(cache_dir().iterdir())) == 1


@pytest.mark.parametrize("damage", ["cut", "altered"])
def test_a_damaged_copy_is_replaced(source: Path, damage: str) -> None:
    load(source)
    (copy,) = cache_dir().iterdir()
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content[:-100] if damage == "cut" else content)
    np.testing.assert_array_equal(load(source), read(source))
    np.testing.assert_array_equal(mapped_images("some", [source], LABELS, never), read(source))


def test_where_no_copy_can_be_kept_the_images_are_in_memory(source: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    np.testing.assert_array_equal(load(source), read(source))
