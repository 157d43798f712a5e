"""`dal doctor`, `dal backup` and `dal restore`: examine, mend, copy and restore a home."""

from __future__ import annotations

from pathlib import Path

from dal_core.cli import values
from dal_core.cli.errors import DONE, FAILED, Failed, WrongUse
from dal_core.limits.text import visible
from dal_core.run.rows import StoreError
from dal_core.store.home import default_home
from dal_core.store.sqlite.schema import DATABASE_FILE
from dal_core.upkeep.backup import BackupError, copy_home
from dal_core.upkeep.doctor import examine


def doctor(home: Path | None, fix: bool) -> int:
    """Print what is wrong in a home, a line each; returns 1 if something is left to be done.

    Raises:
        WrongUse: there is no database, or this version cannot read it.
    """
    where = _home(home)
    left = 0
    n_found = 0
    try:
        for one in examine(where, fix):
            n_found += 1
            left += not one.done
            end = one.done or one.advice
            print(visible(f"{one.area}: {one.what}{f'; {end}' if end else ''}"))
    except StoreError as error:
        raise WrongUse(f"home (--home or DAL_HOME): {error}") from None
    if not n_found:
        print(f"{where}: everything is in order")
    elif not left:
        print(f"{n_found} mended, nothing is left")
    else:
        print(f"{n_found} found, {left} left")
    return FAILED if left else DONE


def backup(dest: str, home: Path | None) -> None:
    """Copy a home to a new folder. Raises Failed, WrongUse."""
    target = values.path("DEST", dest)
    n_files, size = _copy(_home(home), target)
    print(f"copied {n_files} files ({size / 1e6:.1f} MB) to {target}")


def restore(backup: str, home: Path | None) -> None:
    """Make a home from a backup. Raises Failed, WrongUse."""
    source = values.path("BACKUP", backup)
    if not (source / DATABASE_FILE).is_file():
        raise WrongUse(f"BACKUP is '{source}'; allowed: a folder that `dal backup` made")
    where = home or default_home()
    n_files, size = _copy(source, where)
    print(f"restored {n_files} files ({size / 1e6:.1f} MB) to {where}")


def _copy(source: Path, target: Path) -> tuple[int, int]:
    try:
        return copy_home(source, target)
    except BackupError as error:
        raise Failed(str(error)) from None


def _home(home: Path | None) -> Path:
    where = home or default_home()
    if not (where / DATABASE_FILE).is_file():
        raise WrongUse(
            f"home (--home or DAL_HOME): {where} holds no runs (there is no {DATABASE_FILE}); "
            "allowed: a folder with runs"
        )
    return where
