"""The records that a store returns besides events (`dal_core.run.events`), and its errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from dal_core.data import catalogue
from dal_core.data.base import Loader
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import Submission

Kind = Literal["person", "oracle"]
Mode = Literal["strict", "continuous"]
Part = Literal["train", "score", "evaluate", "idle"]


class StoreError(Exception):
    """The store cannot be opened; the message is one line."""


class StoreFailed(Exception):
    """The database could not be read or written just now; the message is one line.

    The disk is full, the home is read-only, or another process holds the database. Nothing was
    changed.
    """


class StoreDamaged(StoreFailed):
    """A part of the database file cannot be read; the message is one line."""


class RunNotFound(ValueError):
    """No such run; the message is one line."""


class RunDamaged(ValueError):
    """What is stored of a run cannot be read; the message is one line."""


class RunInUse(Exception):
    """The run belongs to an experiment; the message is one line."""


class Diverged(ArithmeticError):
    """A training gave numbers that are not finite; the message is one line. Nothing is stored."""


class NothingToUndo(ValueError):
    """The run has no submission to retract; the message is one line."""


# What decoding a damaged row raises: values of another type, JSON that is cut off, missing keys.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, OverflowError)


@contextmanager
def isolating(run_id: str) -> Iterator[None]:
    """Turn what a damaged row or page raises in the block into RunDamaged for this run."""
    try:
        yield
    except (RunNotFound, RunDamaged):
        raise
    except StoreDamaged:
        raise RunDamaged(
            f"run {run_id} is damaged: its part of the database cannot be read"
        ) from None
    except UNREADABLE as error:
        what = " ".join(str(error).split()) or "no message"
        name = "" if isinstance(error, ValueError) else f"{type(error).__name__} "
        raise RunDamaged(f"run {run_id} is damaged: {name}{what}"[:300]) from None


@dataclass(frozen=True)
class RunRow:
    """A run's parameters, fixed when it was created, and its directives, which can change.

    Attributes:
        kind: who answers: a person, or the simulated oracle.
        baseline: whether it was created as the random baseline of a person's run.
        spec: data, protocol, acquisition function, seed and noise.
        n_initial: size of the initial set; an image drawn twice counts twice.
        split_sizes: number of images by role (`run.splits`).
        versions: versions of Python, torch and others when the run was created.
        created_at: ISO 8601, UTC.
        mode: "strict": only a model trained on all labels asks (the report's procedure);
            "continuous": the newest finished model asks, so that nobody waits.
        forked_from: the run whose log it started with, which may be deleted; None if not a fork.
        forked_after: id, in the origin, of the last submission that both share; 0 if none.
        forked_labels: size of the training set at the fork.
        oracle_until: directive: the oracle answers while the training set is smaller than this;
            None: never.
        paused: directive: nothing is trained and the oracle does not answer.
        until_labels: directive: the run ends at this size of the training set.
        until_accuracy: directive: the run ends at this test accuracy (a fraction).
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
        """Facts about the run's data set that need no reading, such as its classes."""
        return catalogue.get(self.spec.protocol.dataset)

    @property
    def n_classes(self) -> int:
        """The number of classes of its data set."""
        return len(self.loader.class_names)

    @property
    def max_labels(self) -> int:
        """Labels in the training set at the last evaluated step (docs/method.md, section 5)."""
        return self.spec.labels_at_end(self.n_initial)

    @property
    def has_test_set(self) -> bool:
        """Whether accuracy and mutual information can be measured."""
        return self.split_sizes.get("test") != 0


def why_read_only(run: RunRow, experiments: Sequence[str]) -> str | None:
    """Why people may not answer, undo or correct in the run, in one line; None if they may.

    Args:
        experiments: ids of the experiments that the run belongs to.
    """
    if experiments:
        whose = f"belongs to experiment {experiments[0]}"
    elif run.baseline:
        whose = "is a random baseline, which other runs are compared with"
    elif run.kind != "person":
        whose = "is answered by the simulated oracle"
    else:
        return None
    return f"run {run.run_id} {whose}, so people cannot change it; fork it to go on by hand"


@dataclass(frozen=True)
class DamagedRun:
    """A run that cannot be read. It can be deleted; other runs are not affected.

    Attributes:
        title, created_at: as far as they can be read; otherwise empty.
        why: what is wrong, in one line.
    """

    run_id: str
    title: str
    created_at: str
    why: str


@dataclass(frozen=True)
class Control:
    """What a fit polls between epochs; a change of `revision`, or `deleted`, can stop it."""

    revision: int
    paused: bool
    oracle_until: int | None
    until_labels: int | None
    until_accuracy: float | None
    deleted: bool = False


@dataclass(frozen=True)
class SubmitOutcome:
    """What happened to a submission.

    Attributes:
        status: "saved"; "already" if the same one is stored; "refused" if a different one is
            stored or the query is no longer open.
        submission: the submission stored for the query, or None.
        reason: why it was refused, in one line; otherwise empty.
    """

    status: Literal["saved", "already", "refused"]
    submission: Submission | None
    reason: str = ""


def now() -> str:
    """The present time: ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Progress:
    """The progress of work on a run, for display only.

    Attributes:
        part: what is being done; "idle" if nobody is working on the run.
        n_labelled: size of the training set in use.
        epoch, n_epochs: epochs done and in total; in other parts than "train", images.
        seconds_left: estimated seconds to the end of the part.
        at: when this was written (ISO 8601, UTC).
    """

    part: Part
    n_labelled: int | None = None
    epoch: int | None = None
    n_epochs: int | None = None
    train_loss: float | None = None
    seconds_left: float | None = None
    at: str = field(default_factory=now)
