"""Artefact files: arrays with facts about them, and digests that detect damage.

Weights, predictions and recomputed steps are stored this way. The format is safetensors. The facts
are JSON in the metadata under "dal"; one SHA-256 digest covers the facts and one the tensors. Files
of earlier versions have no digests and are accepted without this check.
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
    """The file does not exist; the message is one line."""


class ArtefactDamaged(ValueError):
    """The file is truncated, changed or was not written by dal; the message is one line."""


def save(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write arrays and facts as one file, atomically. The same input gives the same bytes.

    Args:
        arrays: by name, of any shape, and of a type that safetensors supports.
        facts: serialisable as JSON.

    Raises:
        OSError: the file cannot be written; an existing file is unchanged.
    """
    contiguous = {name: np.require(array, requirements="C") for name, array in arrays.items()}
    text = json.dumps(dict(facts))
    metadata = {
        _FACTS: text,
        _FACTS_DIGEST: _digest_of_facts(text),
        _TENSORS_DIGEST: _digest_of_tensors(contiguous),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _with_metadata(safetensors.numpy.save(contiguous), metadata))


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the arrays and the facts of a file, and check their digests.

    Raises:
        ArtefactMissing: the file does not exist.
        ArtefactDamaged: the file cannot be read, or its contents do not match the digests.
    """
    with _opened(path) as file:
        facts, digest = _read_facts(path, file)
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if digest is not None and digest != _digest_of_tensors(arrays):
        raise ArtefactDamaged(f"{path} is damaged: its arrays do not match their digest")
    return arrays, facts


def read_facts(path: Path) -> dict[str, Any] | None:
    """The facts alone, without reading the arrays; None if they are missing or damaged."""
    try:
        with _opened(path) as file:
            return _read_facts(path, file)[0]
    except (ArtefactMissing, ArtefactDamaged):
        return None


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open the file; errors of safetensors become ArtefactMissing or ArtefactDamaged."""
    if not path.exists():
        raise ArtefactMissing(f"{path} does not exist")
    try:
        with safe_open(path, framework="np") as file:
            yield file
    except (SafetensorError, OSError, TypeError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtefactDamaged(f"{path} cannot be read: {first_line}") from None


def _read_facts(path: Path, file: Any) -> tuple[dict[str, Any], str | None]:
    """The facts, and the digest of the tensors (None in a file of an earlier version)."""
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
    """SHA-256 over name, type, shape and bytes of every array, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.require(arrays[name], requirements="C")
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _with_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """Add metadata to a safetensors file, in the given order.

    safetensors itself writes metadata in random order, but equal models should give equal files.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    tensors = json.loads(content[8:start])
    header = json.dumps({"__metadata__": dict(metadata), **tensors}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors start at a multiple of 8 bytes
    return len(header).to_bytes(8, "little") + header + content[start:]
