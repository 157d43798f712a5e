"""What the log of a run means: rows in, state out; pure.

Owns: which submissions and corrections count, which query is open, which results are valid.
Reads no database and trains nothing, so replaying is cheap and its rules are tested without
either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from dal_core.run.events import Answer, Correction, Query, StepResult, Submission
from dal_core.run.rows import RunRow

Model = tuple[int, int]  # the last submission and the last correction in its training set


@dataclass(frozen=True)
class RunSummary:
    """What of a run's log its progress and its curve need; the fields mean what `RunState`'s do."""

    run: RunRow
    steps: tuple[StepResult, ...]
    n_labelled: int
    n_skipped: int
    n_submissions: int
    is_asked: bool
    after: int
    revision: int
    corrected: int = 0
    is_ranked: bool = False


@dataclass(frozen=True)
class RunState:
    """The state of a run, replayed from its log.

    Attributes:
        submissions: those not retracted, in order, with their answers as corrected since.
        n_retracted: how many were retracted.
        open_query: what waits for an answer, or None.
        queries: the open query and those of `submissions`, by id.
        steps: valid results in the order of their states and by growing `n_labelled`; of a state
            measured again after a correction the newest, and none with as many labels as a later
            state's or more.
        n_labelled: labels in the training set, the initial ones included.
        skipped: images that left the pool without a label.
        after: id of the last submission; 0 when there is none.
        revision: changes whenever a label is taken back or corrected; a fit polls it.
        corrections: those of `submissions`, in order; of one image the newest counts.
        is_ranked: whether a model of just these labels has ranked the pool (continuous mode).
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
    corrections: tuple[Correction, ...] = ()
    is_ranked: bool = False

    @property
    def is_asked(self) -> bool:
        """Whether a query waits for an answer."""
        return self.open_query is not None

    @property
    def n_skipped(self) -> int:
        """Images that left the pool without a label."""
        return len(self.skipped)

    @property
    def n_submissions(self) -> int:
        """Queries answered."""
        return len(self.submissions)

    @property
    def corrected(self) -> int:
        """Id of the newest correction that counts; 0 when there is none."""
        return self.corrections[-1].correction_id if self.corrections else 0

    def labels(self) -> list[tuple[int, int]]:
        """(image id, label) beyond the initial set, in the order of training.

        Within a submission that is the order of the ranking, not of typing, so that a fit
        depends on what was said and not on how.
        """
        return [
            (answer.image_id, answer.label)
            for one in self.submissions
            for answer in self.in_ranking_order(one)
            if answer.label is not None
        ]

    def in_ranking_order(self, submission: Submission) -> list[Answer]:
        """A submission's answers in the order of training, skipped images at their places."""
        answers = {answer.image_id: answer for answer in submission.answers}
        ranking = self.queries[submission.query_id].ranking
        return [answers[image_id] for image_id in ranking if image_id in answers]

    def until(self, after: int) -> RunState:
        """The state just after the submission `after`: its labels, and nothing that came later.

        What was measured stays. Raises ValueError for what is no state of the run.
        """
        if not self.is_state(after):
            raise ValueError(f"after is {after}; allowed: 0 or a submission of {self.run.run_id}")
        given = tuple(one for one in self.submissions if one.submission_id <= after)
        return replace(
            self,
            submissions=given,
            open_query=None,
            n_labelled=self.n_labelled_at(after),
            skipped=frozenset(image_id for one in given for image_id in one.skipped),
            after=after,
            corrections=tuple(one for one in self.corrections if one.submission_id <= after),
            is_ranked=False,
        )

    def is_state(self, after: int) -> bool:
        """Whether `after` still is a state of this run: the initial one, or not retracted."""
        return after == 0 or any(one.submission_id == after for one in self.submissions)

    def n_labelled_at(self, after: int, corrected: int | None = None) -> int:
        """Labels in the training set just after the submission `after`.

        Args:
            corrected: with the corrections up to this one; None: with all.
        """
        given = (len(one.labels) for one in self.submissions if one.submission_id <= after)
        n_labelled = self.run.n_initial + sum(given)
        if corrected is None:
            return n_labelled
        since = self._said_since(after, corrected).values()
        return n_labelled + sum((then is not None) - (now is not None) for then, now in since)

    def is_before_correction(self, step: StepResult) -> bool:
        """Whether a label that the step's model was trained on has been corrected since."""
        since = self._said_since(step.after, step.corrected).values()
        return any(then != now for then, now in since)

    def _said_since(self, after: int, corrected: int) -> dict[int, tuple[int | None, int | None]]:
        """Image id -> (label then, label now), of the images corrected after `corrected`."""
        since: dict[int, tuple[int | None, int | None]] = {}
        for one in self.corrections:
            if one.correction_id > corrected and one.submission_id <= after:
                then, _ = since.get(one.image_id, (one.before, None))
                since[one.image_id] = (then, one.label)
        return since


