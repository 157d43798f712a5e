"""Worker processes and their queue, for the app's server and `dal reproduce`.

One interactive worker serves people and keeps a run for as long as a person waits for it. The
background workers do baselines, oracle runs and fits that nobody waits for. They take one step at a
time, the run with the fewest labels first. While a person waits they pause between epochs, so that
the interactive worker can use the second core. A job names a run, and the store holds what to do
with it, so queueing a run twice is harmless.

A worker can die or hang at any moment, and the disk can be full. An event therefore changes the
state of the pool first. Anything that may fail comes afterwards, without the pool's lock. A worker
that gives no sign of life for HANG_SECONDS is ended and replaced.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dal_core.execution.signs import HANG_SECONDS, Watch
from dal_core.run.rows import Progress, RunNotFound
from dal_core.store.opening import open_store
from dal_core.training.memory import NO_PRIMITIVES

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
MAX_DEATHS = 3  # worker deaths in a row on one run before the run counts as failed
WEIGHTS_RANK = -1  # goes before all runs (ranks from 0), because a person is waiting to see it
JOIN_SECONDS = 5.0  # time that a worker has to end by itself
LOOK_SECONDS = 5.0  # between two looks at the workers' signs of life

OUTSIDE = "was ended from outside"

EVENTS = ("ready", "done", "busy", "failed")

JobKey = tuple[str, int | None]  # run id, and the step whose weights are wanted


def n_cores() -> int:
    """Number of cores that this process may use; can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, order=True)
class QueuedJob:
    """A run that waits for a worker; the smallest job is taken first.

    With `after`, the job is to compute the weights of that step instead of the next step.
    """

    rank: int
    n_labelled: int
    number: int
    run_id: str
    after: int | None = None

    @property
    def key(self) -> JobKey:
        """Identifies the work; jobs with equal keys are merged."""
        return self.run_id, self.after


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
        self._interactive = _Worker(self, "interactive", 2 if n_cores() > 1 else 1)
        self._background = [_Worker(self, f"background-{i}", 1) for i in range(n_background)]
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

    def _all(self) -> list[_Worker]:
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
        self, queue: dict[JobKey, QueuedJob], workers: list[_Worker], max_steps: int | None
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

    def _requeue(self, worker: _Worker, job: QueuedJob, reason: str) -> None:
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

    def _on_event(self, worker: _Worker, event: dict[str, Any]) -> None:
        with self._lock:
            if event["event"] != "ready":
                job, worker.job = worker.job, None
                if job is not None:
                    self._finish(worker, job, event)
            if not self._closed:
                self._dispatch()
        self._record_failures()

    def _finish(self, worker: _Worker, job: QueuedJob, event: dict[str, Any]) -> None:
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

    def _on_death(self, worker: _Worker, process: subprocess.Popen[str]) -> None:
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
                    worker.look()
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


class _Worker:
    """One subprocess, started for its first job and again after it died.

    Its events are lines of JSON on standard output. Everything else it prints goes to standard
    error.
    """

    def __init__(self, pool: Workers, name: str, threads: int) -> None:
        self.pool, self.name, self.threads = pool, name, threads
        self.process: subprocess.Popen[str] | None = None
        self.job: QueuedJob | None = None
        self.end = OUTSIDE  # how its process ended
        self._watch: Watch | None = None
        self._held = False

    def start(self) -> None:
        if self.process is not None:
            return
        settings = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **NO_PRIMITIVES}
        environment = {**os.environ, **settings}
        path = [str(PACKAGE_ROOT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
        watch, self.end = Watch(), OUTSIDE
        pipe = watch.writing
        arguments = [str(self.pool.home), self.pool.device, str(self.threads), str(pipe)]
        with watch.handing_over(), self._open_log() as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dal_core.execution.worker_process", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                errors="replace",
                env=environment,
                pass_fds=(pipe,),
                start_new_session=True,  # Ctrl-C goes to the server, which closes our input
            )
        self._held, self._watch = False, watch
        self.pool.watch()
        threading.Thread(target=self._read, args=(self.process, watch), daemon=True).start()

    def work(self, job: QueuedJob, max_steps: int | None) -> None:
        self.start()
        self.job = job
        if job.after is None:
            self._send({"do": "work", "run": job.run_id, "steps": max_steps})
        else:
            self._send({"do": "weights", "run": job.run_id, "after": job.after})

    def look(self) -> None:
        """End a process that hangs; give it up if it does not even end then."""
        process, watch = self.process, self._watch
        if process is None or watch is None:
            return
        silent = watch.look(LOOK_SECONDS)
        if silent >= HANG_SECONDS:
            self.end = f"hung (no sign of life for {HANG_SECONDS:g} s)"
            process.kill()
        if silent >= HANG_SECONDS + JOIN_SECONDS:
            self.pool._on_death(self, process)

    def hold(self, hold: bool) -> None:
        if self.process is None or hold == self._held:
            return
        self._held = hold
        self._send({"do": "hold" if hold else "go"})

    def stop(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def join(self) -> None:
        process = self.process
        if process is not None:
            try:
                process.wait(JOIN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def _open_log(self) -> contextlib.AbstractContextManager[IO[str] | None]:
        if self.pool.log is None:
            return contextlib.nullcontext()
        self.pool.log.parent.mkdir(parents=True, exist_ok=True)
        return self.pool.log.open("a")

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process is not None and self.process.stdin is not None
        with contextlib.suppress(OSError):  # it died, which `_read` notices
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def _read(self, process: subprocess.Popen[str], watch: Watch | None = None) -> None:
        """Handle events until the process ends; no output and no error stops the loop early."""
        assert process.stdout is not None
        try:
            for line in process.stdout:
                self._hear(line)
            process.wait(JOIN_SECONDS)
        except Exception:  # its output cannot be read, or it closed it without ending
            traceback.print_exc()
        finally:
            process.kill()  # does nothing to a process that has ended
            process.wait()
            if watch is not None:
                watch.close()
            self.pool._on_death(self, process)

    def _hear(self, line: str) -> None:
        try:
            event = json.loads(line)
            if not isinstance(event, dict) or event.get("event") not in EVENTS:
                raise ValueError("not an event")
        except (ValueError, RecursionError):
            print(f"a worker printed {line[:200]!r}", file=sys.stderr)
            return
        try:
            self.pool._on_event(self, event)
        except Exception:  # a reader that ends would keep its worker's place in the pool for good
            traceback.print_exc()
