"""Fits the model of an earlier step again.

A run keeps only its newest model. A fit depends only on the protocol, the seed and the ordered
labels, which the log has, so the weights of any step can be computed again. They are equal to the
bit on the same machine and versions, and up to rounding if the step was trained stacked with other
runs. The weights are kept in `steps/<after>-<corrected>.safetensors` in the run's folder, with the
step's accuracy and confusion matrix on the test images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dal_core.data.base import ImageDataset
from dal_core.execution.checkpoints import FILE_NAME, load_fitted, save_fitted
from dal_core.learner.base import Fitted, Learner, make_learner
from dal_core.run.labelled import Labelled, labelled_of, state_at
from dal_core.run.rows import Part, Progress, RunNotFound
from dal_core.run.state import RunState
from dal_core.store import artefacts
from dal_core.store.artefacts import ArtefactDamaged, ArtefactMissing, read_facts
from dal_core.store.base import Store
from dal_core.store.home import run_dir
from dal_core.store.run_lock import run_lock

if TYPE_CHECKING:
    import torch

    from dal_core.training.loop import Epoch

FOLDER = "steps"
LOOK_SECONDS = 0.1  # how often a fit checks that its run exists and stores its progress


def step_file(home: Path, run_id: str, after: int, corrected: int = 0) -> Path:
    """Path for the weights of a step; the file need not exist.

    Args:
        after: last submission in the training set of the step; 0 for none.
        corrected: last correction in the training set; 0 for none.
    """
    return run_dir(home, run_id) / FOLDER / f"{after}-{corrected}.safetensors"


def step_weights(home: Path, run_id: str, after: int, corrected: int = 0) -> Path | None:
    """The file with the weights of a step; None if they are not stored.

    For the newest step this is the run's checkpoint.
    """
    newest = run_dir(home, run_id) / FILE_NAME
    for path in (step_file(home, run_id, after, corrected), newest):
        facts = read_facts(path)
        if facts and (facts["after"], facts.get("corrected", 0)) == (after, corrected):
            return path
    return None


def step_facts(home: Path, run_id: str, after: int, corrected: int = 0) -> Mapping[str, Any] | None:
    """`accuracy` and `confusion` of a recomputed step; None if it was not recomputed."""
    return read_facts(step_file(home, run_id, after, corrected))


class NoSuchStep(ValueError):
    """The run does not have this step (any more); the message is one line."""


def check_state(state: RunState, after: int) -> None:
    """Raise NoSuchStep unless `after` is a state of the run."""
    if not state.is_state(after):
        states = ", ".join(str(one.submission_id) for one in state.submissions)
        raise NoSuchStep(f"after is {after}; allowed for run {state.run.run_id}: 0, {states}")


def corrected_at(state: RunState, after: int) -> int:
    """The last correction in the training set of the step measured at `after`; 0 for none.

    For a state that was never measured, this is the run's last correction.
    """
    steps = [step.corrected for step in state.steps if step.after == after]
    return steps[-1] if steps else state.corrected


def labelled_at(
    state: RunState, after: int, learner: Learner, dataset: ImageDataset, corrected: int
) -> Labelled:
    """The labels of an earlier step, as they were when it was measured.

    Args:
        after: the last submission among them.
        corrected: the last correction among them (see `corrected_at`).

    Raises:
        NoSuchStep: `after` is not a state of the run.
    """
    check_state(state, after)
    then = state_at(state, after, corrected)
    return labelled_of(then, learner.split, dataset, corrected)


def stored_model(home: Path, run_id: str, learner: Learner, labelled: Labelled) -> Fitted | None:
    """The model fitted to these labels; None if its weights are not stored."""
    path = step_weights(home, run_id, labelled.after, labelled.corrected)
    return load_fitted(path, learner, labelled) if path else None


def recompute(
    store: Store,
    dataset: ImageDataset,
    run_id: str,
    after: int,
    *,
    device: torch.device | None = None,
    wait: Callable[[], None] = lambda: None,
    alive: Callable[[], None] = lambda: None,
) -> Path:
    """Fit and measure a step again and store its weights; returns their path.

    The run's log is not changed. Progress is stored for the run: part "train", then "evaluate".

    Args:
        wait: called between epochs and chunks; blocks while other work has precedence.
        alive: called at least every few seconds.

    Raises:
        RunBusy: another process is working on the run.
        RunNotFound: the run does not exist, or is deleted meanwhile.
        NoSuchStep: `after` is not a state of the run.
        OSError: the weights cannot be written.
    """
    with run_lock(store.home, run_id):
        state = store.log(run_id)
        check_state(state, after)
        corrected = corrected_at(state, after)
        path = step_file(store.home, run_id, after, corrected)
        if not _is_intact(path):
            learner = make_learner(state.run.spec, dataset, device, alive=alive)
            labelled = labelled_at(state, after, learner, dataset, corrected)
            watch = _Watch(store, run_id, labelled.n_labelled, wait)
            fitted = learner.fit(labelled, watch.epoch)
            result = learner.evaluate(fitted, watch.images)
            measured = {"accuracy": result.accuracy, "confusion": result.confusion}
            save_fitted(path, fitted, measured)
    return path


def _is_intact(path: Path) -> bool:
    try:
        artefacts.load(path)
    except (ArtefactMissing, ArtefactDamaged):
        return False
    return True


class _Watch:
    """Stores the progress of a fit and a measurement, and ends them if the run is deleted."""

    def __init__(
        self, store: Store, run_id: str, n_labelled: int, wait: Callable[[], None]
    ) -> None:
        self.store, self.run_id, self.n_labelled, self.wait = store, run_id, n_labelled, wait
        self._last_poll = 0.0

    def epoch(self, epoch: Epoch) -> None:
        self._report("train", epoch.number, epoch.n_epochs, epoch.seconds_left, epoch.train_loss)

    def images(self, done: int, total: int) -> None:
        self._report("evaluate", done, total, None, None)

    def _report(
        self, part: Part, done: int, total: int, left: float | None, loss: float | None
    ) -> None:
        self.wait()
        if time.perf_counter() - self._last_poll < LOOK_SECONDS:
            return
        self._last_poll = time.perf_counter()
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
