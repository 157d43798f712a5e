"""The lock of a run: only one thread of one process works on a run at a time.

The lock is a `flock`. The system releases it when its holder dies, so nothing has to be cleaned
up after a kill.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dal_core.store.home import run_dir

LOCK_FILE = "lock"
# `is_locked` briefly holds a shared lock, so taking the lock is tried a few times.
_ATTEMPTS = 5
_PAUSE_SECONDS = 0.01


class RunBusy(Exception):
    """Another process or thread is working on the run; the message is one line."""


@contextmanager
def run_lock(home: Path, run_id: str) -> Iterator[None]:
    """Hold the run's lock inside the `with`, without waiting for another holder.

    Raises:
        RunBusy: another process, or another thread of this one, holds it.
    """
    path = run_dir(home, run_id) / LOCK_FILE
    descriptor = _acquire(path, run_id)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(
            descriptor
        )  # releases the lock; the file stays, since another process may be opening it


def is_locked(home: Path, run_id: str) -> bool:
    """Whether the run's lock is held now. Creates no file."""
    try:
        descriptor = os.open(run_dir(home, run_id) / LOCK_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _acquire(path: Path, run_id: str) -> int:
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # the folder was deleted meanwhile
            continue
        if _try_lock(descriptor, fcntl.LOCK_EX) and _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)
    raise RunBusy(f"run {run_id} is being worked on{_holder(path)}")


def _try_lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """False if the file was deleted between opening and locking it, so that it locks nothing."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        pid = path.read_text()
    except OSError:
        return ""
    return f" (process {pid})" if pid else ""
