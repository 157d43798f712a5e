"""What the labelling page does, without drawing: start, answer, hand over, compare, reveal.

Plain functions on the store, so that they are tested without a browser, and so that a person and
the simulated oracle answer through the same door.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dal_core.data.base import ImageDataset
from dal_core.execution.pool import Workers
from dal_core.experiments.control import create_run
from dal_core.protocol.parameters import Protocol
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.run.events import Answer, Query, StepResult, Submission
from dal_core.run.next_task import NextTask, next_task, person_waits
from dal_core.run.rows import Mode, RunNotFound, SubmitOutcome
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_ui.components.grid.submission import GridSubmission

DEFAULT_ANNOTATOR = "me"
LOOK_SECONDS = 0.02  # between two looks at the store while a page listens


Pulse = tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]  # of the run, of its baseline


@dataclass(frozen=True)
class Revealed:
    """One answered image beside what the data set says and what the model believed.

    `believed` and `confidence` (mean probability of that class over the passes) are None where
    the model was not asked about the image: a reserve image far down the ranking.
    """

    image_id: int
    said: int | None
    truth: int
    believed: int | None
    confidence: float | None

    @property
    def agrees(self) -> bool:
        """Whether the person and the data set say the same."""
        return self.said == self.truth


@dataclass(frozen=True)
class View:
    """One look at a run and its random baseline, all a page draws from.

    `pulse` is what `pulse()` said just before: when it says something else, something is new.
    """

    log: RunState
    next_task: NextTask
    baseline: RunState | None
    pulse: Pulse

    @property
    def baseline_works(self) -> bool:
        """Whether the baseline has yet to come as far as the run."""
        return self.baseline is not None and next_task(self.baseline).has_work

    @property
    def latest(self) -> StepResult | None:
        """The newest measured step."""
        return self.log.steps[-1] if self.log.steps else None

    @property
    def random_beside(self) -> StepResult | None:
        """The baseline's step with as many labels as the newest measured step."""
        if self.latest is None or self.baseline is None:
            return None
        n = self.latest.n_labelled
        return next((step for step in self.baseline.steps if step.n_labelled == n), None)


def start_run(
    store: Store,
    dataset: ImageDataset,
    protocol: Protocol,
    acquisition: str,
    seed: int,
    name: str,
    device: str = "cpu",
    mode: Mode = "strict",
) -> str:
    """Create a person's run, computed on `device`, and return its id.

    Args:
        mode: strict waits for the model of all labels before it asks, continuous never waits.

    Raises:
        ProtocolError: a parameter is out of range, or the data set too small for the protocol.
    """
    spec = RunSpec(dataset.fingerprint, protocol, acquisition, seed)
    run = create_run(
        store, dataset, spec, title=name.strip(), person=True, device=device, mode=mode
    )
    return run.run_id


def look(store: Store, run_id: str) -> View:
    """Read a run and, where there is one, its baseline. Raises RunNotFound."""
    base = store.find_oracle_run(_random_spec(store.run(run_id).spec))
    base_id = None if base is None or base.run_id == run_id else base.run_id
    heard = pulse(store, run_id, base_id)
    log = store.log(run_id)
    return View(log, next_task(log), store.log(base_id) if base_id else None, heard)


def pulse(store: Store, run_id: str, baseline_id: str | None) -> Pulse:
    """Changes whenever the page has to be drawn anew; cheap enough to ask many times a second."""
    return store.pulse(run_id), store.pulse(baseline_id) if baseline_id else None


def has_moved(
    store: Store, run_id: str, baseline_id: str | None, heard: Pulse, patience: float
) -> bool:
    """Whether the pulse differs from the one `heard`; looks for up to `patience` seconds.

    A look costs a millisecond, a draw by the page some twenty times that: listening between two
    draws is what shows a person the next ten at once.
    """
    until = time.monotonic() + patience
    while pulse(store, run_id, baseline_id) == heard:
        if time.monotonic() >= until:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def ask_baseline(store: Store, dataset: ImageDataset, view: View) -> bool:
    """Have the random baseline come as far as this run has; it is shared by equal runs.

    It is the run with the same data, protocol and seed but acquisition `random`, answered by the
    oracle: same initial images, same subsets, same first accuracy.

    Returns:
        Whether anything had to be asked for, so that the view is out of date.
    """
    acquisition = view.log.run.spec.acquisition
    if acquisition == FULL_DATA or (view.log.run.kind == "oracle" and acquisition == "random"):
        return False  # a bound has no curve to compare, a random run is its own baseline
    baseline = view.baseline.run if view.baseline else None
    if baseline is None:
        spec = _random_spec(view.log.run.spec)
        device = view.log.run.versions.get("device") or "cpu"
        baseline = create_run(
            store, dataset, spec, title="random baseline", baseline=True, device=device
        )
    until = view.log.n_labelled
    measured = view.baseline.steps[-1].n_labelled if view.baseline and view.baseline.steps else 0
    is_held = baseline.paused and measured < until
    if is_held or (baseline.oracle_until or 0) < until:
        # an experiment that shares the run may have paused or stopped it
        store.set_directives(baseline.run_id, oracle_until=until, paused=False)
        store.retry(baseline.run_id)  # once for each batch, should it have failed
        return True
    return view.baseline is None


