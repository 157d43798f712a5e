"""NumPy's files from outside: what the header promises is checked before anything is made."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dal_core.limits.npy import map_array, read_array, read_arrays
from dal_core.limits.refused import Malformed, Refused

ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def test_an_array_comes_back_from_bytes_a_file_and_an_archive(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(npy(ARRAY))
    np.savez(tmp_path / "a.npz", one=ARRAY, two=ARRAY[0])
    np.testing.assert_array_equal(read_array(npy(ARRAY)), ARRAY)
    np.testing.assert_array_equal(map_array(tmp_path / "a.npy"), ARRAY)
    found = read_arrays(tmp_path / "a.npz")
    assert list(found) == ["one", "two"]
    np.testing.assert_array_equal(found["two"], ARRAY[0])


def promising(shape: str, kind: str = "'<f4'") -> bytes:
    """A file whose header promises an array that is not there."""
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        npy(ARRAY)[:-1],
        npy(ARRAY) + b"x",
        npy(np.array([{}], dtype=object)),
        promising("(10**6, 10**6)"),
        promising("(1000000000000, 1000000)"),
        promising("(-1,)"),
        promising("(" * 3_000),
        promising("()", "'O'"),
        promising("(3,)", "[('a', 'O')]"),
        promising("(1,)", "__import__('os')"),
    ],
)
def test_what_is_no_array_or_a_larger_one_than_there_is_is_refused(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    for read in (lambda: read_array(content), lambda: map_array(path)):
        with pytest.raises(Malformed) as caught:
            read()
        assert str(caught.value).isprintable()


def test_an_archive_that_unpacks_into_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(50_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(Refused, match="it unpacks into more than 1000000 bytes"):
        read_arrays(path, most=1_000_000)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, one=np.arange(1000))
    whole = path.read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(Malformed):
            read_arrays(path)
