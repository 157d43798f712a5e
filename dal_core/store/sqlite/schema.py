"""The tables of `dal.db`.

The log of a run is append-only (queries, submissions, retractions, corrections, rankings, steps,
failures). Two things in it change: old rankings lose their passes, and a retry marks a failure. The
other tables hold a run's parameters and directives, one row of progress, where steps were
computed, and experiments. What is an answer, a result or a parameter has a digest beside it
(`digests`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

SCHEMA_VERSION = 5
DATABASE_FILE = "dal.db"

metadata = MetaData()


def _log_table(name: str, *columns: Column[Any] | UniqueConstraint) -> Table:
    """A table whose row numbers grow in the order of writing and are never used twice."""
    number: Column[Any] = Column("number", Integer, primary_key=True)
    return Table(name, metadata, number, *columns, sqlite_autoincrement=True)


def _run_id() -> Column[Any]:
    key = ForeignKey("runs.run_id", ondelete="CASCADE")
    return Column("run_id", String, key, nullable=False, index=True)


def _corrected() -> Column[Any]:
    return Column("corrected", Integer, nullable=False, server_default="0")


def _digest() -> Column[Any]:
    """The digest of the row (`digests`); NULL in rows that an earlier version wrote meanwhile."""
    return Column("digest", String)


schema_version = Table("schema_version", metadata, Column("version", Integer, nullable=False))

runs = _log_table(
    "runs",
    Column("run_id", String, nullable=False, unique=True),
    Column("title", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("baseline", Boolean, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("protocol", JSON, nullable=False),
    Column("acquisition", String, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("n_initial", Integer, nullable=False),
    Column("split_sizes", JSON, nullable=False),
    Column("versions", JSON, nullable=False),
    Column("created_at", String, nullable=False),
    Column("oracle_until", Integer),
    Column("paused", Boolean, nullable=False),
    Column("until_labels", Integer),
    Column("until_accuracy", Float),
    Column("mode", String, nullable=False, server_default="strict"),
    Column("noise", Float, nullable=False, server_default="0"),
    # No foreign key: the origin of a fork may be deleted.
    Column("forked_from", String),
    Column("forked_after", Integer),
    Column("forked_labels", Integer),
    _digest(),
)

queries = _log_table(
    "queries",
    Column("query_id", String, nullable=False, unique=True),
    _run_id(),
    Column("n_labelled", Integer, nullable=False),
    Column("asked_by", Integer, nullable=False),
    Column("ranking", JSON, nullable=False),
    Column("scores", JSON, nullable=False),
    Column("batch_size", Integer, nullable=False),
    Column("after", Integer, nullable=False),
    Column("at", String, nullable=False),
    _corrected(),
    _digest(),
)


def _query_id(**settings: Any) -> Column[Any]:
    key = ForeignKey("queries.query_id", ondelete="CASCADE")
    return Column("query_id", String, key, nullable=False, **settings)


# The passes of a query, as .npy bytes. In their own table, so that queries are read without them.
query_probs = Table(
    "query_probs",
    metadata,
    _query_id(primary_key=True),
    Column("npy", LargeBinary, nullable=False),
)

submissions = _log_table(
    "submissions",
    _query_id(),
    _run_id(),
    Column("annotator", String, nullable=False),
    Column("source", String, nullable=False),
    Column("nonce", String, nullable=False),
    Column("at", String, nullable=False),
    _digest(),
    UniqueConstraint("query_id", "annotator"),
)


def _submission(**settings: Any) -> Column[Any]:
    key = ForeignKey("submissions.number", ondelete="CASCADE")
    return Column("submission_id", Integer, key, nullable=False, **settings)


answers = Table(
    "answers",
    metadata,
    _submission(primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("image_id", Integer, nullable=False),
    Column("label", Integer),
    Column("seconds", Float),
    UniqueConstraint("submission_id", "image_id"),
)

retractions = _log_table(
    "retractions",
    _submission(unique=True),
    _run_id(),
    Column("at", String, nullable=False),
    _digest(),
)

corrections = _log_table(
    "corrections",
    _run_id(),
    _submission(index=True),
    Column("image_id", Integer, nullable=False),
    Column("label", Integer),
    Column("annotator", String, nullable=False),
    Column("at", String, nullable=False),
    _digest(),
)

# The rankings of finished models, for runs in continuous mode. Only the newest ranking of a run
# keeps its passes.
rankings = _log_table(
    "rankings",
    _run_id(),
    Column("n_labelled", Integer, nullable=False),
    Column("after", Integer, nullable=False),
    Column("corrected", Integer, nullable=False),
    Column("ranking", JSON, nullable=False),
    Column("scores", JSON, nullable=False),
    Column("npy", LargeBinary),
    Column("at", String, nullable=False),
    _digest(),
)

# Where steps were computed (`run.environment`); each one is stored once.
environments = _log_table(
    "environments",
    Column("digest", String, nullable=False, unique=True),
    Column("facts", JSON, nullable=False),
)

# Measures are nullable, since SQLite has no NaN, which a diverged training gives.
steps = _log_table(
    "steps",
    _run_id(),
    Column("step", Integer, nullable=False),
    Column("n_labelled", Integer, nullable=False),
    Column("accuracy", Float),
    Column("mutual_information", Float),
    Column("train_loss", Float),
    Column("val_loss", Float),
    Column("best_epoch", Integer),
    Column("seconds", JSON, nullable=False),
    Column("after", Integer, nullable=False),
    Column("at", String, nullable=False),
    _corrected(),
    Column("confusion", JSON(none_as_null=True)),  # [label][predicted] counts of test images
    # The number of a row of `environments`; NULL in steps from before schema 4.
    Column("environment", Integer),
    # NULL in steps from before schema 5.
    Column("nll", Float),
    Column("brier", Float),
    Column("ece", Float),
    _digest(),
)

# Errors of work on runs. `n_changes` counts the submissions, retractions and corrections of the run
# until then; `retried_at` is the time of a request to try again.
failures = _log_table(
    "failures",
    _run_id(),
    Column("reason", String, nullable=False),
    Column("n_changes", Integer, nullable=False),
    Column("at", String, nullable=False),
    Column("retried_at", String),
)

progress = Table(
    "progress",
    metadata,
    Column("run_id", ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("part", String, nullable=False),
    Column("n_labelled", Integer),
    Column("epoch", Integer),
    Column("n_epochs", Integer),
    Column("train_loss", Float),
    Column("seconds_left", Float),
    Column(
        "message", String, nullable=False
    ),  # used for failures before schema 3; now always empty
    Column("at", String, nullable=False),
)

experiments = _log_table(
    "experiments",
    Column("experiment_id", String, nullable=False, unique=True),
    Column("title", String, nullable=False),
    Column("protocol", JSON, nullable=False),
    Column("acquisitions", JSON, nullable=False),
    Column("seeds", JSON, nullable=False),
    Column("full_data", Boolean, nullable=False),
    Column("created_at", String, nullable=False),
    Column("noise", Float, nullable=False, server_default="0"),
    _digest(),
)

experiment_runs = _log_table(
    "experiment_runs",
    Column(
        "experiment_id",
        String,
        ForeignKey("experiments.experiment_id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    _run_id(),
    UniqueConstraint("experiment_id", "run_id"),
)
