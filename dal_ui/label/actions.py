"""What the labelling page does to a run, without drawing.

Plain functions on the store, so that they are tested without a browser. A person and the
simulated oracle answer through the same `Store.submit`.
"""

from __future__ import annotations

from dataclasses import replace

from dal_core.data.base import ImageDataset
from dal_core.execution.pool import Workers
from dal_core.experiments.control import create_run, fork_run
from dal_core.limits.text import name_from
from dal_core.protocol.parameters import Protocol, override
from dal_core.protocol.run_spec import FULL_DATA, RunSpec
from dal_core.run.events import Answer
from dal_core.run.next_task import person_waits
from dal_core.run.ownership import RunReadOnly
from dal_core.run.rows import Mode, NothingToUndo, RunNotFound, SubmitOutcome
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_ui.components.grid.submission import GridSubmission
from dal_ui.label.view import View, random_spec

MORE_BATCHES = 10  # of a fork by hand of a run that has asked for all its batches


def start_run(
    store: Store,
    dataset: ImageDataset,
    protocol: Protocol,
    acquisition: str,
    seed: int,
    title: str = "",
    device: str = "cpu",
    mode: Mode = "strict",
) -> str:
    """Create a person's run and return its id.

    Args:
        device: where the workers compute it.
        mode: strict waits for a model trained on all labels before it asks; continuous never
            waits.

    Raises:
        ValueError: the title breaks the rule of `clean_title`, a parameter is out of range, or the
            data set is too small for the protocol.
    """
    spec = RunSpec(dataset.fingerprint, protocol, acquisition, seed)
    run = create_run(store, dataset, spec, title=title, person=True, device=device, mode=mode)
    return run.run_id


# -- answers -----------------------------------------------------------------------------------


def take(
    store: Store, run_id: str, submission: GridSubmission, annotator: str
) -> SubmitOutcome | None:
    """Store a submission of the page; None where it answers no query of this run. See `submit`."""
    try:
        log = store.log(run_id)
    except RunNotFound:
        return None
    return submit(store, log, submission, annotator) if submission.query_id in log.queries else None


def submit(
    store: Store, log: RunState, submission: GridSubmission, annotator: str
) -> SubmitOutcome:
    """Store a person's labels.

    Args:
        annotator: the person's name.

    Raises:
        AnswerError: the labels do not fit the query; nothing was stored.
    """
    seconds = submission.seconds
    answers = [Answer(i, label, seconds.get(i)) for i, label in submission.answers.items()]
    answers += [Answer(i, None, seconds.get(i)) for i in submission.skipped]
    return store.submit(
        submission.query_id,
        answers,
        annotator=annotator,
        source="person",
        nonce=submission.nonce,
    )


def undo(store: Store, log: RunState) -> None:
    """Take back the last batch; it is asked again at once.

    The oracle stops too, or it would answer the batch again.

    Raises:
        NothingToUndo: there is no batch, or another one has followed.
        RunReadOnly: people may not change the run.
    """
    take_back(store, log.run.run_id)
    store.undo(log.run.run_id, log.after)


def undo_if_last(store: Store, run_id: str, submission_id: int) -> str:
    """Take back a submission unless another has followed; returns a notice, or nothing."""
    try:
        log = store.log(run_id)
        if log.after == submission_id:
            undo(store, log)
    except RunNotFound:
        return ""  # the page reports an unknown run
    except (NothingToUndo, RunReadOnly) as error:
        return f"{error}."
    return ""


# -- whose run ---------------------------------------------------------------------------------


def is_peoples(store: Store, run_id: str) -> bool:
    """Whether the run exists and people may change it."""
    try:
        return store.why_read_only(run_id) is None
    except RunNotFound:
        return False


# -- going on by hand --------------------------------------------------------------------------


def can_fork_by_hand(log: RunState) -> bool:
    """Whether a person can go on from the run; the full-data bound asks for nothing."""
    return log.run.spec.acquisition != FULL_DATA


