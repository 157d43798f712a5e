"""The summary of a run: what lists and curves show, without its rankings and answers.

It is computed from the run's events by the same rules as `RunState`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dal_core.run.events import Correction, Failure, StepResult
from dal_core.run.ownership import Answerers
from dal_core.run.points import unmeasured_models, valid_steps
from dal_core.run.rows import RunRow
from dal_core.run.state import (
    Asked,
    Model,
    Place,
    Tally,
    ValidEvents,
    answerers_of,
    valid_events,
)


@dataclass(frozen=True)
class RunSummary:
    """What lists and curves of runs need. The fields have the meaning of those in `RunState`."""

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
    failure: Failure | None = None
    answerers: Answerers = ()
    annotators: tuple[str, ...] = ()
    n_person_labels: int = 0
    n_corrections: int = 0
    unmeasured: tuple[Model, ...] = ()

    @classmethod
    def from_events(
        cls,
        run: RunRow,
        *,
        asked: Sequence[Asked],
        tallies: Sequence[Tally],
        retracted: Collection[int],
        steps: Sequence[StepResult],
        corrections: Sequence[Correction],
        first_labels: Mapping[Place, int | None],
        ranked: Collection[Model],
        failure: Failure | None,
    ) -> RunSummary:
        """Compute the summary from all events of a run, in the order they were written.

        Args:
            first_labels: the first label of each answer that has a correction.
            retracted, ranked, failure: as for `RunState.from_events`.
        """
        valid = valid_events(run, asked, tallies, retracted, corrections, first_labels, failure)
        return cls(
            run=run,
            steps=valid_steps(steps, valid.states),
            n_labelled=valid.n_labelled,
            n_skipped=valid.n_skipped,
            n_submissions=len(valid.states) - 1,
            is_asked=valid.open_query_id is not None,
            after=valid.after,
            revision=valid.revision,
            corrected=valid.corrected,
            is_ranked=(valid.after, valid.corrected) in ranked,
            failure=valid.failure,
            answerers=answerers_of(
                [one for one in tallies if one.submission_id in valid.states], valid.corrections
            ),
            annotators=_annotators(tallies, valid.states),
            n_person_labels=_n_person_labels(tallies, valid),
            n_corrections=len(valid.corrections),
            unmeasured=unmeasured_models(run, valid.passed, valid.n_labelled, steps),
        )


def _annotators(tallies: Sequence[Tally], states: Collection[int]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.annotator for one in tallies if one.submission_id in states))


def _n_person_labels(tallies: Sequence[Tally], valid: ValidEvents) -> int:
    given = {t.submission_id: t.n_labels for t in tallies if t.source == "person"}
    more = sum(
        (one.label is not None) - (one.before is not None)
        for one in valid.corrections
        if one.submission_id in given
    )
    return more + sum(n for number, n in given.items() if number in valid.states)
