"""The versions that are recorded when a run is created.

They come from the metadata of the installed packages, because importing torch would slow down the
start of every command.
"""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import dal_core

# The last bits of results depend on the number of intra-op threads, so every fit uses one.
INTRA_OP_THREADS = 1


def current_versions(device: str = "cpu") -> dict[str, Any]:
    """Versions of Python and packages (None if not installed), platform, threads and device."""
    return {
        "python": platform.python_version(),
        "torch": _version("torch"),
        "numpy": _version("numpy"),
        "dal": dal_core.__version__,
        "platform": platform.platform(),
        "threads": INTRA_OP_THREADS,
        "device": device,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
