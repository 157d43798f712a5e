"""Does the work on a run, one task at a time: fit, query, measure, let the oracle answer.

`advance` does the tasks of a run until it needs nothing more from a worker. Worker processes call
it, and so does the command line in its own process.
"""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from concurrent.futures import Executor
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dal_core.data import catalogue
from dal_core.data.base import ImageDataset
from dal_core.execution.audit import predict_audit
from dal_core.execution.checkpoints import FILE_NAME, load_fitted, save_fitted
from dal_core.execution.continuous import store_ranking
from dal_core.execution.environment import environment_of
from dal_core.execution.predictions import Predictions, load_predictions, save_predictions
from dal_core.execution.recompute import labelled_at, recompute, stored_model
from dal_core.learner.base import Fitted, Learner, make_learner, matches
from dal_core.protocol.run_spec import RunSpec
from dal_core.record_file.writer import RecordWriter
from dal_core.run import oracle
from dal_core.run.environment import Environment
from dal_core.run.events import Query, StepResult
from dal_core.run.labelled import Labelled, labelled_of
from dal_core.run.next_task import Task, answers_itself, next_task
from dal_core.run.rows import Diverged, Part, Progress, RunNotFound, RunRow
from dal_core.run.state import RunState
from dal_core.run.stop_rules import finished
from dal_core.store.base import Store
from dal_core.store.home import run_dir
from dal_core.store.run_lock import run_lock
from dal_core.training.memory import release_freed_memory

if TYPE_CHECKING:
    import torch

    from dal_core.training.loop import Epoch

LOOK_SECONDS = 0.1  # how often a fit polls its run's directives and stores its progress
RUNS_KEPT = 4  # learners kept; a worker alternates between a person's run and its baseline

_MEASURES = ("train_loss", "val_loss", "accuracy", "mutual_information")  # of a step

Wait = Callable[[], None]  # called between epochs and chunks; may block


class GivenUp(Exception):
    """The work is no longer wanted: the run's labels changed, or it was paused."""


@dataclasses.dataclass
class Warm:
    """The learner of a recent run, and the newest model it fitted or loaded."""

    learner: Learner
    fitted: Fitted | None = None


