"""Downloading MNIST, only ever on request: all four files whole, or the old state untouched.

Addresses and checksums are torchvision's. Its own downloader writes straight into the target and
draws its progress on stderr, so the bytes are fetched here, where a page or the command line can
show them, and checked and unpacked by torchvision.
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

    They are gathered in a temporary folder beside it, which `check` must accept (it raises
    DataError otherwise) before a rename puts it in place.

    Raises:
        DownloadFailed: No mirror gave a file with the right checksum, or the disk refused.
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
    """Download one archive from the first mirror that has it whole, and unpack it beside itself."""
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
    """Move the new `MNIST/raw` to `target`; a former one goes away with the temporary folder."""
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
