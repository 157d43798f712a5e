"""What a run needs next, read off its log and its directives.

Pure: the worker asks it what to do, the pages ask it what to say. A run is brought along by
writing directives (let the oracle answer up to n labels, pause) and by answering; workers then
converge to them, in whichever process and after whatever restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dal_core.protocol import FULL_DATA
from dal_core.records import StepResult
from dal_core.store import RunLog, RunSummary


class Task(Enum):
    """The next piece of work on a run."""

    QUERY = "score the pool and ask"
    EVALUATE = "measure on the test images"
    ANSWER = "let the oracle answer"
    WAIT = "wait for a person"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Agenda:
    """The next task; `finished` says in a person's words why there will be no further query."""

    task: Task
    finished: str | None = None

    @property
    def has_work(self) -> bool:
        """Whether a worker has something to do."""
        return self.task not in (Task.WAIT, Task.NOTHING)


def agenda(log: RunLog | RunSummary) -> Agenda:
    """What the run needs next.

    An oracle's run is measured before it asks (the measurement may end it); a person gets the
    next query first and the measurement comes while they label (DESIGN section 3). An oracle's
    run without `oracle_until` is stopped: nobody else would begin its next step.
    """
    if log.run.paused or (log.run.kind == "oracle" and log.run.oracle_until is None):
        return Agenda(Task.NOTHING)
    over = finished(log)
    oracle = answers_itself(log)
    evaluated = any(_is_measured(log, step, over) for step in log.steps)
    person = log.run.kind == "person" and not oracle
    if person and not over and not log.is_asked:
        return Agenda(Task.QUERY)
    if not evaluated:
        return Agenda(Task.EVALUATE, over)
    if over:
        return Agenda(Task.NOTHING, over)
    if oracle:
        return Agenda(Task.ANSWER if log.is_asked else Task.QUERY)
    return Agenda(Task.WAIT if log.is_asked else Task.NOTHING)


def _is_measured(log: RunLog | RunSummary, step: StepResult, over: str | None) -> bool:
    """Whether the step is of the present state.

    A correction alone asks for no new measurement while the run goes on: the next fit has the
    corrected labels. Of a run that is over there is no next fit, so it is measured once more.
    """
    if step.after != log.after:
        return False
    return step.corrected == log.corrected or (log.is_asked and not over)


def answers_itself(log: RunLog | RunSummary) -> bool:
    """Whether the oracle is to answer the run's next query."""
    until = log.run.oracle_until
    return until is not None and log.n_labelled < until


def finished(log: RunLog | RunSummary) -> str | None:
    """Why the run asks for nothing more, or None while it goes on (SPEC section 5)."""
    run, n = log.run, log.n_labelled
    protocol = run.spec.protocol
    batch = protocol.n_samples_to_acquire
    if run.spec.acquisition == FULL_DATA:
        return f"the bound is trained on all {n:,} images"
    # A label that a correction took away is no reason for another step.
    if n >= run.spec.max_labels or log.n_submissions >= protocol.n_acquisition_steps:
        return f"all {protocol.n_acquisition_steps} acquisition steps are done"
    if run.until_labels is not None and n + batch > run.until_labels:
        return f"the label budget of {run.until_labels} is used"
    measured = [step.accuracy for step in log.steps if step.after == log.after]
    if run.until_accuracy is not None and measured and measured[-1] >= run.until_accuracy:
        return f"the target accuracy of {run.until_accuracy:.1%} is reached"
    if run.split_sizes["pool"] <= n - run.n_initial + log.n_skipped:
        return "every image of the pool was asked for"
    return None
