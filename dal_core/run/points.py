"""The points of a run's curve, and the measurements that it lacks (docs/method.md, section 14).

In a strict run every model that asked a query has a point. A person can answer the query before the
model was measured, and a process can be killed between the two. The labels determine the model, so
it can be fitted again and measured later.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from dal_core.run.events import Correction, StepResult
from dal_core.run.rows import RunRow

if TYPE_CHECKING:
    from dal_core.run.state import Asked, Model, Tally

    PassedModel = tuple[Model, int]  # and its number of labels


def valid_steps(steps: Sequence[StepResult], states: Collection[int]) -> tuple[StepResult, ...]:
    """The results of the states given, in the order of the states and by growing `n_labelled`.

    If a state was measured again after a correction, its newest result counts. Corrections to
    "can't tell" can leave a later state with no more labels than an earlier result had. Such an
    earlier result is left out, so that the curve grows in labels and ends at the newest state.
    """
    newest = {step.after: step for step in steps if step.after in states}
    kept: list[StepResult] = []
    for after in sorted(newest, reverse=True):
        if not kept or newest[after].n_labelled < kept[-1].n_labelled:
            kept.append(newest[after])
    return tuple(reversed(kept))


def passed_models(
    run: RunRow,
    asked: Sequence[Asked],
    tallies: Sequence[Tally],
    corrections: Sequence[Correction],
) -> tuple[PassedModel, ...]:
    """The models whose queries were answered, oldest first, each with its number of labels.

    Args:
        tallies: the submissions that are not retracted, in order.
        corrections: those that count; each model saw only the ones before its query.
    """
    models = {query_id: (after, corrected) for query_id, after, corrected in asked}
    found: list[PassedModel] = []
    n_labelled = run.n_initial
    for one in tallies:
        after, corrected = models[one.query_id]
        more = sum(
            (c.label is not None) - (c.before is not None)
            for c in corrections
            if c.correction_id <= corrected and c.submission_id <= after
        )
        found.append(((after, corrected), n_labelled + more))
        n_labelled += one.n_labels
    return tuple(found)


def unmeasured_models(
    run: RunRow, passed: Sequence[PassedModel], n_labelled: int, steps: Sequence[StepResult]
) -> tuple[Model, ...]:
    """The passed models that have to be measured, oldest first; none in continuous mode.

    Left out are models whose point would not be on the curve, because a later one has no more
    labels, and those before a fork, which belong to its origin.

    Args:
        n_labelled: number of labels now.
        steps: all results of the run.
    """
    if run.mode != "strict":
        return ()
    measured = {step.after for step in steps}
    first, least = run.forked_labels or 0, n_labelled
    found: list[Model] = []
    for model, n_then in reversed(passed):
        if first <= n_then < least:
            least = n_then
            if model[0] not in measured:
                found.append(model)
    return tuple(reversed(found))
