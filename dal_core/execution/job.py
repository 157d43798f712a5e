"""The process that fits and scores: `python -m dal_core.execution.job HOME DEVICE [THREADS]`.

It is fed one JSON line per job on standard input, answers with one JSON line per event on
standard output, and ends with the end of its input, so that no worker outlives its server. What
it computes goes to the store; the lines only say that there is something to read. `advance`
is the work itself and is called by the command line in its own process just the same.
With THREADS 2 a second thread helps on the second core; results are the same to the last bit.

Lines in:  {"do": "work", "run": ID, "steps": N | null}   bring the run up to what its directives
               ask, or N steps on the way; without N while a person waits for it
           {"do": "weights", "run": ID, "after": SUBMISSION}   compute a step's weights again
           {"do": "hold"} / {"do": "go"}   pause between two epochs while a person waits; go on
Lines out: {"event": "ready" | "done" | "busy" | "failed", "run": ID, "message": TEXT,
            "more": whether the run has work left, "n_labelled": labels it has now,
            "waits": whether a person waits for that work}
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dal_core.data import catalogue
from dal_core.data.base import ImageDataset
from dal_core.execution.checkpoints import load_fitted, save_fitted
from dal_core.execution.predictions import Predictions, load_predictions, save_predictions
from dal_core.execution.recompute import NoSuchStep, recompute
from dal_core.learner.bayesian_cnn import CPU, Answered, Learner
from dal_core.protocol.run_spec import RunSpec
from dal_core.record_file.writer import RecordWriter
from dal_core.run import oracle
from dal_core.run.events import RANKING_KEPT, Query, StepResult
from dal_core.run.next_task import Task, answers_itself, next_task, person_waits
from dal_core.run.rows import Part, Progress, RunNotFound
from dal_core.run.state import RunState
from dal_core.run.stop_rules import finished
from dal_core.store.home import run_dir
from dal_core.store.run_lock import RunBusy, run_lock
from dal_core.store.store import Store
from dal_core.training.device import choose_device
from dal_core.training.loop import Epoch
from dal_core.training.malloc import keep_freed_memory

LOOK_SECONDS = 0.1  # how often a fit looks at its run's directives and writes its progress
LEARNERS_KEPT = 4  # learners are small; a worker switches between a person's run and its baseline

Wait = Callable[[], None]


class GivenUp(Exception):
    """The work in hand is no longer wanted: undone, paused or deleted."""


class Workbench:
    """What a warm worker keeps between jobs: data sets and the learners of recent runs.

    Args:
        device: where everything is computed (see `device.choose_device`).
        helper: one thread for a second core, while there is one to spare.
    """

    learners_kept = LEARNERS_KEPT

    def __init__(
        self, store: Store, device: torch.device = CPU, helper: Executor | None = None
    ) -> None:
        self.store, self.device, self.helper = store, device, helper
        self.records = RecordWriter(store)
        self._datasets: dict[str, ImageDataset] = {}
        self._learners: OrderedDict[str, Learner] = OrderedDict()

    def dataset(self, name: str) -> ImageDataset:
        """The data set, loaded once."""
        if name not in self._datasets:
            self._datasets[name] = catalogue.load(name)
        return self._datasets[name]

    def learner(self, log: RunState) -> Learner:
        """The run's learner in the state of its log, its model kept or read back if it fits."""
        run = log.run
        learner = self._learners.get(run.run_id)
        if learner is None:
            learner = self.new_learner(run.spec)
        self._learners[run.run_id] = learner
        self._learners.move_to_end(run.run_id)
        while len(self._learners) > self.learners_kept:
            self._learners.popitem(last=False)
        answered = [
            Answered(log.queries[s.query_id], s.answers, s.submission_id) for s in log.submissions
        ]
        learner.replay(answered, log.open_query, log.corrected)
        if learner.fitted is None:
            learner.fitted = load_fitted(
                run_dir(self.store.home, run.run_id), learner, run.spec.key
            )
        return learner

    def new_learner(self, spec: RunSpec) -> Learner:
        """A run's learner at its start."""
        dataset = self.dataset(spec.protocol.dataset)
        return Learner(spec, dataset, self.device, self.helper)


def advance(
    bench: Workbench, run_id: str, wait: Wait = lambda: None, max_steps: int | None = None
) -> Generator[StepResult, None, None]:
    """Bring one run up to what its directives ask; yields each step as it is measured.

    Args:
        wait: called between epochs and chunks; blocks while someone else has precedence.
        max_steps: return after this many measured steps, whatever is left to do.

    Raises:
        RunBusy: another process works on the run.
        RunNotFound: there is no such run, or it was deleted meanwhile.
    """
    store = bench.store
    n_steps = 0
    with run_lock(store.home, run_id):
        try:
            while max_steps is None or n_steps < max_steps:
                log = store.log(run_id)
                task = next_task(log).task
                if task in (Task.WAIT, Task.NOTHING):
                    return
                job = Job(bench, log, wait)
                try:
                    for step in job.do(task):
                        n_steps += 1
                        yield step
                except GivenUp:
                    continue  # the log says what is wanted now
                bench.records.write_due()
        finally:
            settle(store, run_id)
            if max_steps is None:
                bench.records.write_all()
            else:
                bench.records.leave(run_id)