def replay(
    run: RunRow,
    queries: Sequence[Query],
    submissions: Sequence[Submission],
    retracted: Collection[int],
    steps: Sequence[StepResult],
    corrections: Sequence[Correction] = (),
    ranked: Collection[Model] = (),
) -> RunState:
    """The state that the rows of a run amount to.

    Args:
        queries, submissions, steps, corrections: all rows of the run, in the order they were
            written; `before` of the corrections is found here.
        retracted: ids of the submissions taken back.
        ranked: the models whose ranking is stored.
    """
    active, counting = _corrected(
        [one for one in submissions if one.submission_id not in retracted], corrections
    )
    after = active[-1].submission_id if active else 0
    corrected = counting[-1].correction_id if counting else 0
    open_query = _open_query(queries, {one.query_id for one in submissions}, after)
    kept = {one.query_id for one in active} | ({open_query.query_id} if open_query else set())
    return RunState(
        run=run,
        submissions=active,
        n_retracted=len(submissions) - len(active),
        open_query=open_query,
        queries={query.query_id: query for query in queries if query.query_id in kept},
        steps=valid_steps(steps, {0, *(one.submission_id for one in active)}),
        n_labelled=run.n_initial + sum(len(one.labels) for one in active),
        skipped=frozenset(image_id for one in active for image_id in one.skipped),
        after=after,
        revision=len(retracted) + len(corrections),
        corrections=counting,
        is_ranked=(after, corrected) in ranked,
    )


def _corrected(
    submissions: Sequence[Submission], corrections: Sequence[Correction]
) -> tuple[tuple[Submission, ...], tuple[Correction, ...]]:
    """The submissions with the newest label of every image, and the corrections that count."""
    if not corrections:
        return tuple(submissions), ()
    said = {
        one.submission_id: {answer.image_id: answer.label for answer in one.answers}
        for one in submissions
    }
    counting = []
    for one in corrections:
        labels = said.get(one.submission_id)
        if labels is None or one.image_id not in labels:
            continue  # its submission was taken back
        counting.append(replace(one, before=labels[one.image_id]))
        labels[one.image_id] = one.label
    now = [replace(one, answers=_said(one, said[one.submission_id])) for one in submissions]
    return tuple(now), tuple(counting)


def _said(submission: Submission, labels: Mapping[int, int | None]) -> tuple[Answer, ...]:
    return tuple(replace(one, label=labels[one.image_id]) for one in submission.answers)


def _open_query(queries: Sequence[Query], answered: Collection[str], after: int) -> Query | None:
    for query in reversed(queries):
        if query.after == after and query.query_id not in answered:
            return query
    return None


def valid_steps(steps: Sequence[StepResult], states: Collection[int]) -> tuple[StepResult, ...]:
    """The steps measured in one of these states, in the order of the states and by growing labels.

    A state measured again after a correction may have another number of labels than before;
    only the newest of its results counts. Corrections to "can't tell" may leave a later state with
    no more labels than an earlier one was measured with: that one is overtaken and left out, or
    the curve would end at labels, and at an accuracy, that the run no longer has.
    """
    newest = {step.after: step for step in steps if step.after in states}
    kept: list[StepResult] = []
    for after in sorted(newest, reverse=True):
        if not kept or newest[after].n_labelled < kept[-1].n_labelled:
            kept.append(newest[after])
    return tuple(reversed(kept))
