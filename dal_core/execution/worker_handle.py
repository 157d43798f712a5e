"""One worker process as its pool sees it: its start, its input, its events and its end."""

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
from typing import Protocol as Interface

from dal_core.execution.signs import HANG_SECONDS, Watch
from dal_core.training.memory import NO_PRIMITIVES

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
JOIN_SECONDS = 5.0  # time that a worker has to end by itself

OUTSIDE = "was ended from outside"

EVENTS = ("ready", "done", "busy", "failed")

JobKey = tuple[str, int | None]  # run id, and the step whose weights are wanted


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


class Pool(Interface):
    """What a worker needs of its pool, which calls it with a lock of its own held.

    `on_event` and `on_death` are called without that lock.
    """

    home: Path
    log: Path | None
    device: str

    def watch(self) -> None:
        """See to it that the workers' signs of life are looked at; a worker was started."""

    def on_event(self, worker: WorkerHandle, event: dict[str, Any]) -> None:
        """A worker printed an event, one of EVENTS with the fields that belong to it."""

    def on_death(self, worker: WorkerHandle, process: subprocess.Popen[str]) -> None:
        """A worker's process has ended, or hangs and was given up."""


class WorkerHandle:
    """One subprocess, started for its first job and again after it died.

    Its events are lines of JSON on standard output. Everything else it prints goes to standard
    error.
    """

    def __init__(self, pool: Pool, name: str, threads: int) -> None:
        self.pool, self.name, self.threads = pool, name, threads
        self.process: subprocess.Popen[str] | None = None
        self.job: QueuedJob | None = None
        self.end = OUTSIDE  # how its process ended
        self._watch: Watch | None = None
        self._held = False

    def start(self) -> None:
        """Start the process, if it does not run. Raises OSError if it cannot be started."""
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
        """Give the worker a job, of at most `max_steps` steps; raises OSError as `start` does."""
        self.start()
        self.job = job
        if job.after is None:
            self._send({"do": "work", "run": job.run_id, "steps": max_steps})
        else:
            self._send({"do": "weights", "run": job.run_id, "after": job.after})

    def look(self, seconds: float) -> None:
        """End a process that hangs; give it up if it does not even end then.

        Args:
            seconds: time since the last look.
        """
        process, watch = self.process, self._watch
        if process is None or watch is None:
            return
        silent = watch.look(seconds)
        if silent >= HANG_SECONDS:
            self.end = f"hung (no sign of life for {HANG_SECONDS:g} s)"
            process.kill()
        if silent >= HANG_SECONDS + JOIN_SECONDS:
            self.pool.on_death(self, process)

    def hold(self, hold: bool) -> None:
        """Let the worker pause between epochs, or go on."""
        if self.process is None or hold == self._held:
            return
        self._held = hold
        self._send({"do": "hold" if hold else "go"})

    def stop(self) -> None:
        """Close the worker's input, at which it ends."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def join(self) -> None:
        """Wait until the process has ended; after JOIN_SECONDS it is killed."""
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
            self.pool.on_death(self, process)

    def _hear(self, line: str) -> None:
        try:
            event = json.loads(line)
            if not isinstance(event, dict) or event.get("event") not in EVENTS:
                raise ValueError("not an event")
        except (ValueError, RecursionError):
            print(f"a worker printed {line[:200]!r}", file=sys.stderr)
            return
        try:
            self.pool.on_event(self, event)
        except Exception:  # a reader that ends would keep its worker's place in the pool for good
            traceback.print_exc()
