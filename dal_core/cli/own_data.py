"""`dal data add` and `dal data remove`: the data sets that a person brings in."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dal_core.cli import values
from dal_core.cli.errors import WrongUse
from dal_core.data.own import importing, place
from dal_core.data.own.about import About
from dal_core.data.own.classes import read_classes
from dal_core.data.own.idx import add_idx
from dal_core.data.own.report import Report
from dal_core.limits.text import shown, visible
from dal_core.store.home import default_home
from dal_core.store.opening import has_store

_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Given:
    """The options of `dal data add` as text."""

    classes: str | None = None
    classes_from: str | None = None
    labels: str | None = None
    size: str | None = None
    grey: bool | None = None
    idx: bool = False
    transposed: bool | None = None

    def read(self, name: str) -> importing.Wanted:
        """What is wanted. Raises WrongUse, DataError."""
        if self.classes is not None and self.classes_from is not None:
            raise WrongUse("--classes and --classes-from are given; allowed: one of them")
        classes = tuple(values.several("--classes", self.classes)) if self.classes else None
        if self.classes_from is not None:
            classes = read_classes(values.path("--classes-from", self.classes_from))
        self._check_idx()
        sizes = [str(size) for size in importing.SIZES]
        return importing.Wanted(
            name=name,
            classes=classes,
            labels=values.path("--labels", self.labels) if self.labels is not None else None,
            size=int(values.one_of("--size", self.size, sizes)) if self.size is not None else None,
            channels=None if self.grey is None else 1 if self.grey else 3,
        )

    def _check_idx(self) -> None:
        of_pictures = {"--labels": self.labels, "--size": self.size, "--grey/--rgb": self.grey}
        given = [option for option, value in of_pictures.items() if value is not None]
        if self.idx and given:
            raise WrongUse(f"{given[0]} is given with --idx; allowed: for files of pictures")
        if self.transposed is not None and not self.idx:
            raise WrongUse("--transposed/--upright is given; allowed: with --idx")


def add(source: str, name: str, given: Given, home: Path | None) -> None:
    """Import pictures and print what became of them. Raises WrongUse, DataError."""
    if not place.is_name(name):
        raise WrongUse(
            f"--name is {shown(name)}; allowed: up to 40 small letters, digits, - and _, "
            "the first a letter or digit"
        )
    path, wanted = values.path("FOLDER|ZIP", source), given.read(name)
    if given.idx:
        about = add_idx(home or default_home(), path, name, wanted.classes, given.transposed)
        print("\n".join(visible(line) for line in _described_idx(about)))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    try:
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
            task = progress.add_task("pictures", total=None)

            def watch(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            about, report = importing.add(home or default_home(), path, wanted, watch)
    except KeyboardInterrupt:
        print("dal: stopped; the same command continues where it was", file=sys.stderr)
        raise
    print("\n".join(visible(line) for line in described(about, report)))


def described(about: About, report: Report) -> list[str]:
    """The report as lines."""
    height, width, *channels = about.image_shape
    kind = "colour" if channels else "grey"
    lines = [
        f"{about.name}: {report.n_taken:,} pictures taken as {height} x {width} pixels, {kind}",
        f"{len(about.class_names)} classes: {', '.join(about.class_names)}",
        f"{report.n_known:,} have a class, {report.n_taken - report.n_known:,} have none yet",
    ]
    for why, names in report.by_reason():
        lines.append(f"not taken, {why}: {_some(names)}")
    if report.copies:
        copies = [f"{name} (of {first})" for name, first in report.copies]
        lines.append(f"not taken, exact copies: {_some(copies)}")
    if report.contradictions:
        lines.append(f"without a class, copies have others: {_some(report.contradictions)}")
    if report.near:
        pairs = [f"{one} and {other}" for one, other in report.near]
        lines.append(f"taken, but look the same: {_some(pairs)}")
    if report.unused:
        lines.append(f"labels not used: {_some([f'{name} {why}' for name, why in report.unused])}")
    return lines


def _described_idx(about: About) -> list[str]:
    height, width = about.image_shape
    n_training = about.n_images - about.n_test
    return [
        f"{about.name}: {n_training:,} images for training and {about.n_test:,} for testing, "
        f"{height} x {width} pixels",
        f"{len(about.class_names)} classes: {', '.join(about.class_names)}",
    ]


def remove(name: str, *, yes: bool, home: Path | None) -> None:
    """Remove a data set, or an import that was interrupted. Raises WrongUse."""
    where = home or default_home()
    found = [
        folder
        for folder in (place.folder_of(where, name), place.partial_of(where, name))
        if place.is_name(name) and folder.is_dir()
    ]
    if not found:
        raise WrongUse(f"NAME is {shown(name)}; there is no such data set of your own in {where}")
    if used := _used_by(home, where, name):
        raise WrongUse(
            f"NAME is {shown(name)}, which {len(used)} runs use ({', '.join(used[:3])}); "
            "allowed: a data set that no run uses, see `dal delete`"
        )
    if not yes:
        raise WrongUse(f"NAME is {shown(name)}; add --yes to remove it, nothing was removed")
    for folder in found:
        shutil.rmtree(folder)
    print(f"removed {name}; the pictures it was made from are as they were")


def _used_by(home: Path | None, where: Path, name: str) -> list[str]:
    if not has_store(where):
        return []
    store = values.open_store(home, create=False)
    return [run.run_id for run in store.runs() if run.spec.protocol.dataset == name]


def _some(names: list[str]) -> str:
    listed = ", ".join(names[:_NAMES_SHOWN])
    more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
    return f"{len(names):,} ({listed}{more})"
