"""The error of every reader in this room."""

from __future__ import annotations


class Refused(ValueError):
    """The input breaks a limit or a rule of its format; the message is one line."""


class Malformed(Refused):
    """The input is not of its format at all: it may be cut off, or another kind of file."""
