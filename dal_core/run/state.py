"""The state of a run, computed from its events by pure functions.

Only `valid_events` decides which events count (docs/method.md, section 14). Two views are built on
it: `RunState` has every label; for `summary.RunSummary` the store need not read rankings and
answers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dal_core.run.events import (
    Answer,
    Correction,
    Failure,
    Query,
    Source,
    StepResult,
    Submission,
)
from dal_core.run.ownership import Answerers, name_answerers
from dal_core.run.points import passed_models, unmeasured_models, valid_steps
from dal_core.run.rows import RunRow

Model = tuple[int, int]  # (after, corrected): the labels that a model was trained on
Place = tuple[int, int]  # (submission id, image id): identifies an answer
Asked = tuple[str, int, int]  # of a query: its id, and `after` and `corrected` of its model


@dataclass(frozen=True)
class Tally:
    """A submission without its answers: how many it labelled and skipped, before any correction."""

    submission_id: int
    query_id: str
    n_labels: int
    n_skipped: int
    source: Source
    annotator: str


@dataclass(frozen=True)
class RunState:
    """The state of a run: everything that follows from its events.

    Attributes:
        submissions: those that are not retracted, in order, with corrections applied.
        n_retracted: number of retracted submissions.
        open_query: the query that waits for answers, or None.
        queries: the open query and those of `submissions`, by id.
        steps: the valid results (see `valid_steps`).
        n_labelled: size of the training set, the initial set included.
        skipped: images that left the pool without a label.
        after: id of the last submission; 0 if none.
        revision: number of retractions and corrections. A running fit polls it to notice that its
            training set has changed.
        corrections: those of `submissions`, in order; the newest of an image counts.
        is_ranked: whether a model of exactly these labels has ranked the pool (continuous mode).
        failure: the failure that stops work on the run, or None.
        unmeasured: the earlier models that asked a query but were never measured, oldest first
            (`unmeasured_models`).
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
    failure: Failure | None = None
    unmeasured: tuple[Model, ...] = ()

    @classmethod
    def from_events(
        cls,
        run: RunRow,
        *,
        queries: Sequence[Query],
        submissions: Sequence[Submission],
        retracted: Collection[int],
        steps: Sequence[StepResult],
        corrections: Sequence[Correction] = (),
        ranked: Collection[Model] = (),
        failure: Failure | None = None,
    ) -> RunState:
        """Compute the state from all events of a run.

        Args:
            queries, submissions, steps, corrections: all of the run, in the order they were
                written. `before` of the corrections is filled in here.
            retracted: ids of the retracted submissions.
            ranked: the models whose ranking is stored.
            failure: the newest failure, cleared or not; None if the run never failed.
        """
        given = (
            {(s.submission_id, a.image_id): a.label for s in submissions for a in s.answers}
            if corrections
            else {}
        )
        asked = [(query.query_id, query.after, query.corrected) for query in queries]
        tallies = [_tally(one) for one in submissions]
        valid = valid_events(run, asked, tallies, retracted, corrections, given, failure)
        effective = _corrected([s for s in submissions if s.submission_id in valid.states], valid)
        kept = {valid.open_query_id, *(one.query_id for one in effective)}
        by_id = {query.query_id: query for query in queries if query.query_id in kept}
        return cls(
            run=run,
            submissions=effective,
            n_retracted=len(submissions) - len(effective),
            open_query=by_id[valid.open_query_id] if valid.open_query_id is not None else None,
            queries=by_id,
            steps=valid_steps(steps, valid.states),
            n_labelled=valid.n_labelled,
            skipped=frozenset(image_id for one in effective for image_id in one.skipped),
            after=valid.after,
            revision=valid.revision,
            corrections=valid.corrections,
            is_ranked=(valid.after, valid.corrected) in ranked,
            failure=valid.failure,
            unmeasured=unmeasured_models(run, valid.passed, valid.n_labelled, steps),
        )

    @property
    def is_asked(self) -> bool:
        """Whether a query waits for answers."""
        return self.open_query is not None

    @property
    def n_skipped(self) -> int:
        """Number of images that left the pool without a label."""
        return len(self.skipped)

    @property
    def n_submissions(self) -> int:
        """Number of answered queries."""
        return len(self.submissions)

    @property
    def answerers(self) -> Answerers:
        """Whose answers the run holds (`ownership.name_answerers`)."""
        return answerers_of(self.submissions, self.corrections)

    @property
    def corrected(self) -> int:
        """Id of the newest correction that counts; 0 if none."""
        return self.corrections[-1].correction_id if self.corrections else 0

    @property
    def annotators(self) -> tuple[str, ...]:
        """Names of those who gave labels, in the order of their first label."""
        return tuple(dict.fromkeys(one.annotator for one in self.submissions))

    @property
    def n_person_labels(self) -> int:
        """Number of labels in submissions by people, as they stand after corrections."""
        return sum(len(one.labels) for one in self.submissions if one.source == "person")

    @property
    def n_corrections(self) -> int:
        """Number of corrections that count."""
        return len(self.corrections)

    def labels(self) -> list[tuple[int, int]]:
        """(image id, label) in training order, without the initial set.

        Within a submission, this is the order of the ranking and not that of typing, so that a
        fit depends on the labels alone.
        """
        return [
            (answer.image_id, answer.label)
            for one in self.submissions
            for answer in self.in_ranking_order(one)
            if answer.label is not None
        ]

    def in_ranking_order(self, submission: Submission) -> list[Answer]:
        """A submission's answers in training order, those of skipped images included."""
        answers = {answer.image_id: answer for answer in submission.answers}
        ranking = self.queries[submission.query_id].ranking
        return [answers[image_id] for image_id in ranking if image_id in answers]

    def until(self, after: int) -> RunState:
        """The state just after the submission `after`, without the labels that came later.

        The steps are not changed. Raises ValueError if `after` is not a state of the run.
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
            unmeasured=(),
        )

    def asked_since(self, after: int) -> frozenset[int]:
        """The images asked since the submission `after`: answered, skipped or on the screen."""
        answered = (one.answers for one in self.submissions if one.submission_id > after)
        shown = self.open_query.shown() if self.open_query else ()
        return frozenset((*(a.image_id for answers in answered for a in answers), *shown))

    def is_state(self, after: int) -> bool:
        """Whether `after` is 0 or a submission of the run that is not retracted."""
        return after == 0 or any(one.submission_id == after for one in self.submissions)

    def n_labelled_at(self, after: int, corrected: int | None = None) -> int:
        """Number of labels in the training set just after the submission `after`.

        Args:
            corrected: the last correction to apply; None for all of them.
        """
        given = (len(one.labels) for one in self.submissions if one.submission_id <= after)
        n_labelled = self.run.n_initial + sum(given)
        if corrected is None:
            return n_labelled
        since = self._changed_since(after, corrected).values()
        return n_labelled + sum((then is not None) - (now is not None) for then, now in since)

    def is_before_correction(self, step: StepResult) -> bool:
        """Whether a label that the step's model was trained on was corrected later."""
        since = self._changed_since(step.after, step.corrected).values()
        return any(then != now for then, now in since)

    def _changed_since(
        self, after: int, corrected: int
    ) -> dict[int, tuple[int | None, int | None]]:
        """(label then, label now) by image id, for images corrected after `corrected`."""
        since: dict[int, tuple[int | None, int | None]] = {}
        for one in self.corrections:
            if one.correction_id > corrected and one.submission_id <= after:
                then, _ = since.get(one.image_id, (one.before, None))
                since[one.image_id] = (then, one.label)
        return since


