"""Paths that people give: on the command line and in environment variables."""

from __future__ import annotations

from pathlib import Path

from dal_core.limits.refused import Refused
from dal_core.limits.text import shown


def given_path(text: str, what: str) -> Path:
    """The path with a leading `~` expanded, also where no shell has done so.

    Args:
        what: what the path is, for the message: "--home", "DAL_HOME".

    Raises:
        Refused: the path is blank, holds a NUL, or names the home of a user who does not exist.
    """
    if not text.strip() or "\0" in text:
        raise Refused(f"{what} is {shown(text)}; allowed: a path that is not blank")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise Refused(f"{what} is {shown(text)}; there is no such user") from None