class Job:
    """One task on one state of a run."""

    def __init__(self, bench: Workbench, log: RunState, wait: Wait) -> None:
        self.bench, self.log, self.wait = bench, log, wait
        self.store, self.run = bench.store, log.run
        self.learner = bench.learner(log)
        self._looked = 0.0
        self._revision = log.revision

    def do(self, task: Task) -> Iterator[StepResult]:
        """Do it and store what came of it; yields the step if one was measured."""
        if task is Task.ANSWER:
            self._answer()
            return
        self._ensure_model()
        if task is Task.QUERY:
            self._query()
            self._believe()
            return
        if task is Task.RANK:
            self._rank()
            self._believe()
        yield from self._evaluate()
        self._believe()

    def _ensure_model(self) -> None:
        if self.learner.fitted is not None:
            return
        self.learner.fit(self._watch_epoch)
        assert self.learner.fitted is not None
        save_fitted(
            run_dir(self.store.home, self.run.run_id), self.learner.fitted, self.run.spec.key
        )

    def _query(self) -> None:
        query, probs = self._ask(2 * self.run.spec.protocol.n_samples_to_acquire)
        if self.run.kind != "person" and probs is not None:
            probs = probs[:, : query.batch_size]
        self.store.add_query(self.run.run_id, query, probs)

    def _rank(self) -> None:
        """Continuous mode: queries to come are asked from this ranking, so all of it is kept."""
        self.store.add_ranking(self.run.run_id, *self._ask(RANKING_KEPT))

    def _ask(self, n_kept: int) -> tuple[Query, np.ndarray | None]:
        query, probs = self.learner.query(self._watch_images("score"), n_kept)
        if probs is None and self.run.kind == "person":
            # Random asks without a forward pass; what the model believes of the images that a
            # person is shown is looked up afterwards, for the reveal.
            probs = self.learner.inspect(query.ranking[:n_kept])
        return query, probs

    def _believe(self) -> None:
        """Write what the model believes of all that a person was asked, once for each model."""
        fitted = self.learner.fitted
        if self.run.kind != "person" or fitted is None:
            return
        folder = run_dir(self.store.home, self.run.run_id)
        known = load_predictions(folder)
        if known and (known.after, known.corrected) == (fitted.after, fitted.corrected):
            return
        answered = self.store.log(self.run.run_id).submissions
        ids = [answer.image_id for one in answered for answer in one.answers]
        if not ids:
            return
        mean = self.learner.inspect(ids).mean(0)
        labels = fitted.n_labelled
        save_predictions(
            folder, Predictions(np.array(ids), mean, labels, fitted.after, fitted.corrected)
        )

    def _evaluate(self) -> Iterator[StepResult]:
        """Measure; an oracle's run then asks at once, so that its step includes the scoring."""
        result = self.learner.evaluate(self._watch_images("evaluate"))
        measured = dataclasses.replace(self.log, steps=(*self.log.steps, result))
        if answers_itself(measured) and not finished(measured) and self.log.open_query is None:
            self._query()
            assert self.learner.fitted is not None
            result = dataclasses.replace(
                result, seconds={**result.seconds, **self.learner.fitted.seconds}
            )
        if self.store.add_step(self.run.run_id, result):
            self.bench.records.step_stored(self.run.run_id)
            yield result

    def _answer(self) -> None:
        query = self.log.open_query
        assert query is not None
        spec = self.run.spec
        answers = oracle.answer(query, self.learner.dataset, spec.noise, spec.seed)
        self.store.submit(query.query_id, answers, annotator="oracle", source="oracle")

    # -- watching ------------------------------------------------------------------------------

    def _watch_epoch(self, epoch: Epoch) -> None:
        self.wait()
        if self._is_time(last=epoch.number == epoch.n_epochs):
            self._look()
            self._report(
                "train", epoch.number, epoch.n_epochs, epoch.train_loss, epoch.seconds_left
            )

    def _watch_images(self, part: Part) -> Callable[[int, int], None]:
        started = time.perf_counter()

        def watch(done: int, total: int) -> None:
            self.wait()
            if self._is_time():
                self._look()
                left = (time.perf_counter() - started) / done * (total - done)
                self._report(part, done, total, None, left)

        return watch

    def _is_time(self, last: bool = False) -> bool:
        now = time.perf_counter()
        if now - self._looked < LOOK_SECONDS and not last:
            return False
        self._looked = now
        return True

    def _look(self) -> None:
        """Give up what is no longer wanted."""
        control = self.store.control(self.run.run_id)
        if control.deleted:
            raise RunNotFound(f"run {self.run.run_id} was deleted")
        if control.paused or (control.revision != self._revision and not self._is_still_wanted()):
            raise GivenUp
        self._revision = control.revision

    def _is_still_wanted(self) -> bool:
        """Whether labels taken back or corrected elsewhere leave the work in hand its use.

        In continuous mode nobody waits for this fit, so it is finished unless its own training
        set has lost a submission; what was corrected is for the next.
        """
        if self.run.mode != "continuous":
            return False
        return self.store.log(self.run.run_id).is_state(self.log.after)

    def _report(
        self, part: Part, done: int, total: int, train_loss: float | None, left: float
    ) -> None:
        progress = Progress(
            part=part,
            n_labelled=self.log.n_labelled,
            epoch=done,
            n_epochs=total,
            train_loss=train_loss,
            seconds_left=left,
        )
        self.store.set_progress(self.run.run_id, progress)


