"""The experiments of an SQLite store."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, insert, select

from dal_core.limits.text import clean_title
from dal_core.protocol.parameters import Protocol, make_protocol
from dal_core.protocol.presets import closest_preset
from dal_core.run.rows import UNREADABLE, Progress, RunRow, StoreDamaged, now
from dal_core.run.summary import RunSummary
from dal_core.store.experiments import (
    DamagedExperiment,
    ExperimentDamaged,
    ExperimentNotFound,
    ExperimentRow,
    Experiments,
)
from dal_core.store.sqlite import digests, reading, schema, summary, writing
from dal_core.store.sqlite.digests import Verified


class SqliteExperiments(Experiments):
    """Uses the connections of its store."""

    def __init__(self, reading_engine: Engine, writing_engine: Engine, verified: Verified) -> None:
        self._reading, self._writing = reading_engine, writing_engine
        self._verified = verified

    def create(
        self,
        title: str,
        protocol: Protocol,
        acquisitions: Sequence[str],
        seeds: Sequence[int],
        full_data: bool,
        run_ids: Sequence[str],
        noise: float = 0.0,
    ) -> ExperimentRow:
        row = ExperimentRow(
            experiment_id=f"{closest_preset(protocol)}-{secrets.token_hex(3)}",
            title=clean_title(title),
            protocol=protocol,
            acquisitions=tuple(acquisitions),
            seeds=tuple(seeds),
            full_data=full_data,
            created_at=now(),
            noise=noise,
        )
        with self._writing.begin() as connection:
            values = {**vars(row), "protocol": protocol.model_dump(mode="json")}
            writing.append(connection, schema.experiments, values)
            members = [{"experiment_id": row.experiment_id, "run_id": r} for r in run_ids]
            connection.execute(insert(schema.experiment_runs), members)
        return row

    def get(self, experiment_id: str) -> ExperimentRow:
        with self._reading.connect() as connection:
            return _read(connection, experiment_id)

    def all(self) -> list[ExperimentRow]:
        return self._survey()[0]

    def damaged(self) -> list[DamagedExperiment]:
        return self._survey()[1]

    def _survey(self) -> tuple[list[ExperimentRow], list[DamagedExperiment]]:
        found: list[ExperimentRow] = []
        damaged: list[DamagedExperiment] = []
        columns = schema.experiments.c.number, schema.experiments.c.experiment_id
        with self._reading.connect() as connection:
            ids = sorted(map(tuple, connection.execute(select(*columns))), reverse=True)
            for _, experiment_id in ids:
                try:
                    found.append(_read(connection, experiment_id))
                except ExperimentDamaged as error:
                    damaged.append(DamagedExperiment(experiment_id, str(error)))
        return found, damaged

    def run_ids(self, experiment_id: str) -> list[str]:
        with self._reading.connect() as connection:
            return _run_ids(connection, experiment_id)

    def runs(self, experiment_id: str) -> list[RunRow]:
        with self._reading.connect() as connection:
            ids = _run_ids(connection, experiment_id)
            found = {run.run_id: run for run in reading.read_runs(connection, run_ids=ids)}
        return [found[run_id] for run_id in ids if run_id in found]

    def summaries(self, experiment_id: str) -> list[tuple[RunSummary, Progress | None]]:
        with self._reading.connect() as connection:
            ids = _run_ids(connection, experiment_id)
            progress = summary.read_all_progress(connection, ids)
            found = summary.read_summaries(connection, ids, self._verified)
        return [(one, progress.get(one.run.run_id)) for one in found]

    def of_run(self, run_id: str) -> list[str]:
        query = select(schema.experiment_runs.c.experiment_id).filter_by(run_id=run_id)
        with self._reading.connect() as connection:
            return list(connection.scalars(query))

    def delete(self, experiment_id: str) -> None:
        with self._writing.begin() as connection:
            connection.execute(delete(schema.experiments).filter_by(experiment_id=experiment_id))


def _run_ids(connection: Connection, experiment_id: str) -> list[str]:
    query = (
        select(schema.experiment_runs.c.run_id)
        .filter_by(experiment_id=experiment_id)
        .order_by(schema.experiment_runs.c.number)
    )
    return list(connection.scalars(query))


def _read(connection: Connection, experiment_id: str) -> ExperimentRow:
    try:
        table = schema.experiments
        query = select(table, digests.intact(table)).filter_by(experiment_id=experiment_id)
        row = connection.execute(query).one_or_none()
        if row is not None:
            experiment = _to_experiment(row)
            digests.check(table, [row])
            return experiment
    except StoreDamaged:
        why = "its part of the database cannot be read"
        raise ExperimentDamaged(f"experiment {experiment_id} is damaged: {why}") from None
    except UNREADABLE as error:
        why = " ".join(str(error).split())
        raise ExperimentDamaged(f"experiment {experiment_id} is damaged: {why}"[:300]) from None
    raise ExperimentNotFound(_not_found(connection, experiment_id))


def _to_experiment(row: Row[Any]) -> ExperimentRow:
    return ExperimentRow(
        experiment_id=row.experiment_id,
        title=row.title,
        protocol=make_protocol(row.protocol),
        acquisitions=tuple(row.acquisitions),
        seeds=tuple(row.seeds),
        full_data=row.full_data,
        created_at=row.created_at,
        noise=row.noise,
    )


def _not_found(connection: Connection, experiment_id: str) -> str:
    known = list(connection.scalars(select(schema.experiments.c.experiment_id).limit(5)))
    there = f"; there are: {', '.join(known)}" if known else "; there are none yet"
    return f"there is no experiment {experiment_id!r}{there}"
