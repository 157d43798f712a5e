"""Where runs are kept: the home, and each run's folder in it."""

from __future__ import annotations

import os
from pathlib import Path


def default_home() -> Path:
    """`$DAL_HOME`, else `runs` in the current folder."""
    return Path(os.environ.get("DAL_HOME") or "runs")


def run_dir(home: Path, run_id: str) -> Path:
    """The folder of a run's files; it need not exist."""
    return Path(home) / run_id
