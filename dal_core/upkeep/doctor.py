"""Examines a home and mends what its log can rebuild.

The log is the truth: records, weights and predictions can be made again from it, so a damaged one
is written again or removed. What nothing can rebuild is only reported.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dal_core.data import catalogue
from dal_core.data.base import DataError
from dal_core.execution.checkpoints import FILE_NAME as WEIGHTS
from dal_core.execution.predictions import FILE_NAME as PREDICTIONS
from dal_core.execution.recompute import FOLDER as STEPS
from dal_core.record_file.io import dump_record
from dal_core.record_file.schema import Record
from dal_core.record_file.sync import FILE_NAME as RECORD
from dal_core.record_file.sync import (
    experiment_dir,
    run_record,
    stored_record,
    write_experiment_record,
    write_run_record,
)
from dal_core.record_file.validate import RecordError
from dal_core.run.ownership import mixed_answers
from dal_core.run.rows import RunDamaged, StoreError, StoreFailed
from dal_core.run.rules import broken_rules
from dal_core.run.state import RunState
from dal_core.store import artefacts
from dal_core.store.artefacts import ArtefactDamaged, ArtefactMissing
from dal_core.store.base import Store
from dal_core.store.home import run_dir
from dal_core.store.opening import open_store
from dal_core.store.run_lock import is_locked
from dal_core.store.sqlite.copying import problems, seal_rest, unsealed
from dal_core.store.sqlite.salvage import rebuild
from dal_core.store.sqlite.schema import DATABASE_FILE
from dal_core.upkeep.leftovers import leftovers

LEAST_SPACE = 200_000_000  # bytes free, below which a long experiment may stop
OWN_FOLDERS = ("experiments",)

Mend = Callable[[], str]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        area: database, run, record, file, leftover, orphan, data, space or answers.
        what: what is wrong, in one line.
        done: what was done about it; empty if nothing was.
        advice: what a person can do, or what `--fix` would do; may be empty.
    """

    area: str
    what: str
    done: str = ""
    advice: str = ""


def examine(home: Path, fix: bool = False) -> Iterator[Finding]:
    """Examine a home; with `fix`, mend what can be rebuilt. Yields what is found as it is found.

    Raises:
        StoreError: there is no database, or this version cannot read it.
    """
    yield from _database(home, fix)
    store = open_store(home, create=False)
    try:
        yield from _without_digest(store, fix)
        yield from _runs(store, fix)
        yield from _experiments(store, fix)
        yield from _leftovers(store, fix)
        yield from _orphans(store)
        yield from _data(store)
        yield from _space(home)
    finally:
        store.close()


def _found(area: str, what: str, fix: bool, would: str, mend: Mend) -> Finding:
    """A finding that can be mended: mended with `fix`, else with what `--fix` would do."""
    if not fix:
        return Finding(area, what, advice=f"`dal doctor --fix` {would}")
    try:
        return Finding(area, what, done=mend())
    except (OSError, sqlite3.Error, StoreError, StoreFailed) as error:
        return Finding(area, what, advice=f"it could not be mended: {error}")


def _database(home: Path, fix: bool) -> Iterator[Finding]:
    found = problems(home)
    if not found:
        return
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    what = f"{home / DATABASE_FILE}: {found[0]}{more}"
    would = "saves every row that can be read; make a copy of the folder and stop the app first"
    busy = fix and any(is_locked(home, one.name) for one in home.iterdir() if one.is_dir())
    if busy:
        yield Finding("database", what, advice="a run is being worked on; stop it first")
        return

    def mend() -> str:
        n_rows, kept = rebuild(home)
        return f"saved {n_rows} rows in a new database; the damaged one is {kept.name}"

    yield _found("database", what, fix, would, mend)


def _without_digest(store: Store, fix: bool) -> Iterator[Finding]:
    """Rows that a process of an earlier version wrote after the home was migrated."""
    n_rows = 0 if store.read_only else unsealed(store.home)
    if not n_rows:
        return

    def mend() -> str:
        seal_rest(store.home)
        return "gave them digests, as they are now"

    what = f"{n_rows} rows have no digest: an earlier version of dal was still running"
    yield _found("database", what, fix, "gives them digests; stop the earlier version first", mend)


