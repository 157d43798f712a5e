"""How a store is found and opened."""

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
        create: make the home and the store where they are missing; otherwise that is an error.

    Raises:
        StoreError: there is no store, or it is of a newer version or cannot be read; one line.
    """
    return SqliteStore(home, create)
