"""Copies of a whole home, made while it is used: the database, records, weights and predictions."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from dal_core.run.rows import StoreError
from dal_core.store.run_lock import LOCK_FILE
from dal_core.store.sqlite.copying import copy_database, problems
from dal_core.store.sqlite.schema import DATABASE_FILE
from dal_core.upkeep.leftovers import is_leftover


class BackupError(Exception):
    """The copy could not be made; the message is one line. Nothing is left of it."""


def copy_home(source: Path, target: Path) -> tuple[int, int]:
    """Copy a home to a new folder, which appears only when it is complete.

    The database is copied as one state of it. Every other file is replaced as a whole when it is
    written, so that the copy has the old or the new one.

    Args:
        target: must not exist, or be an empty folder.

    Returns:
        The number of files, and of bytes.

    Raises:
        BackupError: there is no database or it is damaged, the target is not empty, or it cannot
            be written.
    """
    source, target = source.absolute(), target.absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupError(f"{target} exists already; allowed: a new or empty folder")
    if target.is_relative_to(source):
        raise BackupError(f"{target} is inside {source}; allowed: a folder outside the home")
    partial = target.parent / f".{target.name}.{secrets.token_hex(4)}.tmp"
    try:
        partial.mkdir(parents=True)
        copy_database(source, partial / DATABASE_FILE)
        if found := problems(partial):
            why = f"the database in {source} is damaged ({found[0]})"
            raise BackupError(f"{why}; `dal doctor --fix` saves what can be read")
        _copy_files(source, partial)
        if target.exists():
            target.rmdir()
        partial.rename(target)
    except (OSError, StoreError) as error:
        raise BackupError(_line(error, target)) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sizes = [path.stat().st_size for path in target.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def _copy_files(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if not _belongs(source, path):
            continue
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(path, copy)
        except FileNotFoundError:  # deleted meanwhile
            continue


def _belongs(home: Path, path: Path) -> bool:
    """Whether a file is part of a backup: not the database, a lock, a link or a leftover."""
    is_database = path.parent == home and path.name.startswith(DATABASE_FILE)
    is_wanted = path.is_file() and not path.is_symlink() and path.name != LOCK_FILE
    return is_wanted and not is_database and not is_leftover(path)


def _line(error: OSError | StoreError, target: Path) -> str:
    if isinstance(error, StoreError):
        return str(error)
    where = error.filename or target
    return f"{where} cannot be copied or written: {error.strerror or error}; nothing was kept"