def _runs(store: Store, fix: bool) -> Iterator[Finding]:
    for run_id in store.run_ids():
        try:
            log = store.log(run_id)
        except RunDamaged as error:
            yield Finding("run", str(error), advice=f"`dal delete {run_id}` removes it")
            continue
        for what in broken_rules(log):
            yield Finding("run", f"run {run_id}: {what}", advice="its numbers cannot be trusted")
        mixed = mixed_answers(log, store.experiments.of_run(run_id))
        if mixed is not None:
            yield Finding("answers", mixed, advice="its record does not say so; run it again")
        yield from _files(store.home, run_id, fix)
        yield from _run_record(store, log, fix)


def _files(home: Path, run_id: str, fix: bool) -> Iterator[Finding]:
    """The artefacts of a run whose contents do not match their digests."""
    folder = run_dir(home, run_id)
    steps = sorted((folder / STEPS).glob("*.safetensors"))
    for path in (folder / WEIGHTS, folder / PREDICTIONS, *steps):
        try:
            artefacts.load(path)
        except ArtefactMissing:
            continue
        except ArtefactDamaged as error:
            yield _found("file", str(error), fix, "removes it", partial(_remove, path))


def _remove(path: Path) -> str:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return "removed it; it is computed again when it is needed"


def _run_record(store: Store, log: RunState, fix: bool) -> Iterator[Finding]:
    run_id = log.run.run_id
    path = run_dir(store.home, run_id) / RECORD
    yield from _record(
        path, partial(run_record, log), fix, partial(write_run_record, store, run_id)
    )


def _experiments(store: Store, fix: bool) -> Iterator[Finding]:
    for one in store.experiments.damaged():
        advice = f"`dal delete {one.experiment_id}` removes it; its runs stay"
        yield Finding("run", one.why, advice=advice)
    for row in store.experiments.all():
        name = row.experiment_id
        yield from _record(
            experiment_dir(store.home, name) / RECORD,
            partial(stored_record, store, name),
            fix,
            partial(write_experiment_record, store, name),
        )


def _record(
    path: Path, make: Callable[[], Record], fix: bool, write: Callable[[], Path]
) -> Iterator[Finding]:
    """A record file that is not what the log gives. A missing one is written when it is needed."""
    if not path.exists():
        return
    try:
        expected = dump_record(make())
    except RecordError:  # a diverged training, whose values a record cannot hold
        return
    try:
        same = path.read_text(encoding="utf-8") == expected
    except (OSError, UnicodeDecodeError):
        same = False
    if same:
        return

    def mend() -> str:
        write()
        return "written again from the log"

    yield _found("record", f"{path} differs from the log", fix, "writes it again", mend)


def _leftovers(store: Store, fix: bool) -> Iterator[Finding]:
    for path in list(leftovers(store.home)):
        what = f"{path} is a temporary file that a killed process left"
        yield _found("leftover", what, fix, "removes it", partial(_unlink, path))


def _unlink(path: Path) -> str:
    path.unlink()
    return "removed"


def _orphans(store: Store) -> Iterator[Finding]:
    """Folders of runs that the database does not have."""
    known = {*store.run_ids(), *OWN_FOLDERS}
    for folder in sorted(store.home.iterdir()):
        files = (WEIGHTS, RECORD, PREDICTIONS, "lock")
        is_run = folder.is_dir() and any((folder / name).exists() for name in files)
        if is_run and folder.name not in known:
            what = f"{folder} belongs to no run in the database"
            yield Finding("orphan", what, advice="look at it, then delete the folder by hand")


def _data(store: Store) -> Iterator[Finding]:
    """Data sets on this machine that are not those the runs were made with."""
    used: dict[tuple[str, str], int] = {}
    for run in store.runs():
        key = run.spec.protocol.dataset, run.spec.fingerprint
        used[key] = used.get(key, 0) + 1
    for (name, fingerprint), n_runs in sorted(used.items()):
        try:
            found = catalogue.load(name).fingerprint
        except (DataError, ValueError) as error:
            what = f"{n_runs} runs use {name}, which cannot be read here: {error}"
            yield Finding("data", " ".join(what.split()))
            continue
        if found != fingerprint:
            what = f"{n_runs} runs were made with another {name} (fingerprint {fingerprint[:12]}; "
            advice = "they can be read, but not continued here"
            yield Finding("data", f"{what}here it is {found[:12]})", advice=advice)


def _space(home: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(home).free
    if free < LEAST_SPACE:
        what = f"{free / 1e6:.0f} MB are free on the disk of {home}"
        yield Finding("space", what, advice="free some space, or runs stop")
