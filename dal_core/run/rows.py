"""What the store hands out besides the records of `dal_core.run.events`, and its errors.

Plain frozen records: nothing here reads or writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from dal_core.data import catalogue
from dal_core.data.base import Loader
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import Submission

Kind = Literal["person", "oracle"]
Mode = Literal["strict", "continuous"]
Part = Literal["train", "score", "evaluate", "idle", "failed"]


class StoreError(Exception):
    """The store cannot be opened; the message is one line."""


class RunNotFound(ValueError):
    """No such run; the message is one line."""


class RunInUse(Exception):
    """An experiment has the run; the message is one line."""


class NothingToUndo(ValueError):
    """The run has no answers that could be taken back; the message is one line."""


@dataclass(frozen=True)
class RunRow:
    """A run's parameters, fixed at its creation, and its present directives.

    Attributes:
        n_initial: labels of the initial set; an image drawn twice counts twice.
        split_sizes: images by part of the split.
        versions: those the run was created with.
        oracle_until: the oracle answers while there are fewer labels; None: never.
        paused: nothing is trained and the oracle does not answer.
        until_labels: the run is over at this many labels in the training set.
        until_accuracy: the run is over once a test accuracy (a fraction) reaches this.
        mode: strict waits for the model of all labels before it asks (the report's procedure);
            continuous asks from the newest finished model, so that nobody waits.
        forked_from: the run whose history it began with, which may be gone; None: a run of its own.
        forked_after: the last submission it shares, by its id in the origin; 0: the initial set.
        forked_labels: labels at the fork.
    """

    run_id: str
    title: str
    kind: Kind
    baseline: bool
    spec: RunSpec
    n_initial: int
    split_sizes: Mapping[str, int]
    versions: Mapping[str, Any]
    created_at: str
    oracle_until: int | None = None
    paused: bool = False
    until_labels: int | None = None
    until_accuracy: float | None = None
    mode: Mode = "strict"
    forked_from: str | None = None
    forked_after: int | None = None
    forked_labels: int | None = None

    @property
    def loader(self) -> Loader:
        """What is known of the run's data set without reading it, its classes among it."""
        return catalogue.get(self.spec.protocol.dataset)

    @property
    def has_test_set(self) -> bool:
        """Whether accuracy and mutual information can be measured."""
        return self.split_sizes.get("test") != 0


@dataclass(frozen=True)
class Control:
    """What a fit looks at between epochs: it gives up when `revision` changed or on `deleted`."""

    revision: int
    paused: bool
    oracle_until: int | None
    until_labels: int | None
    until_accuracy: float | None
    deleted: bool = False


@dataclass(frozen=True)
class SubmitOutcome:
    """What became of a submission.

    Attributes:
        status: "saved"; "already", when the very same is stored; "refused", when a different
            one is stored or the query is no longer open.
        submission: the one stored for the query; None when there is none.
        reason: one line on why it was refused, else empty.
    """

    status: Literal["saved", "already", "refused"]
    submission: Submission | None
    reason: str = ""


def now() -> str:
    """ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Progress:
    """How far the work on a run is; `seconds_left` is an estimate for the part."""

    part: Part
    n_labelled: int | None = None
    epoch: int | None = None
    n_epochs: int | None = None
    train_loss: float | None = None
    seconds_left: float | None = None
    message: str = ""
    at: str = field(default_factory=now)

    @classmethod
    def ended(cls, message: str = "") -> Progress:
        """Nothing is being done any more; or it failed, with `message`."""
        return cls("failed" if message else "idle", message=message)
