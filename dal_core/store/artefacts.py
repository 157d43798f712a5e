"""Arrays on disk with what is known of them, and digests that detect damage.

Weights, predictions and recomputed steps are such files. They are safetensors files: the facts
are JSON in the metadata under "dal", and two SHA-256 digests cover the facts and the tensors.
Files of earlier versions have no digests and are accepted as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from dal_core.atomic import write_atomically

_FACTS, _FACTS_DIGEST, _TENSORS_DIGEST = "dal", "facts_sha256", "tensors_sha256"


class ArtefactMissing(ValueError):
    """There is no such file; the message is one line."""


class ArtefactDamaged(ValueError):
    """The file is cut short, is not one of ours or has changed since; the message is one line."""


def save(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write the arrays and the facts as one file, atomically; the same input gives the same bytes.

    Args:
        arrays: of any shape, by name; of types that NumPy and safetensors share.
        facts: what JSON can hold.

    Raises:
        OSError: the file cannot be written; an earlier one stays as it was.
    """
    whole = {name: np.require(array, requirements="C") for name, array in arrays.items()}
    text = json.dumps(dict(facts))
    metadata = {
        _FACTS: text,
        _FACTS_DIGEST: _digest_of_facts(text),
        _TENSORS_DIGEST: _digest_of_tensors(whole),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _with_metadata(safetensors.numpy.save(whole), metadata))


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the facts of a file that is as it was written.

    Raises:
        ArtefactMissing: there is no such file.
        ArtefactDamaged: what it holds is not what was written.
    """
    with _opened(path) as file:
        facts, digest = _read_facts(path, file)
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if digest is not None and digest != _digest_of_tensors(arrays):
        raise ArtefactDamaged(f"{path} is damaged: its arrays do not match their digest")
    return arrays, facts


def read_facts(path: Path) -> dict[str, Any] | None:
    """The facts alone, without reading the arrays; None where `load` finds no sound facts."""
    try:
        with _opened(path) as file:
            return _read_facts(path, file)[0]
    except (ArtefactMissing, ArtefactDamaged):
        return None


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open file, with what safetensors raises turned into our errors."""
    if not path.exists():
        raise ArtefactMissing(f"{path} does not exist")
    try:
        with safe_open(path, framework="np") as file:
            yield file
    except (SafetensorError, OSError, TypeError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtefactDamaged(f"{path} cannot be read: {first_line}") from None


def _read_facts(path: Path, file: Any) -> tuple[dict[str, Any], str | None]:
    """The facts, and the digest that the tensors must have (None: an earlier version's file)."""
    metadata: dict[str, str] = file.metadata() or {}
    if set(metadata) not in ({_FACTS}, {_FACTS, _FACTS_DIGEST, _TENSORS_DIGEST}):
        raise ArtefactDamaged(f"{path} is damaged or was not written by dal")
    text = metadata[_FACTS]
    if _FACTS_DIGEST in metadata and metadata[_FACTS_DIGEST] != _digest_of_facts(text):
        raise ArtefactDamaged(f"{path} is damaged: its facts do not match their digest")
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise ArtefactDamaged(f"{path} is damaged: its facts are not a JSON object")
    return facts, metadata.get(_TENSORS_DIGEST)


def _digest_of_facts(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_of_tensors(arrays: Mapping[str, np.ndarray]) -> str:
    """Over name, type, shape and bytes of every array, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.require(arrays[name], requirements="C")
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _with_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """A safetensors file with the metadata added in this order.

    safetensors itself writes metadata in random order, and equal models should be equal files.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    tensors = json.loads(content[8:start])
    header = json.dumps({"__metadata__": dict(metadata), **tensors}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors start at a multiple of 8 bytes
    return len(header).to_bytes(8, "little") + header + content[start:]