@dataclass(frozen=True)
class ValidEvents:
    """The valid events of a run; the fields have the meaning of those in `RunState`.

    `states` contains 0 and the ids of the submissions that are not retracted. `passed` are the
    models of the queries that these submissions answered, each with its number of labels.
    """

    states: frozenset[int]
    passed: tuple[tuple[Model, int], ...]
    corrections: tuple[Correction, ...]
    open_query_id: str | None
    n_labelled: int
    n_skipped: int
    after: int
    corrected: int
    revision: int
    failure: Failure | None


def valid_events(
    run: RunRow,
    asked: Sequence[Asked],
    tallies: Sequence[Tally],
    retracted: Collection[int],
    corrections: Sequence[Correction],
    first_labels: Mapping[Place, int | None],
    failure: Failure | None,
) -> ValidEvents:
    """Apply the rules of the log (docs/method.md, section 14)."""
    active = [one for one in tallies if one.submission_id not in retracted]
    states = frozenset((0, *(one.submission_id for one in active)))
    counted = _valid_corrections(corrections, states, first_labels)
    # A correction from or to "can't tell" moves an image between labelled and skipped.
    more = sum((one.label is not None) - (one.before is not None) for one in counted)
    after = max(states)
    revision = len(retracted) + len(corrections)
    return ValidEvents(
        states=states,
        passed=passed_models(run, asked, active, counted),
        corrections=counted,
        open_query_id=_open_query_id(asked, {one.query_id for one in tallies}, after),
        n_labelled=run.n_initial + more + sum(one.n_labels for one in active),
        n_skipped=sum(one.n_skipped for one in active) - more,
        after=after,
        corrected=counted[-1].correction_id if counted else 0,
        revision=revision,
        failure=None if _is_cleared(failure, len(tallies) + revision) else failure,
    )


