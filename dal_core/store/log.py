"""What the log of a run means: rows in, state out; pure.

Owns: which submissions count, which query is open, which results are valid. Reads no database
and trains nothing, so replaying is cheap and its rules are tested without either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dal_core.records import Query, StepResult, Submission
from dal_core.store.rows import RunRow


@dataclass(frozen=True)
class RunSummary:
    """What of a run's log its progress and its curve need; the fields mean what `RunLog`'s do."""

    run: RunRow
    steps: tuple[StepResult, ...]
    n_labelled: int
    n_skipped: int
    is_asked: bool
    after: int
    revision: int


@dataclass(frozen=True)
class RunLog:
    """The state of a run, replayed from its log.

    Attributes:
        submissions: those not retracted, in order.
        n_retracted: how many were retracted.
        open_query: what waits for an answer, or None.
        queries: the open query and those of `submissions`, by id.
        steps: valid results by growing `n_labelled`, of equal ones the newest.
        n_labelled: labels in the training set, the initial ones included.
        skipped: images that left the pool without a label.
        after: id of the last submission; 0 when there is none.
        revision: changes whenever a label is taken back; a fit polls it.
    """

    run: RunRow
    submissions: tuple[Submission, ...]
    n_retracted: int
    open_query: Query | None
    queries: Mapping[str, Query]
    steps: tuple[StepResult, ...]
    n_labelled: int
    skipped: frozenset[int]
    after: int
    revision: int

    @property
    def is_asked(self) -> bool:
        """Whether a query waits for an answer."""
        return self.open_query is not None

    @property
    def n_skipped(self) -> int:
        """Images that left the pool without a label."""
        return len(self.skipped)

    def labels(self) -> list[tuple[int, int]]:
        """(image id, label) beyond the initial set, in the order of training.

        Within a submission that is the order of the ranking, not of typing, so that a fit
        depends on what was said and not on how.
        """
        return [pair for one in self.submissions for pair in self._in_ranking_order(one)]

    def is_state(self, after: int) -> bool:
        """Whether `after` still is a state of this run: the initial one, or not retracted."""
        return after == 0 or any(one.submission_id == after for one in self.submissions)

    def n_labelled_at(self, after: int) -> int:
        """Labels in the training set just after the submission `after`."""
        given = (len(one.labels) for one in self.submissions if one.submission_id <= after)
        return self.run.n_initial + sum(given)

    def _in_ranking_order(self, submission: Submission) -> list[tuple[int, int]]:
        labels = submission.labels
        ranking = self.queries[submission.query_id].ranking
        return [(image_id, labels[image_id]) for image_id in ranking if image_id in labels]


def replay(
    run: RunRow,
    queries: Sequence[Query],
    submissions: Sequence[Submission],
    retracted: Collection[int],
    steps: Sequence[StepResult],
) -> RunLog:
    """The state that the rows of a run amount to.

    Args:
        queries, submissions, steps: all rows of the run, in the order they were written.
        retracted: ids of the submissions taken back.
    """
    active = tuple(one for one in submissions if one.submission_id not in retracted)
    after = active[-1].submission_id if active else 0
    open_query = _open_query(queries, {one.query_id for one in submissions}, after)
    kept = {one.query_id for one in active} | ({open_query.query_id} if open_query else set())
    return RunLog(
        run=run,
        submissions=active,
        n_retracted=len(submissions) - len(active),
        open_query=open_query,
        queries={query.query_id: query for query in queries if query.query_id in kept},
        steps=valid_steps(steps, {0, *(one.submission_id for one in active)}),
        n_labelled=run.n_initial + sum(len(one.labels) for one in active),
        skipped=frozenset(image_id for one in active for image_id in one.skipped),
        after=after,
        revision=len(retracted),
    )


def _open_query(queries: Sequence[Query], answered: Collection[str], after: int) -> Query | None:
    for query in reversed(queries):
        if query.after == after and query.query_id not in answered:
            return query
    return None


def valid_steps(steps: Sequence[StepResult], states: Collection[int]) -> tuple[StepResult, ...]:
    """The steps measured in one of these states by growing labels, of equal ones the newest."""
    newest = {step.n_labelled: step for step in steps if step.after in states}
    return tuple(newest[n_labelled] for n_labelled in sorted(newest))
