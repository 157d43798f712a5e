"""`dal data`: list, fetch and verify the data sets."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from dal_core.cli import values
from dal_core.cli.tables import print_table
from dal_core.data import catalogue


def show_all() -> None:
    """Print every data set and its path."""
    rows = []
    for loader in catalogue.DATASETS.values():
        where = loader.find(None)
        missing = f"not here; `dal data fetch {loader.name}` downloads it, or set DAL_DATA"
        rows.append([loader.name, loader.title, str(where) if where else missing])
    print_table(("name", "title", "where"), rows)


def fetch(name: str) -> None:
    """Download a data set unless it is already complete. Raises WrongUse, DownloadFailed."""
    values.dataset(name, "NAME")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        tasks = {}

        def show(file: str, done: int, total: int) -> None:
            if file not in tasks:
                tasks[file] = progress.add_task(file)
            progress.update(tasks[file], completed=done, total=total or None)

        where = catalogue.fetch(name, progress=show)
    print(f"{name} is in {where}")


def verify(name: str) -> None:
    """Verify a data set and print the result. Raises WrongUse, DataMissing, DataCorrupt."""
    print(catalogue.verify(values.dataset(name, "NAME")))
