"""The versions that are recorded with runs and steps.

They come from the metadata of the installed packages, because importing torch would slow down the
start of every command.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import dal_core

# The last bits of results depend on the number of intra-op threads, so every fit uses one.
INTRA_OP_THREADS = 1
ROOT = Path(dal_core.__file__).resolve().parents[1]
GIT_SECONDS = 5.0


def current_versions(device: str = "cpu") -> dict[str, Any]:
    """Versions of Python and packages (None if not installed), platform, threads and device."""
    return {
        "python": platform.python_version(),
        "torch": _version("torch"),
        "torchvision": _version("torchvision"),
        "numpy": _version("numpy"),
        "dal": dal_core.__version__,
        "commit": commit(),
        "platform": platform.platform(),
        "threads": INTRA_OP_THREADS,
        "device": device,
    }


@cache
def commit() -> str | None:
    """The commit that this process runs, with `-dirty` if files differ from it; None if unknown.

    It is that of the working tree when it was first asked for, else the one that pip installed.
    """
    return _commit_of_tree(ROOT) if (ROOT / ".git").exists() else _commit_installed("dal")


def _commit_of_tree(root: Path) -> str | None:
    """The commit checked out in a working tree; None if git is missing or fails."""
    # The variables that git sets in its hooks name another repository.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), "--no-optional-locks"]
    command += ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip() or None


def _commit_installed(package: str) -> str | None:
    """The commit that pip recorded for a package installed from a repository; None otherwise."""
    try:
        text = distribution(package).read_text("direct_url.json")
        found = json.loads(text or "{}").get("vcs_info", {}).get("commit_id")
    except (PackageNotFoundError, OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
