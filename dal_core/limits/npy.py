"""Reads NumPy's own files: the header is held against the file's size before anything is made."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from dal_core.limits.refused import Malformed, Refused

MAX_BYTES = 1_000_000_000  # of an array: seven times the floats of MNIST
MAX_MEMBERS = 100  # of an npz file


def read_array(content: bytes) -> np.ndarray:
    """The array in the bytes of an npy file.

    Raises:
        Malformed: the bytes are not an npy file, or hold more or less than its header says.
    """
    file = io.BytesIO(content)
    _check_header(file, len(content))
    return _load(io.BytesIO(content))


def map_array(path: Path) -> np.ndarray:
    """The array of an npy file, memory-mapped and read-only.

    Raises:
        Malformed: as `read_array`.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        _check_header(file, path.stat().st_size)
    return _load(path, mmap_mode="r")


def read_arrays(path: Path, most: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """The arrays of an npz file by name.

    Args:
        most: bytes that all of them may take when unpacked.

    Raises:
        Malformed: the file is not an npz file, or one array is damaged.
        Refused: there are too many arrays, or they would take more than `most` bytes.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            return _members(file, most)
        except Refused:
            raise
        except Exception as error:  # zipfile fails in many ways on a damaged archive
            raise Malformed(f"it is not an npz file: {type(error).__name__}") from None


def _members(file: IO[bytes], most: int) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS or sum(one.file_size for one in members) > most:
            raise Refused(f"it unpacks into more than {most} bytes or {MAX_MEMBERS} arrays")
        return {
            one.filename.removesuffix(".npy"): read_array(_unpack(archive, one)) for one in members
        }


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as file:
        content = file.read(member.file_size + 1)
    if len(content) != member.file_size:
        raise Malformed(f"{member.file_size} bytes are promised, others are there")
    return content


def _check_header(file: IO[bytes], size: int) -> None:
    try:
        version = npy_format.read_magic(file)
        read: Any = {
            (1, 0): npy_format.read_array_header_1_0,
            (2, 0): npy_format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
        expected = file.tell() + math.prod(shape) * dtype.itemsize
    except Exception as error:  # numpy evaluates the header, which can fail in many ways
        raise Malformed(f"it is not an npy file: {type(error).__name__}") from None
    if dtype.hasobject or min(shape, default=0) < 0 or expected != size:
        raise Malformed(f"its header says {expected} bytes of plain numbers, it has {size}")


def _load(source: Any, **options: Any) -> np.ndarray:
    try:
        array: np.ndarray = np.load(source, allow_pickle=False, **options)
    except (ValueError, EOFError) as error:
        raise Malformed(f"it is not an npy file: {type(error).__name__}") from None
    return array
