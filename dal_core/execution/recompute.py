"""The model of an earlier step, computed again: deterministic, and only that step.

A run keeps the newest model alone (`checkpoint`). A fit depends only on protocol, seed and the
ordered labels, which the log has, so any step's weights can be had again: on the same machine and
versions they are those the run had, bit for bit (but for rounding if it was trained in lock-step).
They are kept as a file of the run's folder, `steps/<after>-<corrected>.safetensors`, together with
what that model does on the test images.

Owns: which labels a step was trained on, and that file. Does not own: who asks for it (`workers`)
nor how weights are written (`checkpoint`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dal_core.data.base import ImageDataset
from dal_core.execution.checkpoints import FILE_NAME, load_fitted, read_facts, save_fitted
from dal_core.learner.bayesian_cnn import CPU, Answered, Learner
from dal_core.run.events import Answer, Submission
from dal_core.run.rows import Part, Progress, RunNotFound
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_core.store.home import run_dir
from dal_core.store.run_lock import run_lock
from dal_core.training.loop import Epoch

FOLDER = "steps"
LOOK_SECONDS = 0.1  # between two looks at whether the run still exists, and reports of progress


def step_file(home: Path, run_id: str, after: int, corrected: int = 0) -> Path:
    """Where the weights of a step are kept; the file need not exist."""
    return run_dir(home, run_id) / FOLDER / f"{after}-{corrected}.safetensors"


def step_weights(home: Path, run_id: str, after: int, corrected: int = 0) -> Path | None:
    """The file with the weights of a step, or None where they would have to be computed again.

    The newest step's are the run's own weights; both files are read by `checkpoint`.
    """
    for path in (
        step_file(home, run_id, after, corrected),
        run_dir(home, run_id) / FILE_NAME,
    ):
        facts = read_facts(path)
        if facts and (facts["after"], facts.get("corrected", 0)) == (after, corrected):
            return path
    return None


def step_facts(home: Path, run_id: str, after: int, corrected: int = 0) -> Mapping[str, Any] | None:
    """What was measured when the step was computed again: `accuracy` and `confusion`, or None."""
    return read_facts(step_file(home, run_id, after, corrected))


class NoSuchStep(ValueError):
    """The run has no such step, or has it no longer; the message is one line."""


def check_state(log: RunState, after: int) -> None:
    """`after` is a state of the run. Raises NoSuchStep."""
    if not log.is_state(after):
        states = ", ".join(str(one.submission_id) for one in log.submissions)
        raise NoSuchStep(f"after is {after}; allowed for run {log.run.run_id}: 0, {states}")


def corrected_at(log: RunState, after: int) -> int:
    """The last correction in the training set of the step measured at `after`; 0: none.

    A state that was never measured is taken as it stands now.
    """
    steps = [step.corrected for step in log.steps if step.after == after]
    return steps[-1] if steps else log.corrected


def learner_at(
    log: RunState,
    after: int,
    dataset: ImageDataset,
    device: torch.device = CPU,
    corrected: int | None = None,
) -> Learner:
    """The learner as it was just after the submission `after`, without its model.

    Labels that were corrected later are those the step was trained on.

    Args:
        corrected: the last correction in its training set; None: that of the step as measured.

    Raises:
        ValueError: `after` is no state of the run, or the data are not the run's.
    """
    check_state(log, after)
    corrected = corrected_at(log, after) if corrected is None else corrected
    then = _labels_then(log, corrected)
    answered = [
        Answered(log.queries[one.query_id], _as_of(one, then), one.submission_id)
        for one in log.submissions
        if one.submission_id <= after
    ]
    learner = Learner(log.run.spec, dataset, device)
    learner.replay(answered, None, corrected)
    return learner


def stored_learner(
    home: Path,
    log: RunState,
    after: int,
    dataset: ImageDataset,
    device: torch.device = CPU,
    corrected: int | None = None,
) -> Learner | None:
    """The learner with the model of the step, or None where its weights are not kept.

    Args, Raises: as `learner_at`.
    """
    learner = learner_at(log, after, dataset, device, corrected)
    path = step_weights(home, log.run.run_id, after, learner.corrected)
    if path is not None:
        learner.fitted = load_fitted(path.parent, learner, log.run.spec.key, path.name)
    return learner if learner.fitted is not None else None


def recompute(
    store: Store,
    dataset: ImageDataset,
    run_id: str,
    after: int,
    *,
    device: torch.device = CPU,
    wait: Callable[[], None] = lambda: None,
) -> Path:
    """Fit and measure the step again and keep its weights; returns their file.

    Nothing is written to the run's log. Progress is the run's, part "train" then "evaluate".

    Args:
        wait: called between epochs and chunks; blocks while someone else has precedence.

    Raises:
        RunBusy: another process works on the run.
        RunNotFound: there is no such run, or it was deleted meanwhile.
        NoSuchStep: `after` is no state of the run.
    """
    with run_lock(store.home, run_id):
        log = store.log(run_id)
        learner = learner_at(log, after, dataset, device)
        path = step_file(store.home, run_id, after, learner.corrected)
        if read_facts(path) is None:
            watch = _Watch(store, run_id, learner.n_labelled, wait)
            learner.fit(watch.epoch)
            result = learner.evaluate(watch.images)
            assert learner.fitted is not None
            measured = {"accuracy": result.accuracy, "confusion": result.confusion}
            save_fitted(path.parent, learner.fitted, log.run.spec.key, path.name, measured)
    return path


def _labels_then(log: RunState, corrected: int) -> dict[tuple[int, int], int | None]:
    """(submission, image) -> label before the corrections that came later than `corrected`."""
    later = [one for one in log.corrections if one.correction_id > corrected]
    return {(one.submission_id, one.image_id): one.before for one in reversed(later)}


def _as_of(
    submission: Submission, then: Mapping[tuple[int, int], int | None]
) -> tuple[Answer, ...]:
    return tuple(
        replace(answer, label=then.get((submission.submission_id, answer.image_id), answer.label))
        for answer in submission.answers
    )


class _Watch:
    """Writes the progress of a fit and a measurement that are no part of the run's log."""

    def __init__(
        self, store: Store, run_id: str, n_labelled: int, wait: Callable[[], None]
    ) -> None:
        self.store, self.run_id, self.n_labelled, self.wait = store, run_id, n_labelled, wait
        self._looked, self._started = 0.0, time.perf_counter()

    def epoch(self, epoch: Epoch) -> None:
        self._report("train", epoch.number, epoch.n_epochs, epoch.seconds_left, epoch.train_loss)

    def images(self, done: int, total: int) -> None:
        self._report("evaluate", done, total, None, None)

    def _report(
        self, part: Part, done: int, total: int, left: float | None, loss: float | None
    ) -> None:
        self.wait()
        if time.perf_counter() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.perf_counter()
        if self.store.control(self.run_id).deleted:
            raise RunNotFound(f"run {self.run_id} was deleted")
        progress = Progress(
            part,
            n_labelled=self.n_labelled,
            epoch=done,
            n_epochs=total,
            train_loss=loss,
            seconds_left=left,
        )
        self.store.set_progress(self.run_id, progress)
