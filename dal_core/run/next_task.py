"""The next task of a run, computed from its state and its directives.

Workers use it to decide what to do, and pages to decide what to show. People control a run by
answering and by setting directives (let the oracle answer up to n labels, pause). Any worker can
then continue the run, in any process and after any restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dal_core.run.events import StepResult
from dal_core.run.state import RunState
from dal_core.run.stop_rules import finished
from dal_core.run.summary import RunSummary


class Task(Enum):
    """The next piece of work on a run."""

    QUERY = "score the pool and ask"
    RANK = "score the pool, ask if nothing is open, and measure the same model"
    EVALUATE = "measure on the test images"
    ANSWER = "let the oracle answer"
    MAKE_UP = "measure an earlier model that was passed by"
    WAIT = "wait for a person"
    NOTHING = "nothing"


@dataclass(frozen=True)
class NextTask:
    """The next task.

    Attributes:
        finished: why there will be no further query; None if there may be one.
    """

    task: Task
    finished: str | None = None

    @property
    def has_work(self) -> bool:
        """Whether a worker has something to do."""
        return self.task not in (Task.WAIT, Task.NOTHING)


def next_task(log: RunState | RunSummary) -> NextTask:
    """The next task of a run.

    An oracle's run is measured before it asks, since the measurement may end it. A person gets
    the next query first, and the model is measured while they label (docs/method.md, section
    5.4). An oracle's run without `oracle_until` is stopped. In continuous mode a person already
    has the next query. While the oracle answers for them, the run is strict. A run that failed
    has no task until its failure is cleared (`events.Failure`).

    Measurements that were passed by are made up when nothing else is left to do
    (`RunState.unmeasured`).
    """
    if log.failure is not None:
        return NextTask(Task.NOTHING)
    if log.run.paused or (log.run.kind == "oracle" and log.run.oracle_until is None):
        return NextTask(Task.NOTHING)
    over = finished(log)
    oracle = answers_itself(log)
    measured = any(_is_measured(log, step, over) for step in log.steps)
    person = log.run.kind == "person" and not oracle
    if person and log.run.mode == "continuous":
        return _continuous(log, over)
    if person and not over and not log.is_asked:
        return NextTask(Task.QUERY)
    if not measured:
        return NextTask(Task.EVALUATE, over)
    if oracle and not over:
        return NextTask(Task.ANSWER if log.is_asked else Task.QUERY)
    if log.unmeasured:
        return NextTask(Task.MAKE_UP, over)
    if over:
        return NextTask(Task.NOTHING, over)
    return NextTask(Task.WAIT if log.is_asked else Task.NOTHING)


def _continuous(log: RunState | RunSummary, over: str | None) -> NextTask:
    """The next task in continuous mode: fit all labels so far, one fit at a time.

    Submitting answers opens the next query from the newest ranking, so nobody waits for the fit.
    If several batches arrive during a fit, the next fit uses them all, and none is fitted alone.
    """
    measured = any((s.after, s.corrected) == (log.after, log.corrected) for s in log.steps)
    if not over and not log.is_ranked:
        return NextTask(Task.RANK)
    if not measured:
        return NextTask(Task.EVALUATE, over)
    return NextTask(Task.WAIT if log.is_asked and not over else Task.NOTHING, over)


def _is_measured(log: RunState | RunSummary, step: StepResult, over: str | None) -> bool:
    """Whether the step measures the present state.

    While the run continues, a correction needs no new measurement, since the next fit uses the
    corrected labels. A run that is over has no next fit, so it is measured once more.
    """
    if step.after != log.after:
        return False
    return step.corrected == log.corrected or (log.is_asked and not over)


def person_waits(log: RunState | RunSummary) -> bool:
    """Whether a person waits for the run's next model, so that all other work pauses.

    In continuous mode a person with an open query does not wait. Their fits follow one another,
    and would pause all other work for as long as they label. Nobody waits for a measurement that
    is made up either.
    """
    if log.run.kind != "person" or answers_itself(log):
        return False
    if log.run.mode == "continuous" and log.is_asked:
        return False
    return next_task(log).task is not Task.MAKE_UP


def answers_itself(log: RunState | RunSummary) -> bool:
    """Whether the oracle answers the run's next query."""
    until = log.run.oracle_until
    return until is not None and log.n_labelled < until
