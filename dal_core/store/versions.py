"""The versions a run is computed with, recorded when it is made.

They come from the metadata of the installed packages, since importing torch to ask it would slow
down the start of every command.
"""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import dal_core

# The last bits of results depend on the number of intra-op threads, so every fit uses one.
INTRA_OP_THREADS = 1


def current_versions(device: str = "cpu") -> dict[str, Any]:
    """Versions of python, torch, numpy and dal (None: not installed), platform, threads, device."""
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
