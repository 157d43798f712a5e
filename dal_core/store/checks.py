"""Checks of queries, results, corrections, directives and forks before they enter the log.

They are pure and raise ValueError. Answers are checked by `dal_core.run.rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dal_core.limits.text import clean_name, shown
from dal_core.protocol.parameters import SPLIT_PARAMETERS
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.run.events import Answer, Query, StepResult
from dal_core.run.rules import AnswerError, is_amount, is_int, repeated
from dal_core.run.state import RunState

SOURCES = ("person", "oracle")
MODES = ("strict", "continuous")


def clean_author(annotator: str, source: str) -> str:
    """The annotator's name by the rule of `limits.text.clean_name`.

    Raises:
        AnswerError: the name breaks the rule, or the source is unknown.
    """
    if source not in SOURCES:
        raise AnswerError(f"source is {shown(source)}; allowed: {', '.join(SOURCES)}")
    try:
        return clean_name(annotator, "annotator")
    except ValueError as error:
        raise AnswerError(str(error)) from None


def check_query(log: RunState, query: Query) -> None:
    """Raises ValueError if the query does not fit the present state of its run."""
    check_ranking(log, query)
    gone = {image_id for image_id, _ in log.labels()} | log.skipped
    for image_id in query.ranking:
        if image_id in gone:
            raise ValueError(f"image {image_id} is ranked but is no longer in the pool")


def check_ranking(log: RunState, query: Query) -> None:
    """Raises ValueError if a model's ranking does not fit its run."""
    if not query.ranking or len(query.ranking) != len(query.scores):
        raise ValueError(
            f"ranking has {len(query.ranking)} images and {len(query.scores)} scores; "
            "allowed: at least one image and a score for each"
        )
    if query.batch_size < 1:
        raise ValueError(f"batch_size is {query.batch_size}; allowed: 1 or more")
    twice = repeated(query.ranking)
    if twice is not None:
        raise ValueError(f"image {twice} is ranked twice")
    _check_n_labelled(log, query)


def check_step(log: RunState, result: StepResult) -> None:
    """Raises ValueError if the result has a different number of labels than its state."""
    _check_n_labelled(log, result)


def check_correction(log: RunState, answer: Answer) -> int:
    """Id of the submission that contains the image's answer.

    Raises:
        AnswerError: the image was not answered, or already has this label.
    """
    for submission in log.submissions:
        for earlier in submission.answers:
            if earlier.image_id != answer.image_id:
                continue
            if earlier.label == answer.label:
                what = "skipped" if answer.label is None else f"labelled {answer.label}"
                raise AnswerError(f"image {answer.image_id} is {what} already")
            return submission.submission_id
    raise AnswerError(f"image {answer.image_id} was not answered in run {log.run.run_id}")


def check_mode(mode: str, kind: str) -> None:
    """Raises ValueError if the mode is unknown or not allowed for the kind of run."""
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}; allowed: {', '.join(MODES)}")
    if mode != "strict" and kind != "person":
        raise ValueError(
            f"mode is {mode!r}; allowed for an {kind}'s run, which never waits: strict"
        )


def check_directives(values: Mapping[str, Any], has_test_set: bool) -> None:
    """Raises ValueError if a directive is out of range."""
    for name in ("oracle_until", "until_labels"):
        value = values.get(name)
        if value is not None and not (is_int(value) and value >= 0):
            raise ValueError(f"{name} is {value!r}; allowed: a whole number from 0, or None")
    accuracy = values.get("until_accuracy")
    if accuracy is not None and not (is_amount(accuracy) and 0 < accuracy <= 1):
        raise ValueError(f"until_accuracy is {accuracy!r}; allowed: above 0 to 1, or None")
    if accuracy is not None and not has_test_set:
        raise ValueError(
            f"until_accuracy is {accuracy!r}; allowed: None, since this data set has no test set"
        )
    if values.get("paused") not in (None, False, True):
        raise ValueError(f"paused is {values['paused']!r}; allowed: True or False")


def check_fork(log: RunState, after: int, spec: RunSpec) -> None:
    """Raises ValueError if a run of the spec cannot continue from that state of the run."""
    origin = log.run.spec
    if FULL_DATA in (origin.acquisition, spec.acquisition):
        raise ValueError("the full-data bound asks for nothing, so it cannot be forked")
    if not log.is_state(after):
        raise ValueError(f"after is {after}; allowed: 0 or a submission of run {log.run.run_id}")
    _check_same("the data's fingerprint", origin.fingerprint, spec.fingerprint)
    _check_same("seed", origin.seed, spec.seed)
    for name in SPLIT_PARAMETERS:
        _check_same(name, getattr(origin.protocol, name), getattr(spec.protocol, name))
    n_labelled = log.n_labelled_at(after)
    n_asked = sum(one.submission_id <= after for one in log.submissions)
    most = spec.labels_at_end(log.run.n_initial)
    if n_labelled >= most or n_asked >= spec.protocol.n_acquisition_steps:
        raise ValueError(
            f"a fork at {n_labelled} labels has nothing left to ask: n_acquisition_steps is "
            f"{spec.protocol.n_acquisition_steps}, which ends at {most} labels; "
            "allowed: a fork before that, or more steps"
        )


def _check_n_labelled(log: RunState, record: Query | StepResult) -> None:
    expected = log.n_labelled_at(record.after, record.corrected)
    if record.n_labelled != expected:
        raise ValueError(
            f"n_labelled is {record.n_labelled}; after submission {record.after} it is {expected}"
        )


def _check_same(name: str, origin: Any, fork: Any) -> None:
    if origin != fork:
        raise ValueError(
            f"{name} is {fork!r} in the fork; allowed: {origin!r}, as in the run it starts from"
        )