def _valid_corrections(
    corrections: Iterable[Correction],
    states: Collection[int],
    first_labels: Mapping[Place, int | None],
) -> tuple[Correction, ...]:
    """The corrections of submissions that are not retracted, each with the label it replaced."""
    labels = dict(first_labels)
    counted = []
    for one in corrections:
        place = one.submission_id, one.image_id
        if one.submission_id in states and place in labels:
            counted.append(replace(one, before=labels[place]))
            labels[place] = one.label
    return tuple(counted)


def _open_query_id(asked: Sequence[Asked], answered: Collection[str], after: int) -> str | None:
    """Id of the newest query of the present state that nobody has answered, or None."""
    for query_id, asked_after, _ in reversed(asked):
        if asked_after == after and query_id not in answered:
            return query_id
    return None


def _is_cleared(failure: Failure | None, n_changes: int) -> bool:
    """Whether the run has new labels since it failed, or somebody asked to try again."""
    return failure is None or failure.retried or n_changes != failure.n_changes


def _tally(submission: Submission) -> Tally:
    n_skipped = len(submission.skipped)
    n_labels = len(submission.answers) - n_skipped
    who = submission.source, submission.annotator
    return Tally(submission.submission_id, submission.query_id, n_labels, n_skipped, *who)


def answerers_of(
    submissions: Iterable[Submission | Tally], corrections: Iterable[Correction]
) -> Answerers:
    """Whose answers a run holds, given the submissions and corrections that count."""
    answered = ((one.source, one.annotator) for one in submissions)
    return name_answerers(answered, (one.annotator for one in corrections))


def _corrected(submissions: Sequence[Submission], valid: ValidEvents) -> tuple[Submission, ...]:
    """The submissions with the newest label for every image."""
    if not valid.corrections:
        return tuple(submissions)
    labels = {(one.submission_id, one.image_id): one.label for one in valid.corrections}
    return tuple(replace(one, answers=_corrected_answers(one, labels)) for one in submissions)


def _corrected_answers(
    submission: Submission, labels: Mapping[Place, int | None]
) -> tuple[Answer, ...]:
    return tuple(
        replace(one, label=labels.get((submission.submission_id, one.image_id), one.label))
        for one in submission.answers
    )
