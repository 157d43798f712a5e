"""Where runs are kept: the home, and each run's folder in it."""

from __future__ import annotations

import os
from pathlib import Path

from dal_core.limits.paths import given_path
from dal_core.limits.refused import Refused
from dal_core.run.rows import StoreError


def default_home() -> Path:
    """`$DAL_HOME`, else `runs` in the current folder. Raises StoreError if it is blank."""
    given = os.environ.get("DAL_HOME")
    if not given:
        return Path("runs")
    try:
        return given_path(given, "DAL_HOME")
    except Refused as error:
        raise StoreError(str(error)) from None


def run_dir(home: Path, run_id: str) -> Path:
    """The folder of a run's files; it need not exist."""
    return Path(home) / run_id
