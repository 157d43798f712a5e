"""What the tests of the store share: small runs, queries and answers to them."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from dal_core.protocol.presets import preset
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import Answer, Query, StepResult
from dal_core.run.rows import RunRow, SubmitOutcome
from dal_core.run.state import RunState
from dal_core.run.summary import RunSummary
from dal_core.store.base import Store
from dal_core.store.sqlite import connections, digests, schema

ROOT = Path(__file__).resolve().parent.parent
N_INITIAL = 20


def spec(seed: int = 1, acquisition: str = "bald") -> RunSpec:
    return RunSpec("fingerprint", preset("quick"), acquisition, seed)


def new_run(store: Store, **settings: object) -> RunRow:
    values = {"n_initial": N_INITIAL, "split_sizes": {"pool": 3000}, "kind": "person", **settings}
    return store.create_run(spec(), **values)  # type: ignore[arg-type]


def reseal(home: Path) -> None:
    """Give all rows digests anew, as if the store had written what a test put there by hand."""
    engine = connections.make_engine(home / schema.DATABASE_FILE, "FULL")
    with engine.begin() as connection:
        digests.seal_all(connection)
    engine.dispose()


@contextmanager
def as_in_earlier_versions() -> Iterator[None]:
    """Inside the `with` people may change every run, as they could before runs had owners."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dal_core.store.sqlite.reading.why_read_only", lambda *_: None)
        yield


def new_query(
    ranking: Sequence[int] = tuple(range(100)),
    *,
    n_labelled: int = N_INITIAL,
    after: int = 0,
    batch_size: int = 10,
    corrected: int = 0,
) -> Query:
    scores = tuple(1 - place / 1000 for place in range(len(ranking)))
    query_id = uuid.uuid4().hex
    ranked = tuple(ranking)
    return Query(query_id, n_labelled, n_labelled, ranked, scores, batch_size, after, corrected)


def new_result(
    n_labelled: int = N_INITIAL, after: int = 0, accuracy: float = 0.5, corrected: int = 0
) -> StepResult:
    return StepResult(
        step=(n_labelled - N_INITIAL) // 10,
        n_labelled=n_labelled,
        accuracy=accuracy,
        mutual_information=0.25,
        train_loss=0.125,
        val_loss=0.5,
        best_epoch=7,
        seconds={"train": 1.0, "evaluate": 0.5, "score": 0.0},
        after=after,
        corrected=corrected,
    )


def summary_of(log: RunState) -> RunSummary:
    """What the summary of a run in this state must be."""
    fields = {field.name: getattr(log, field.name) for field in dataclasses.fields(RunSummary)}
    steps = tuple(dataclasses.replace(step, confusion=None) for step in log.steps)
    return RunSummary(**{**fields, "steps": steps})


def answers_to(query: Query, skipped: Collection[int] = (), offset: int = 0) -> list[Answer]:
    """Everything shown is labelled with its id's last digit plus `offset`."""
    shown = query.shown(skipped)
    labels = [Answer(image_id, (image_id + offset) % 10, 0.5) for image_id in shown]
    return labels + [Answer(image_id, None) for image_id in skipped]


def ask(store: Store, run_id: str, ranking: Sequence[int]) -> Query:
    """Ask for `ranking` in the run's present state."""
    log = store.log(run_id)
    query = new_query(ranking, n_labelled=log.n_labelled, after=log.after, corrected=log.corrected)
    assert store.add_query(run_id, query, None)
    return query


def give(
    store: Store, query: Query, answers: Sequence[Answer] | None = None, annotator: str = "ann"
) -> SubmitOutcome:
    given = answers_to(query) if answers is None else answers
    return store.submit(query.query_id, given, annotator=annotator, source="person")


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process that runs `code`; its output is read line by line."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def line_of(process: subprocess.Popen[str]) -> str:
    """Its next line; empty when it ended."""
    assert process.stdout is not None
    return process.stdout.readline().strip()
