"""What a run needs next, read off its log and its directives.

Pure: the worker asks it what to do, the pages ask it what to say. A run is brought along by
writing directives (let the oracle answer up to n labels, pause) and by answering; workers then
converge to them, in whichever process and after whatever restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dal_core.run.events import StepResult
from dal_core.run.state import RunState, RunSummary
from dal_core.run.stop_rules import finished

__all__ = ["NextTask", "Task", "answers_itself", "finished", "next_task", "person_waits"]


class Task(Enum):
    """The next piece of work on a run."""

    QUERY = "score the pool and ask"
    RANK = "score the pool, ask if nothing is open, and measure the same model"
    EVALUATE = "measure on the test images"
    ANSWER = "let the oracle answer"
    WAIT = "wait for a person"
    NOTHING = "nothing"


@dataclass(frozen=True)
class NextTask:
    """The next task; `finished` says in a person's words why there will be no further query."""

    task: Task
    finished: str | None = None

    @property
    def has_work(self) -> bool:
        """Whether a worker has something to do."""
        return self.task not in (Task.WAIT, Task.NOTHING)


def next_task(log: RunState | RunSummary) -> NextTask:
    """What the run needs next.

    An oracle's run is measured before it asks (the measurement may end it); a person gets the
    next query first and the measurement comes while they label (DESIGN section 3). An oracle's
    run without `oracle_until` is stopped: nobody else would begin its next step. In continuous mode
    a person has the next query already; while the oracle answers for them it is as in strict mode.
    """
    if log.run.paused or (log.run.kind == "oracle" and log.run.oracle_until is None):
        return NextTask(Task.NOTHING)
    over = finished(log)
    oracle = answers_itself(log)
    evaluated = any(_is_measured(log, step, over) for step in log.steps)
    person = log.run.kind == "person" and not oracle
    if person and log.run.mode == "continuous":
        return _continuous(log, over)
    if person and not over and not log.is_asked:
        return NextTask(Task.QUERY)
    if not evaluated:
        return NextTask(Task.EVALUATE, over)
    if over:
        return NextTask(Task.NOTHING, over)
    if oracle:
        return NextTask(Task.ANSWER if log.is_asked else Task.QUERY)
    return NextTask(Task.WAIT if log.is_asked else Task.NOTHING)


def _continuous(log: RunState | RunSummary, over: str | None) -> NextTask:
    """What a run that does not wait needs: the model of all labels, one fit at a time.

    Queries come with the answers, out of the newest ranking, so nothing waits for this; a number
    of labels that was overtaken while an earlier fit ran is never fitted.
    """
    measured = any((s.after, s.corrected) == (log.after, log.corrected) for s in log.steps)
    if not over and not log.is_ranked:
        return NextTask(Task.RANK)
    if not measured:
        return NextTask(Task.EVALUATE, over)
    return NextTask(Task.WAIT if log.is_asked and not over else Task.NOTHING, over)


def _is_measured(log: RunState | RunSummary, step: StepResult, over: str | None) -> bool:
    """Whether the step is of the present state.

    A correction alone asks for no new measurement while the run goes on: the next fit has the
    corrected labels. Of a run that is over there is no next fit, so it is measured once more.
    """
    if step.after != log.after:
        return False
    return step.corrected == log.corrected or (log.is_asked and not over)


def person_waits(log: RunState | RunSummary) -> bool:
    """Whether a person waits for the run's next model, so that everything else holds.

    Who labels in continuous mode with a query open does not: fits without end would hold everybody
    else's work for as long as they go on.
    """
    never_waits = log.run.mode == "continuous" and log.is_asked
    return log.run.kind == "person" and not answers_itself(log) and not never_waits


def answers_itself(log: RunState | RunSummary) -> bool:
    """Whether the oracle is to answer the run's next query."""
    until = log.run.oracle_until
    return until is not None and log.n_labelled < until
