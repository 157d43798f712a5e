"""Turns errors into one line and an exit code: 0 done, 1 failed, 2 wrong use, 130 Ctrl-C."""

from __future__ import annotations

import os
import traceback

from dal_core.limits.text import visible

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


class WrongUse(Exception):
    """A mistake in the command; the message is one line with option, value and allowed values."""


class Failed(Exception):
    """A valid command could not be carried out; the message is one line."""


def describe(error: Exception) -> tuple[str, int]:
    """The line to print for an error, and the exit code."""
    code = _code(error)
    if code is None:
        return _unexpected(error), FAILED
    return one_line(error), code


def one_line(error: Exception) -> str:
    """The error's message on one line, without control characters."""
    return visible(" ".join(str(error).split()))


def _code(error: Exception) -> int | None:
    """The exit code of an expected error; None for any other error."""
    if isinstance(error, WrongUse):
        return WRONG_USE
    if isinstance(error, Failed):
        return FAILED
    # Imported here, because only a failed command needs them.
    from dal_core.data.base import DataError, DataMissing
    from dal_core.protocol.parameters import ProtocolError
    from dal_core.record_file.validate import RecordError
    from dal_core.run.oracle import NoOracle
    from dal_core.run.rows import (
        Diverged,
        RunDamaged,
        RunInUse,
        RunNotFound,
        StoreError,
        StoreFailed,
    )
    from dal_core.store.experiments import ExperimentDamaged
    from dal_core.store.run_lock import RunBusy

    if isinstance(error, ProtocolError | RunNotFound | DataMissing | StoreError):
        return WRONG_USE
    if isinstance(error, DataError | NoOracle | RunBusy | RunInUse | RecordError):
        return FAILED
    if isinstance(error, Diverged | StoreFailed | RunDamaged | ExperimentDamaged):
        return FAILED
    return None


def _unexpected(error: Exception) -> str:
    if os.environ.get("DAL_DEBUG") == "1":
        traceback.print_exception(error)
        return f"failed: {type(error).__name__}"
    what = one_line(error) or "no message"
    return f"failed: {type(error).__name__}: {what} (DAL_DEBUG=1 shows where)"
