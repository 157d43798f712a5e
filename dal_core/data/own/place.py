"""Where the data sets of a home are kept, and which names they may have."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dal_core.data.base import DataError, DataMissing
from dal_core.limits.paths import given_path
from dal_core.limits.refused import Refused
from dal_core.limits.text import shown

FOLDER = "datasets"  # in the home
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class DataBusy(DataError):
    """Another process is importing under this name; the message is one line."""


def home() -> Path:
    """`$DAL_HOME`, else `runs` in the current folder. Raises DataMissing if it is blank."""
    given = os.environ.get("DAL_HOME")
    try:
        return given_path(given, "DAL_HOME") if given else Path("runs")
    except Refused as error:
        raise DataMissing(str(error)) from None


def folder_of(home: Path, name: str) -> Path:
    """The folder of a data set; it need not exist."""
    return home / FOLDER / name


def partial_of(home: Path, name: str) -> Path:
    """The folder of an import that is not complete; it need not exist."""
    return home / FOLDER / f".{name}.partial"


def is_name(text: str) -> bool:
    """Whether a data set may have this name, which becomes the name of a folder."""
    return _NAME.fullmatch(text) is not None


def clean(text: str) -> str:
    """The name of a data set. Raises DataError for a name that is not allowed."""
    if not is_name(text):
        raise DataError(
            f"name is {shown(text)}; allowed: up to 40 small letters, digits, - and _, "
            "the first a letter or digit"
        )
    return text


@contextmanager
def importing(home: Path, name: str) -> Iterator[Path]:
    """Hold the right to import under this name; yields the folder to work in, which is created.

    Raises:
        DataBusy: another process holds it.
        OSError: the folder cannot be made.
    """
    import fcntl

    folder = partial_of(home, name)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / FOLDER / f".{name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    except BlockingIOError:
        raise DataBusy(f"{name} is being imported by another process") from None
    finally:
        os.close(descriptor)  # releases the lock
