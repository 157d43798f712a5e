"""Finding and opening a store."""

from __future__ import annotations

from pathlib import Path

from dal_core.store.base import Store
from dal_core.store.sqlite.commands import SqliteStore
from dal_core.store.sqlite.schema import DATABASE_FILE


def has_store(home: Path) -> bool:
    """Whether there is a store in the home."""
    return (home / DATABASE_FILE).is_file()


def open_store(home: Path, create: bool = True) -> Store:
    """The store of a home.

    Args:
        create: create the home and the store if they are missing; otherwise this is an error.

    Raises:
        StoreError: there is no store, it is of a newer version, or it cannot be read.
    """
    return SqliteStore(home, create)
