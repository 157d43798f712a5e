"""Runs, queries, answers and step results on disk: SQLite through SQLAlchemy Core.

The log is append-only and is the truth; everything else is replayed from it (`log`).
"""

from dal_core.run.answers import AnswerError
from dal_core.run.rows import (
    Control,
    Mode,
    NothingToUndo,
    Part,
    Progress,
    RunInUse,
    RunNotFound,
    RunRow,
    StoreError,
    SubmitOutcome,
)
from dal_core.run.state import RunLog, RunSummary, replay
from dal_core.store.experiments import ExperimentNotFound, ExperimentRow
from dal_core.store.run_lock import RunBusy, default_home, is_locked, run_dir, run_lock
from dal_core.store.store import UNSET, Store

__all__ = [
    "UNSET",
    "AnswerError",
    "Control",
    "ExperimentNotFound",
    "ExperimentRow",
    "Mode",
    "NothingToUndo",
    "Part",
    "Progress",
    "RunBusy",
    "RunInUse",
    "RunLog",
    "RunNotFound",
    "RunRow",
    "RunSummary",
    "Store",
    "StoreError",
    "SubmitOutcome",
    "default_home",
    "is_locked",
    "replay",
    "run_dir",
    "run_lock",
]
