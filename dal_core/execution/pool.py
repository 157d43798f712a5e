"""Worker processes and their queue, for the app's server and `dal reproduce`.

One interactive worker serves people and keeps a run for as long as a person waits for it. The
background workers do baselines, oracle runs and fits that nobody waits for. They take one step at a
time, the run with the fewest labels first. While a person waits they pause between epochs, so that
the interactive worker can use the second core. A job names a run, and the store holds what to do
with it, so queueing a run twice is harmless.

A worker can die or hang at any moment, and the disk can be full. An event therefore changes the
state of the pool first. Anything that may fail comes afterwards, without the pool's lock. A worker
that gives no sign of life for `signs.HANG_SECONDS` is ended and replaced.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import traceback
from pathlib import Path
from typing import Any

from dal_core.execution.worker_handle import JobKey, QueuedJob, WorkerHandle
from dal_core.run.rows import Progress, RunNotFound
from dal_core.store.opening import open_store

MAX_DEATHS = 3  # worker deaths in a row on one run before the run counts as failed
WEIGHTS_RANK = -1  # goes before all runs (ranks from 0), because a person is waiting to see it
LOOK_SECONDS = 5.0  # between two looks at the workers' signs of life


def n_cores() -> int:
    """Number of cores that this process may use; can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """A pool of workers, each started when it is first needed.

    Args:
        home: folder of the store.
        n_background: number of workers for baselines and oracle runs.
        log: file to append the workers' standard error to; None: standard error of this process.
        device: where the workers compute, a name of `device.DEVICES`.
    """

    def __init__(
        self, home: Path, n_background: int = 1, log: Path | None = None, device: str = "cpu"
    ) -> None:
        self.home, self.log, self.device = home, log, device
        self._lock = threading.Lock()
        self._interactive = WorkerHandle(self, "interactive", 2 if n_cores() > 1 else 1)
        self._background = [WorkerHandle(self, f"background-{i}", 1) for i in range(n_background)]
        # Whether a person waits -> the queue:
        self._waiting: dict[bool, dict[JobKey, QueuedJob]] = {True: {}, False: {}}
        self._deaths: dict[str, int] = {}  # run id -> deaths since a job on it was last finished
        self._problems: dict[JobKey, str] = {}  # why requested weights were not computed
        self._failed: dict[str, str] = {}  # run id -> reason, until it is stored
        self._recording = threading.Lock()
        self._n_asked = 0
        self._closed = False
        self._ending = threading.Event()
        self._watchman: threading.Thread | None = None

    def ask(self, run_id: str, *, person_waits: bool, rank: int = 0, n_labelled: int = 0) -> None:
        """Queue a run for a worker, which follows the run's directives; returns at once.

        Args:
            person_waits: whether a person waits for the run; the interactive worker takes it.
            rank: background jobs with a lower rank go first.
            n_labelled: among equal ranks, runs with fewer labels go first.
        """
        with self._lock:
            if not self._closed and run_id not in self._failed:
                if person_waits:
                    self._waiting[False].pop((run_id, None), None)
                self._queue(person_waits, rank, n_labelled, run_id)
                self._dispatch()
        self._record_failures()

    def ask_weights(self, run_id: str, after: int) -> None:
        """Queue the recomputation of a step's weights (`recompute`); returns at once.

        It goes before all other background work.

        Args:
            after: last submission in the training set of the step.
        """
        with self._lock:
            if not self._closed:
                self._problems.pop((run_id, after), None)
                self._queue(False, WEIGHTS_RANK, 0, run_id, after)
                self._dispatch()
        self._record_failures()

    def is_active(self, run_id: str) -> bool:
        """Whether the run is queued or being worked on."""
        with self._lock:
            queued = any(job.run_id == run_id for job in self._queued())
            return queued or run_id in self._taken()

    def weights_active(self, run_id: str, after: int) -> bool:
        """Whether the weights of the step are queued or being computed."""
        with self._lock:
            working = [worker.job for worker in self._all() if worker.job is not None]
            return any(job.key == (run_id, after) for job in [*self._queued(), *working])

    def weights_problem(self, run_id: str, after: int) -> str | None:
        """One line on why the last request for the weights failed; None if it did not.

        The reason is an error, another process that works on the run, or a step that is gone.
        """
        with self._lock:
            return self._problems.get((run_id, after))

    def unstored_failure(self, run_id: str) -> str | None:
        """Why work on the run failed, while that cannot be stored; such a run is not worked on."""
        return self._failed.get(run_id)

    def person_goes_first(self) -> bool:
        """Whether background workers pause because a person waits for the interactive worker."""
        with self._lock:
            return self._interactive.job is not None

    def warm_up(self) -> None:
        """Start the interactive worker early, so that nobody waits for its imports.

        Raises:
            OSError: the process cannot be started.
        """
        with self._lock:
            self._interactive.start()

    def close(self) -> None:
        """Stop the workers by closing their input; unstored work is done again later."""
        self._ending.set()
        with self._lock:
            self._closed = True
            for worker in self._all():
                worker.stop()
        for worker in self._all():
            worker.join()

    # -- called with the lock held -------------------------------------------------------------

    def _all(self) -> list[WorkerHandle]:
        return [self._interactive, *self._background]

    def _taken(self) -> set[str]:
        return {worker.job.run_id for worker in self._all() if worker.job is not None}

    def _queued(self) -> list[QueuedJob]:
        return [job for queue in self._waiting.values() for job in queue.values()]

    def _queue(
        self, person_waits: bool, rank: int, n_labelled: int, run_id: str, after: int | None = None
    ) -> None:
        self._n_asked += 1
        job = QueuedJob(rank, n_labelled, self._n_asked, run_id, after)
        self._waiting[person_waits].setdefault(job.key, job)

    def _dispatch(self) -> None:
        self._hand_out(self._waiting[True], [self._interactive], max_steps=None)
        self._hand_out(self._waiting[False], self._background, max_steps=1)
        for worker in self._background:
            worker.hold(self._interactive.job is not None)

    def _hand_out(
        self, queue: dict[JobKey, QueuedJob], workers: list[WorkerHandle], max_steps: int | None
    ) -> None:
        for worker in workers:
            while worker.job is None:
                free = [job for job in queue.values() if job.run_id not in self._taken()]
                if not free:
                    return
                job = queue.pop(min(free).key)
                try:
                    worker.work(job, max_steps)
                except OSError as error:  # the process cannot be started or its log opened
                    worker.job = None
                    self._requeue(worker, job, f"its worker process does not start: {error}")

    def _requeue(self, worker: WorkerHandle, job: QueuedJob, reason: str) -> None:
        """Queue a job again after its worker died; after MAX_DEATHS it counts as failed."""
        self._deaths[job.run_id] = self._deaths.get(job.run_id, 0) + 1
        if self._deaths[job.run_id] < MAX_DEATHS:
            self._waiting[worker is self._interactive][job.key] = job
            return
        del self._deaths[job.run_id]
        if job.after is None:
            self._failed[job.run_id] = reason
        else:  # not a failure of the run itself
            self._problems[job.key] = reason

    # -- called by a worker's reader, without the lock -----------------------------------------

    def on_event(self, worker: WorkerHandle, event: dict[str, Any]) -> None:
        """Note what became of a worker's job, and hand out the next ones."""
        with self._lock:
            if event["event"] != "ready":
                job, worker.job = worker.job, None
                if job is not None:
                    self._finish(worker, job, event)
            if not self._closed:
                self._dispatch()
        self._record_failures()

    def _finish(self, worker: WorkerHandle, job: QueuedJob, event: dict[str, Any]) -> None:
        self._deaths.pop(job.run_id, None)
        message = event.get("message", "")
        if job.after is not None and message:
            self._problems[job.key] = message
        elif event["event"] == "failed" and not event.get("recorded", True):
            self._failed[job.run_id] = message
        if event.get("more"):
            person_waits = worker is self._interactive and bool(event.get("waits"))
            n_labelled = event.get("n_labelled", job.n_labelled)
            self._queue(person_waits, job.rank, n_labelled, job.run_id)

    def on_death(self, worker: WorkerHandle, process: subprocess.Popen[str]) -> None:
        """Queue the run of a dead worker again, unless its workers have died MAX_DEATHS times.

        Only the fit in progress is lost.
        """
        with self._lock:
            if worker.process is not process:  # given up before
                return
            job, worker.job, worker.process = worker.job, None, None
            if not self._closed:
                if job is not None:
                    reason = f"its worker process {worker.end} {MAX_DEATHS} times"
                    self._requeue(worker, job, reason)
                self._dispatch()
        self._record_failures()

    # -- the watchman, without the lock --------------------------------------------------------

    def watch(self) -> None:
        """Start to look at the workers' signs of life; called when a worker is started."""
        if self._watchman is None:
            self._watchman = threading.Thread(target=self._keep_looking, daemon=True)
            self._watchman.start()

    def _keep_looking(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            for worker in self._all():
                try:
                    worker.look(LOOK_SECONDS)
                except Exception:  # the others are looked at all the same
                    traceback.print_exc()
            self._record_failures()  # there may be space on the disk again

    def _record_failures(self) -> None:
        """Store the failures of runs. Those that cannot be stored now are stored later.

        Until then the pool does not accept the run.
        """
        if not self._failed or not self._recording.acquire(blocking=False):
            return
        try:
            for run_id, reason in list(self._failed.items()):
                with contextlib.suppress(RunNotFound):
                    self._record_failure(run_id, reason)
                with self._lock:
                    self._failed.pop(run_id)
        except Exception:  # a full disk, most likely
            traceback.print_exc()
        finally:
            self._recording.release()

    def _record_failure(self, run_id: str, reason: str) -> None:
        store = open_store(self.home, create=False)
        try:
            store.add_failure(run_id, reason)
            store.set_progress(run_id, Progress("idle"))
        finally:
            store.close()
