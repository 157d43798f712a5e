"""Worker processes and the queue in front of them, for a server or `dal reproduce`.

One interactive worker stays warm for people and keeps a run for as long as its person waits; the
others do baselines, oracle runs and fits that nobody waits for, a step at a time, the least
advanced run first, and hold between two epochs while a person waits: the interactive worker then
uses the second core too. Nothing per user lives here: a job is a run's id, and what is to be done
with it stands in the store. Jobs are idempotent, so asking twice is harmless.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dal_core.run.rows import Progress, RunNotFound
from dal_core.store.opening import open_store

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
MAX_DEATHS = 3  # in a row, of workers on the same run, before it is left alone as failed
WEIGHTS_RANK = -1  # somebody looks at that step now; runs have ranks from 0
JOIN_SECONDS = 5.0  # for a worker to end by itself; it ends between two instructions


JobKey = tuple[str, int | None]


@dataclass(frozen=True, order=True)
class Job:
    """A run that waits for a worker; the smallest is taken first.

    With `after` it is that step's weights that are wanted, not the run's next step.
    """

    rank: int
    n_labelled: int
    number: int
    run_id: str
    after: int | None = None

    @property
    def key(self) -> JobKey:
        """Jobs of the same key are one."""
        return self.run_id, self.after


class Workers:
    """A small pool, each worker started when it is first needed.

    Args:
        home: where the store is.
        n_background: workers for baselines and oracle runs.
        log: file that the workers' complaints are appended to; by default they are printed.
        device: where they compute, a name of `device.DEVICES`.
    """

    def __init__(
        self, home: Path, n_background: int = 1, log: Path | None = None, device: str = "cpu"
    ) -> None:
        self.home, self.log, self.device = home, log, device
        self._lock = threading.Lock()
        self._interactive = _Worker(self, "interactive", 2 if (os.cpu_count() or 1) > 1 else 1)
        self._background = [_Worker(self, f"background-{i}", 1) for i in range(n_background)]
        self._waiting: dict[bool, dict[JobKey, Job]] = {True: {}, False: {}}  # by: a person waits
        self._deaths: dict[str, int] = {}  # by run, since it was last worked on to an end
        self._problems: dict[JobKey, str] = {}  # why weights asked for were not computed
        self._n_asked = 0
        self._closed = False

    def ask(self, run_id: str, *, person_waits: bool, rank: int = 0, n_labelled: int = 0) -> None:
        """Have a worker bring the run up to its directives; returns at once.

        Args:
            rank: of background jobs those of the lowest rank go first, and
            n_labelled: of one rank those with the fewest labels.
        """
        with self._lock:
            if self._closed:
                return
            if person_waits:
                self._waiting[False].pop((run_id, None), None)
            self._queue(person_waits, rank, n_labelled, run_id)
            self._dispatch()

    def ask_weights(self, run_id: str, after: int) -> None:
        """Have the weights of a step computed again (`stepweights`); returns at once.

        Background work, before all other: no step of a run waits longer than for one of these.
        """
        with self._lock:
            if not self._closed:
                self._problems.pop((run_id, after), None)
                self._queue(False, WEIGHTS_RANK, 0, run_id, after)
                self._dispatch()

    def is_active(self, run_id: str) -> bool:
        """Whether the run is waiting for a worker or being worked on."""
        with self._lock:
            queued = any(job.run_id == run_id for job in self._queued())
            return queued or run_id in self._taken()

    def weights_active(self, run_id: str, after: int) -> bool:
        """Whether the weights of the step are waiting for a worker or being computed."""
        with self._lock:
            working = [worker.job for worker in self._all() if worker.job is not None]
            return any(job.key == (run_id, after) for job in [*self._queued(), *working])

    def weights_problem(self, run_id: str, after: int) -> str | None:
        """Why the weights asked for last were not computed, in one line; None: no reason known.

        The work failed, or was refused: another process works on the run, or the step is gone.
        """
        with self._lock:
            return self._problems.get((run_id, after))

    def person_goes_first(self) -> bool:
        """Whether the background workers hold, because a person waits for the interactive one."""
        with self._lock:
            return self._interactive.job is not None

    def warm_up(self) -> None:
        """Start the interactive worker before anyone waits for its imports."""
        with self._lock:
            self._interactive.start()

    def close(self) -> None:
        """End the workers by ending their input; what they had not stored is done again later."""
        with self._lock:
            self._closed = True
            for worker in self._all():
                worker.stop()
        for worker in self._all():
            worker.join()

    # -- called with the lock held, or by a worker's reader ------------------------------------

    def _all(self) -> list[_Worker]:
        return [self._interactive, *self._background]

    def _taken(self) -> set[str]:
        return {worker.job.run_id for worker in self._all() if worker.job is not None}

    def _queued(self) -> list[Job]:
        return [job for queue in self._waiting.values() for job in queue.values()]

    def _queue(
        self, person_waits: bool, rank: int, n_labelled: int, run_id: str, after: int | None = None
    ) -> None:
        self._n_asked += 1
        job = Job(rank, n_labelled, self._n_asked, run_id, after)
        self._waiting[person_waits].setdefault(job.key, job)

    def _dispatch(self) -> None:
        self._hand_out(self._waiting[True], [self._interactive], max_steps=None)
        self._hand_out(self._waiting[False], self._background, max_steps=1)
        for worker in self._background:
            worker.hold(self._interactive.job is not None)

    def _hand_out(
        self, queue: dict[JobKey, Job], workers: list[_Worker], max_steps: int | None
    ) -> None:
        for worker in workers:
            if worker.job is not None:
                continue
            free = [job for job in queue.values() if job.run_id not in self._taken()]
            if not free:
                return
            worker.work(queue.pop(min(free).key), max_steps)

    def _on_event(self, worker: _Worker, event: dict[str, Any]) -> None:
        with self._lock:
            job = worker.job
            if event["event"] != "ready":
                worker.job = None
                self._deaths.pop(event["run"], None)
            if job is not None and job.after is not None and event["message"]:
                self._problems[job.key] = event["message"]
            if event.get("more") and job is not None:
                person_waits = worker is self._interactive and event["waits"]
                self._queue(person_waits, job.rank, event["n_labelled"], job.run_id)
            if not self._closed:
                self._dispatch()

    def _on_death(self, worker: _Worker) -> None:
        """A killed worker costs the fit, not the run, which is queued again.

        A run whose workers die again and again is marked as failed and left alone.
        """
        with self._lock:
            job, worker.process = worker.job, None
            if job is not None and not self._closed:
                self._deaths[job.run_id] = self._deaths.get(job.run_id, 0) + 1
                if self._deaths[job.run_id] < MAX_DEATHS:
                    self._waiting[worker is self._interactive][job.key] = job
                else:
                    del self._deaths[job.run_id]
                    message = f"its worker process was ended from outside {MAX_DEATHS} times"
                    if job.after is not None:  # of an earlier step: no matter to the run
                        self._problems[job.key] = message
                        message = ""
                    self._settle(job.run_id, message)
            worker.job = None
            if not self._closed:
                self._dispatch()

    def _settle(self, run_id: str, message: str) -> None:
        """Nothing is being done for the run any more, or it failed with `message`."""
        store = open_store(self.home, create=False)
        with contextlib.suppress(RunNotFound):
            if message:
                store.add_failure(run_id, message)
            store.set_progress(run_id, Progress("idle"))
        store.close()


class _Worker:
    """One subprocess: started on the first job, restarted after a death."""

    def __init__(self, pool: Workers, name: str, threads: int) -> None:
        self.pool, self.name, self.threads = pool, name, threads
        self.process: subprocess.Popen[str] | None = None
        self.job: Job | None = None
        self._held = False

    def start(self) -> None:
        if self.process is not None:
            return
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        path = [str(PACKAGE_ROOT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
        arguments = [str(self.pool.home), self.pool.device, str(self.threads)]
        with self._complaints() as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dal_core.execution.job", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the server, which ends us by our input
            )
        self._held = False
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def work(self, job: Job, max_steps: int | None) -> None:
        self.job = job
        self.start()
        if job.after is None:
            self._send({"do": "work", "run": job.run_id, "steps": max_steps})
        else:
            self._send({"do": "weights", "run": job.run_id, "after": job.after})

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

    def _complaints(self) -> contextlib.AbstractContextManager[IO[str] | None]:
        if self.pool.log is None:
            return contextlib.nullcontext()
        self.pool.log.parent.mkdir(parents=True, exist_ok=True)
        return self.pool.log.open("a")

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process is not None and self.process.stdin is not None
        with contextlib.suppress(OSError):  # it died: its reader thread sees that and acts
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            self.pool._on_event(self, event)
        process.wait()
        self.pool._on_death(self)
