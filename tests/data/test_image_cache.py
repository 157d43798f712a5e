"""The cached file of images that processes share."""

from __future__ import annotations

import os
from collections.abc import Callable
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


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit of an image": lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]),
    "the first bit of an image": lambda whole: whole[:128] + bytes([whole[128] ^ 1]) + whole[129:],
    "the shape": lambda whole: whole.replace(b"(4, 28, 28)", b"(2, 56, 28)"),
    "the type": lambda whole: whole.replace(b"|u1", b"|i1"),
    "the header": lambda whole: b"\0" * 20 + whole[20:],
    "the end": lambda whole: whole[:-100],
    "everything": lambda whole: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_copy_is_never_used_and_one_line_says_that_it_is_replaced(
    source: Path, damage: str
) -> None:
    load(source)
    (copy,) = cache_dir().iterdir()
    whole = copy.read_bytes()
    copy.write_bytes(DAMAGES[damage](whole))
    assert copy.read_bytes() != whole
    with pytest.warns(UserWarning, match="is damaged; it is written again") as said:
        images = load(source)
    assert [str(one.message) for one in said] == [
        f"the image cache {copy} is damaged; it is written again"
    ]
    np.testing.assert_array_equal(images, read(source))
    assert copy.read_bytes() == whole
    np.testing.assert_array_equal(mapped_images("some", [source], LABELS, never), read(source))


def test_where_no_copy_can_be_kept_the_images_are_in_memory(source: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    np.testing.assert_array_equal(load(source), read(source))