def ask_workers(store: Store, workers: Workers, view: View) -> None:
    """Have the workers do what the run and its baseline need; harmless when asked twice."""
    if view.next_task.has_work:
        workers.ask(view.log.run.run_id, person_waits=person_waits(view.log))
    if view.baseline is not None and view.baseline_works:
        workers.ask(view.baseline.run.run_id, person_waits=False)


def hand_over(store: Store, log: RunState, n_batches: int | None) -> None:
    """Let the oracle answer the next batches, or to the end of the run with None."""
    spec = log.run.spec
    until = spec.max_labels
    if n_batches is not None:
        until = min(until, log.n_labelled + n_batches * spec.protocol.n_samples_to_acquire)
    store.retry(log.run.run_id)
    store.set_directives(log.run.run_id, oracle_until=until)


def take_back(store: Store, log: RunState) -> None:
    """Hand the run back to the person: the oracle answers no further query."""
    store.set_directives(log.run.run_id, oracle_until=None)


def is_of(log: RunState, submission: GridSubmission) -> bool:
    """Whether a submission answers a query of this run that is open or was answered."""
    return submission.query_id in log.queries


def submit(store: Store, log: RunState, submission: GridSubmission) -> SubmitOutcome:
    """Store what a person submitted. Raises AnswerError; nothing is written then."""
    answers = [
        Answer(image_id, label, submission.seconds.get(image_id))
        for image_id, label in submission.answers.items()
    ]
    answers += [
        Answer(image_id, None, submission.seconds.get(image_id)) for image_id in submission.skipped
    ]
    return store.submit(
        submission.query_id,
        answers,
        annotator=annotator(log),
        source="person",
        nonce=submission.nonce,
    )


def annotator(log: RunState) -> str:
    """Who answers in this run: the name it was started under."""
    return log.run.title or DEFAULT_ANNOTATOR


def undo(store: Store, log: RunState) -> None:
    """Take back the last ten, whoever answered them; they are asked again at once.

    The oracle is stopped too: it would only answer them again.
    """
    take_back(store, log)
    store.undo(log.run.run_id, log.after)


def reveal(store: Store, dataset: ImageDataset, log: RunState) -> list[Revealed]:
    """The last answered batch, image by image, in the order of the ranking."""
    if not log.submissions:
        return []
    last = log.submissions[-1]
    query = log.queries[last.query_id]
    predictions = _beliefs(store, query)
    said = {answer.image_id: answer.label for answer in last.answers}
    return [
        Revealed(i, said[i], int(dataset.labels[i]), *predictions.get(i, (None, None)))
        for i in query.ranking
        if i in said
    ]


def agreement(dataset: ImageDataset, log: RunState) -> tuple[int, int]:
    """(answers of persons that equal the data set's label, all answers of persons)."""
    given = [pair for s in log.submissions if s.source == "person" for pair in s.labels.items()]
    return sum(int(dataset.labels[i]) == label for i, label in given), len(given)


def batch_on_screen(log: RunState) -> tuple[Query, Submission | None] | None:
    """What the grid shows: the open query, else the last answered one until the next comes."""
    if log.open_query is not None:
        return log.open_query, None
    if log.submissions:
        last = log.submissions[-1]
        return log.queries[last.query_id], last
    return None


def find_view(store: Store, run_id: str) -> View | None:
    """`look`, or None for a run that does not exist."""
    try:
        return look(store, run_id)
    except RunNotFound:
        return None


def _beliefs(store: Store, query: Query) -> dict[int, tuple[int, float]]:
    probs = store.shown_probs(query.query_id)  # [T, n, C] of the first n of the ranking
    if probs is None:
        return {}
    mean: np.ndarray = probs.mean(0)
    return {
        image_id: (int(row.argmax()), float(row.max()))
        for image_id, row in zip(query.ranking, mean, strict=False)
    }


def _random_spec(spec: RunSpec) -> RunSpec:
    return replace(spec, acquisition="random")  # and the same noise: wrong about the same images
