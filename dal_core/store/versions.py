"""What a run was computed with, recorded at its creation.

Read from the installed packages' metadata: importing torch to ask it would cost every command
its start-up time.
"""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import dal_core

# Results differ in bits between one and two intra-op threads, so every fit uses one.
INTRA_OP_THREADS = 1


def current_versions(device: str = "cpu") -> dict[str, Any]:
    """python, torch, numpy, dal, platform, threads, device; None for a package not installed."""
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
