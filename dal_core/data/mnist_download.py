"""Downloads MNIST: either all four files arrive complete, or nothing on disk changes.

Addresses, checksums and unpacking are torchvision's. Its own downloader writes straight into the
target and prints its progress to stderr, so we fetch the bytes here and report progress to the
caller.
"""

from __future__ import annotations

import os
import tempfile
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from dal_core.data.base import DataError, DownloadFailed, Progress
from dal_core.data.torchvision_ops import import_torchvision

CHUNK_BYTES = 1 << 16
TIMEOUT_SECONDS = 30.0


def download(target: Path, check: Callable[[Path], object], progress: Progress | None) -> None:
    """Put `MNIST/raw/` with its four files below `target`.

    The files are collected in a temporary folder inside `target`, which moves into place once
    `check` accepts it. `check` raises DataError to refuse it.

    Raises:
        DownloadFailed: No mirror had a file with the right checksum, or writing failed.
    """
    source = import_torchvision().datasets.MNIST
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".mnist-") as folder:
            raw = Path(folder) / "MNIST" / "raw"
            raw.mkdir(parents=True)
            for filename, md5 in source.resources:
                _fetch_file(raw / filename, source.mirrors, md5, progress)
            check(Path(folder))
            _put_in_place(Path(folder), target)
    except (OSError, DataError) as error:
        if isinstance(error, DownloadFailed):
            raise
        raise DownloadFailed(f"MNIST was not stored in {target}: {error}") from error


def _fetch_file(path: Path, mirrors: list[str], md5: str, progress: Progress | None) -> None:
    """Download an archive from the first mirror whose copy has the right checksum; unpack it."""
    utils = import_torchvision().datasets.utils
    reasons = []
    for mirror in mirrors:
        try:
            _retrieve(mirror + path.name, path, progress)
        except (OSError, HTTPException) as error:
            reasons.append(" ".join(str(error).split()))
            continue
        if utils.check_integrity(path, md5):
            utils.extract_archive(path, path.parent, remove_finished=True)
            return
        reasons.append("checksum does not match")
    raise DownloadFailed(f"could not download {path.name}: {'; '.join(reasons)}")


def _retrieve(url: str, path: Path, progress: Progress | None) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, path.open("wb") as file:
        total = int(response.headers.get("Content-Length") or 0)
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            if progress is not None:
                progress(path.name, file.tell(), total)


def _put_in_place(folder: Path, target: Path) -> None:
    """Move the new `MNIST/raw` to `target`; the old one is deleted with the temporary folder."""
    current, former = target / "MNIST" / "raw", folder / "former"
    current.parent.mkdir(exist_ok=True)
    if current.exists():
        os.replace(current, former)
    try:
        os.replace(folder / "MNIST" / "raw", current)
    except OSError:
        if former.exists():
            os.replace(former, current)
        raise