def fork_by_hand(store: Store, dataset: ImageDataset, log: RunState, device: str = "cpu") -> str:
    """A person's run that goes on from the run's present state; returns its id.

    A run that has asked for all its batches is continued with `MORE_BATCHES`.

    Raises:
        ValueError: the run cannot be forked, or the pool has no images left for more batches.
    """
    origin = log.run.spec
    protocol = origin.protocol
    if log.n_submissions >= protocol.n_acquisition_steps or log.n_labelled >= log.run.max_labels:
        protocol = override(protocol, {"n_acquisition_steps": log.n_submissions + MORE_BATCHES})
    spec = replace(origin, protocol=protocol, noise=0.0)
    title = name_from(f"by hand from {log.run.title or log.run.run_id}")
    made = fork_run(
        *(store, dataset, log.run.run_id, log.after, spec), title=title, person=True, device=device
    )
    return made.run_id


# -- the oracle --------------------------------------------------------------------------------


def hand_over(store: Store, log: RunState, n_batches: int | None) -> None:
    """Let the oracle answer the next batches; None: to the end of the run. Raises RunReadOnly."""
    check_may_change(store, log.run.run_id)
    spec = log.run.spec
    until = log.run.max_labels
    if n_batches is not None:
        until = min(until, log.n_labelled + n_batches * spec.protocol.n_samples_to_acquire)
    store.retry(log.run.run_id)
    store.set_directives(log.run.run_id, oracle_until=until)


def oracle_can_answer(dataset: ImageDataset) -> bool:
    """Whether the data set knows every label, so that it can stand in for a person."""
    return bool(dataset.known.all())


def take_back(store: Store, run_id: str) -> None:
    """Hand the run back to the person: the oracle answers no further query. Raises RunReadOnly."""
    check_may_change(store, run_id)
    store.set_directives(run_id, oracle_until=None)


def check_may_change(store: Store, run_id: str) -> None:
    """Raises RunReadOnly if people may not change the run."""
    if reason := store.why_read_only(run_id):
        raise RunReadOnly(reason)


# -- work in the background --------------------------------------------------------------------


def ask_baseline(store: Store, dataset: ImageDataset, view: View) -> bool:
    """Let the random baseline catch up with this run; equal runs share one.

    The baseline has the run's data, protocol and seed, chooses at random and is answered by the
    oracle. So it has the same initial images, the same subsets and the same first accuracy.

    Returns:
        Whether something had to be changed, so that the view is out of date.
    """
    acquisition = view.log.run.spec.acquisition
    if acquisition == FULL_DATA or (view.log.run.kind == "oracle" and acquisition == "random"):
        return False  # a bound has no curve to compare, a random run is its own baseline
    if not (view.has_test_set and oracle_can_answer(dataset)):
        return False  # nothing would be measured, or nobody could answer
    baseline = view.baseline.run if view.baseline else None
    if baseline is None:
        device = view.log.run.versions.get("device") or "cpu"
        spec = random_spec(view.log.run.spec)
        baseline = create_run(
            store, dataset, spec, title="random baseline", baseline=True, device=device
        )
    until = view.log.n_labelled
    measured = view.baseline.steps[-1].n_labelled if view.baseline and view.baseline.steps else 0
    is_held = baseline.paused and measured < until
    if is_held or (baseline.oracle_until or 0) < until:
        # An experiment that shares the run may have paused or stopped it.
        store.set_directives(baseline.run_id, oracle_until=until, paused=False)
        store.retry(baseline.run_id)  # if it has failed, once for each batch
        return True
    return view.baseline is None


def ask_workers(store: Store, workers: Workers, view: View) -> None:
    """Queue the work that the run and its baseline need; may be called again at any time."""
    if view.next_task.has_work:
        workers.ask(view.log.run.run_id, person_waits=person_waits(view.log))
    if view.baseline is not None and view.baseline_works:
        workers.ask(view.baseline.run.run_id, person_waits=False)