class Workbench:
    """The data sets and learners that a worker keeps in memory between jobs.

    Args:
        device: where tensors are computed (see `device.choose_device`); None for the CPU.
        helper: an executor with one thread, for a second core; results do not depend on it.
        alive: called at least every few seconds while a learner computes.
    """

    runs_kept = RUNS_KEPT

    def __init__(
        self,
        store: Store,
        device: torch.device | None = None,
        helper: Executor | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.store, self.device, self.helper, self.alive = store, device, helper, alive
        self.records = RecordWriter(store)
        self._datasets: dict[str, ImageDataset] = {}
        self._environments: dict[str, Environment] = {}
        self._warm: OrderedDict[str, Warm] = OrderedDict()

    def dataset(self, name: str) -> ImageDataset:
        """The data set, loaded on first use."""
        if name not in self._datasets:
            self._datasets[name] = catalogue.load(name)
        return self._datasets[name]

    def environment(self, name: str) -> Environment:
        """Where this process computes, with the data set; found out on first use."""
        if name not in self._environments:
            self._environments[name] = environment_of(self.device, self.dataset(name).fingerprint)
        return self._environments[name]

    def warm(self, run: RunRow) -> Warm:
        """The run's learner, created on first use, with its newest model."""
        warm = self._warm.get(run.run_id) or Warm(self.new_learner(run.spec))
        self._warm[run.run_id] = warm
        self._warm.move_to_end(run.run_id)
        while len(self._warm) > self.runs_kept:
            self._warm.popitem(last=False)
        return warm

    def new_learner(self, spec: RunSpec) -> Learner:
        """A learner for a run."""
        dataset = self.dataset(spec.protocol.dataset)
        return make_learner(spec, dataset, self.device, self.helper, self.alive)

    def labelled(self, state: RunState) -> Labelled:
        """The labels that the run's learner trains on in this state."""
        dataset = self.dataset(state.run.spec.protocol.dataset)
        return labelled_of(state, self.warm(state.run).learner.split, dataset)

    def fitted(self, run: RunRow, labelled: Labelled) -> Fitted | None:
        """The model fitted to these labels, from memory or disk; None if there is none."""
        warm = self.warm(run)
        if warm.fitted is None or not matches(warm.fitted, labelled):
            path = run_dir(self.store.home, run.run_id) / FILE_NAME
            warm.fitted = load_fitted(path, warm.learner, labelled)
        return warm.fitted

    def keep(self, run: RunRow, fitted: Fitted) -> None:
        """Keep a new model in memory and on disk; a full disk costs only a fit after a restart."""
        self.warm(run).fitted = fitted
        try:
            save_fitted(run_dir(self.store.home, run.run_id) / FILE_NAME, fitted)
        except OSError as error:
            warnings.warn(f"the weights of {run.run_id} were not stored: {error}", stacklevel=2)


def advance(
    bench: Workbench, run_id: str, wait: Wait = lambda: None, max_steps: int | None = None
) -> Generator[StepResult, None, None]:
    """Do the tasks of a run until none is left; yields each step as it is measured.

    Args:
        wait: called between epochs and chunks; blocks while other work has precedence.
        max_steps: return after this many measured steps.

    Raises:
        RunBusy: another process is working on the run.
        RunNotFound: the run does not exist, or is deleted meanwhile.
    """
    store = bench.store
    n_steps = 0
    with run_lock(store.home, run_id):
        try:
            while max_steps is None or n_steps < max_steps:
                state = store.log(run_id)
                task = next_task(state).task
                if task in (Task.WAIT, Task.NOTHING):
                    return
                try:
                    for step in Job(bench, state, wait).do(task):
                        n_steps += 1
                        yield step
                except GivenUp:
                    if task is Task.MAKE_UP and max_steps is not None:
                        return  # the person has answered; the interactive worker goes on
                    continue  # read the log again
                release_freed_memory()
                bench.records.write_due()
        finally:
            settle(store, run_id)
            if max_steps is None:
                bench.records.write_all()
            else:
                bench.records.leave(run_id)


def recompute_weights(bench: Workbench, run_id: str, after: int, wait: Wait = lambda: None) -> Path:
    """Compute the weights of a step again; arguments, result and errors as in `recompute`."""
    dataset = bench.dataset(bench.store.run(run_id).spec.protocol.dataset)
    path = recompute(
        bench.store, dataset, run_id, after, device=bench.device, wait=wait, alive=bench.alive
    )
    settle(bench.store, run_id)
    return path


class Job:
    """One task on one state of a run."""

    def __init__(self, bench: Workbench, state: RunState, wait: Wait) -> None:
        self.bench, self.state, self.wait = bench, state, wait
        self.store, self.run = bench.store, state.run
        self.learner = bench.warm(state.run).learner
        self.made_up: tuple[int, int] | None = None  # the earlier model that is measured
        self._last_poll = 0.0
        self._revision = state.revision

    @cached_property
    def labelled(self) -> Labelled:
        """The labels of the run in this state."""
        return self.bench.labelled(self.state)

    def do(self, task: Task) -> Iterator[StepResult]:
        """Do the task and store its result; yields the step if one was measured."""
        if task is Task.ANSWER:
            self._answer()
            return
        if task is Task.MAKE_UP:
            yield from self._make_up()
            return
        fitted = self._model()
        if task is Task.QUERY:
            self._query(fitted)
        elif task is Task.RANK:
            self._rank(fitted)
        if task is not Task.EVALUATE:
            self._predict(fitted)
        if task is not Task.QUERY:
            yield from self._evaluate(fitted)
            self._predict(fitted)

    def _model(self) -> Fitted:
        """The model of the state, from memory or disk, or else fitted now."""
        fitted = self.bench.fitted(self.run, self.labelled)
        if fitted is None:
            fitted = self.learner.fit(self.labelled, self._watch_epoch)
            self.bench.keep(self.run, fitted)
        return fitted

    def _query(self, fitted: Fitted) -> None:
        query, probs = self._ask(fitted, 2 * self.run.spec.protocol.n_samples_to_acquire)
        if self.run.kind != "person" and probs is not None:
            probs = probs[:, : query.batch_size]
        self.store.add_query(self.run.run_id, query, probs)

    def _rank(self, fitted: Fitted) -> None:
        """Store a ranking with all its passes: in continuous mode later queries come from it."""
        store_ranking(self.store, self.state, partial(self._ask, fitted))

    def _ask(
        self, fitted: Fitted, n_kept: int, asked: Collection[int] = ()
    ) -> tuple[Query, np.ndarray | None]:
        watch = self._watch_images("score")
        query, probs = self.learner.query(fitted, self.labelled, watch, n_kept, asked)
        _check_finite(query.n_labelled, {"a score": math.fsum(query.scores)})
        if probs is None and self.run.kind == "person":
            # Random acquisition makes no passes, but the page shows the model's predictions.
            probs = self.learner.inspect(fitted, query.ranking[:n_kept])
        return query, probs

    def _predict(self, fitted: Fitted) -> None:
        """In a person's run, write each model's predictions for all answered images once."""
        if self.run.kind != "person":
            return
        predict_audit(self.store.home, self.run.run_id, self.learner, fitted)
        folder = run_dir(self.store.home, self.run.run_id)
        known = load_predictions(folder)
        if known and (known.after, known.corrected) == (fitted.after, fitted.corrected):
            return
        answered = self.store.log(self.run.run_id).submissions
        ids = [answer.image_id for one in answered for answer in one.answers]
        if not ids:
            return
        mean = self.learner.inspect(fitted, ids).mean(0)
        state = fitted.n_labelled, fitted.after, fitted.corrected
        save_predictions(folder, Predictions(np.array(ids), mean, *state))

    def _evaluate(self, fitted: Fitted) -> Iterator[StepResult]:
        """Measure; an oracle's run then queries at once, so that its step includes that time."""
        result = self._measured(fitted)
        measured = dataclasses.replace(self.state, steps=(*self.state.steps, result))
        if answers_itself(measured) and not finished(measured) and not self.state.is_asked:
            self._query(fitted)
            result = dataclasses.replace(result, seconds={**result.seconds, **fitted.seconds})
        yield from self._store_step(result)

    def _make_up(self) -> Iterator[StepResult]:
        """Measure the oldest model that was passed by; it is fitted again from its labels.

        The newest model stays the one that is kept.
        """
        self.made_up = after, corrected = self.state.unmeasured[0]
        dataset = self.bench.dataset(self.run.spec.protocol.dataset)
        self.labelled = labelled_at(self.state, after, self.learner, dataset, corrected)
        fitted = stored_model(self.store.home, self.run.run_id, self.learner, self.labelled)
        if fitted is None:
            fitted = self.learner.fit(self.labelled, self._watch_epoch)
        yield from self._store_step(self._measured(fitted))

    def _measured(self, fitted: Fitted) -> StepResult:
        """The measurements of a model. Raises Diverged if one is not finite."""
        result = self.learner.evaluate(fitted, self._watch_images("evaluate"))
        values = {name: getattr(result, name) for name in _MEASURES}
        _check_finite(result.n_labelled, values)
        return result

    def _store_step(self, result: StepResult) -> Iterator[StepResult]:
        where = self.bench.environment(self.run.spec.protocol.dataset)
        result = dataclasses.replace(result, environment=where)
        if self.store.add_step(self.run.run_id, result):
            self.bench.records.step_stored(self.run.run_id)
            yield result

    def _answer(self) -> None:
        query = self.state.open_query
        assert query is not None
        spec = self.run.spec
        dataset = self.bench.dataset(spec.protocol.dataset)
        answers = oracle.answer(query, dataset, spec.noise, spec.seed)
        self.store.submit(query.query_id, answers, annotator="oracle", source="oracle")

    # -- watching ------------------------------------------------------------------------------

    def _watch_epoch(self, epoch: Epoch) -> None:
        self.wait()
        if self._is_time(last=epoch.number == epoch.n_epochs):
            self._poll()
            self._report(
                "train", epoch.number, epoch.n_epochs, epoch.train_loss, epoch.seconds_left
            )

    def _watch_images(self, part: Part) -> Callable[[int, int], None]:
        started = time.perf_counter()

        def watch(done: int, total: int) -> None:
            self.wait()
            if self._is_time():
                self._poll()
                left = (time.perf_counter() - started) / done * (total - done)
                self._report(part, done, total, None, left)

        return watch

    def _is_time(self, last: bool = False) -> bool:
        """Whether to poll and report now; at most every LOOK_SECONDS, and at the last epoch."""
        now = time.perf_counter()
        if now - self._last_poll < LOOK_SECONDS and not last:
            return False
        self._last_poll = now
        return True

    def _poll(self) -> None:
        """Raise GivenUp or RunNotFound if the work is no longer wanted."""
        control = self.store.control(self.run.run_id)
        if control.deleted:
            raise RunNotFound(f"run {self.run.run_id} was deleted")
        if self.made_up is not None and not self._is_to_be_made_up():
            raise GivenUp
        if control.paused or (control.revision != self._revision and not self._is_still_wanted()):
            raise GivenUp
        self._revision = control.revision

    def _is_still_wanted(self) -> bool:
        """Whether to finish the work although a label was retracted or corrected meanwhile.

        In continuous mode nobody waits for a fit. It is therefore finished unless a submission of
        its training set was retracted; the next fit takes corrections into account.
        """
        if self.run.mode != "continuous":
            return False
        return self.store.log(self.run.run_id).is_state(self.state.after)

    def _is_to_be_made_up(self) -> bool:
        """Whether the run has nothing more urgent to do than this measurement, and lacks it."""
        log = self.store.log(self.run.run_id)
        return next_task(log).task is Task.MAKE_UP and self.made_up in log.unmeasured

    def _report(
        self, part: Part, done: int, total: int, train_loss: float | None, left: float
    ) -> None:
        progress = Progress(
            part=part,
            n_labelled=self.labelled.n_labelled,
            epoch=done,
            n_epochs=total,
            train_loss=train_loss,
            seconds_left=left,
        )
        self.store.set_progress(self.run.run_id, progress)


def _check_finite(n_labelled: int, values: Mapping[str, float | None]) -> None:
    """Raise Diverged, which names the first value that is not finite."""
    for name, value in values.items():
        if value is not None and not math.isfinite(value):
            what = name.replace("_", " ")
            raise Diverged(f"the training on {n_labelled} labels diverged: {what} is {value}")


def settle(store: Store, run_id: str, message: str = "") -> None:
    """Store that the run is idle; with a message, also record it as a failure."""
    if store.control(run_id).deleted:  # a deleted run has no progress to write
        return
    if message:
        store.add_failure(run_id, message)
    store.set_progress(run_id, Progress("idle"))