def settle(store: Store, run_id: str, message: str = "") -> None:
    """Nothing is being done any more (or it failed, with `message`)."""
    # A run deleted meanwhile has no progress row to write.
    if not store.control(run_id).deleted:
        store.set_progress(run_id, Progress.ended(message))


class _Inbox(threading.Thread):
    """Reads standard input beside the work, so that `hold` and the end of input are heard."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.jobs: queue.Queue[dict[str, Any]] = queue.Queue()
        self.may_go = threading.Event()
        self.may_go.set()

    def run(self) -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if message["do"] == "hold":
                self.may_go.clear()
            elif message["do"] == "go":
                self.may_go.set()
            else:
                self.jobs.put(message)
        os._exit(0)  # the server is gone; death releases the run's lock, the log has the rest

    def wait(self) -> None:
        self.may_go.wait()


def _say(event: str, run_id: str = "", message: str = "", **more: Any) -> None:
    print(json.dumps({"event": event, "run": run_id, "message": message, **more}), flush=True)


def weights(bench: Workbench, run_id: str, after: int, wait: Wait = lambda: None) -> Path:
    """Compute a step's weights again; the errors are those of `stepweights.recompute`."""
    dataset = bench.dataset(bench.store.run(run_id).spec.protocol.dataset)
    path = recompute(bench.store, dataset, run_id, after, device=bench.device, wait=wait)
    settle(bench.store, run_id)
    return path


def _work(bench: Workbench, job: dict[str, Any], wait: Wait) -> None:
    run_id = job["run"]
    try:
        if job["do"] == "weights":
            weights(bench, run_id, job["after"], wait)
            _say("done", run_id)
            return
        with closing(advance(bench, run_id, wait, job["steps"])) as steps:
            for _ in steps:
                if job["steps"] is None and not person_waits(bench.store.log(run_id)):
                    break
        log = bench.store.log(run_id)
        more, waits = next_task(log).has_work, person_waits(log)
        _say("done", run_id, more=more, n_labelled=log.n_labelled, waits=waits)
    except RunBusy as error:
        _say("busy", run_id, str(error))
    except (RunNotFound, NoSuchStep) as error:  # deleted or undone: no longer wanted
        _say("done", run_id, str(error))
    except Exception as error:  # a worker reports and lives on; the next job may be sound
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        # The run itself is as sound as before where only an earlier step's weights were wanted.
        settle(bench.store, run_id, "" if job["do"] == "weights" else message)
        _say("failed", run_id, message)


def warm_up() -> None:
    """Import what torch only imports with the first optimiser, before anybody waits for it.

    That is some 800 modules, and took 40% as long as importing this module.
    """
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])


def helping_thread() -> Executor:
    """A thread for a second core, its operations as single-threaded as everybody's."""
    return ThreadPoolExecutor(1, "helper", torch.set_num_threads, (1,))


def main(home: str, device: str = "cpu", threads: str = "1") -> None:
    """Serve jobs until the input ends."""
    keep_freed_memory()
    torch.set_num_threads(1)
    where = choose_device(device)
    helper = helping_thread() if threads == "2" and where.type == "cpu" else None
    bench = Workbench(Store(Path(home)), where, helper)
    inbox = _Inbox()
    inbox.start()
    warm_up()
    _say("ready")
    while True:
        try:
            job = inbox.jobs.get(timeout=bench.records.wait())
        except queue.Empty:
            bench.records.write_due()  # idle: what the last steps left behind
        else:
            _work(bench, job, inbox.wait)


if __name__ == "__main__":
    main(*sys.argv[1:])
