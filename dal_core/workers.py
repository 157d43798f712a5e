"""Worker processes and the queue in front of them, for a server or `dal reproduce`.

One interactive worker stays warm for people; the others do baselines and oracle runs, and hold
between two epochs while a person waits. Nothing per user lives here: a job is a run's id, and
what is to be done with it stands in the store. Jobs are idempotent, so asking twice is harmless.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

PACKAGE_ROOT = Path(__file__).resolve().parent.parent


class Workers:
    """A small pool: one interactive worker and `n_background` others, started when first needed.

    Args:
        home: where the store is.
        n_background: workers for baselines and oracle runs.
    """

    def __init__(self, home: Path, n_background: int = 1) -> None:
        self.home = home
        self._lock = threading.Lock()
        self._interactive = _Worker(self, "interactive")
        self._background = [_Worker(self, f"background-{i}") for i in range(n_background)]
        self._waiting: dict[bool, deque[str]] = {True: deque(), False: deque()}
        self._closed = False

    def ask(self, run_id: str, *, person_waits: bool) -> None:
        """Have a worker bring the run up to its directives; returns at once."""
        with self._lock:
            if self._closed:
                return
            other = self._waiting[not person_waits]
            if person_waits and run_id in other:
                other.remove(run_id)
            queue = self._waiting[person_waits]
            if run_id not in queue:
                queue.append(run_id)
            self._dispatch()

    def is_active(self, run_id: str) -> bool:
        """Whether the run is waiting for a worker or being worked on."""
        with self._lock:
            queued = any(run_id in queue for queue in self._waiting.values())
            return queued or any(worker.run_id == run_id for worker in self._all())

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

    # -- called with the lock held, or by a worker's reader ------------------------------------

    def _all(self) -> list[_Worker]:
        return [self._interactive, *self._background]

    def _dispatch(self) -> None:
        self._hand_out(self._waiting[True], [self._interactive])
        self._hand_out(self._waiting[False], self._background)
        hold = self._interactive.run_id is not None
        for worker in self._background:
            worker.hold(hold)

    def _hand_out(self, queue: deque[str], workers: list[_Worker]) -> None:
        for worker in workers:
            if worker.run_id is not None:
                continue
            taken = {other.run_id for other in self._all()}
            run_id = next((r for r in queue if r not in taken), None)
            if run_id is None:
                return
            queue.remove(run_id)
            worker.work(run_id)

    def _on_event(self, worker: _Worker, event: dict[str, str]) -> None:
        with self._lock:
            if event["event"] != "ready":
                worker.run_id = None
            if not self._closed:
                self._dispatch()

    def _on_death(self, worker: _Worker) -> None:
        """A killed worker costs the fit, not the run: the run goes back to the head of its queue.

        A run that kills its worker twice in a row is left alone; asking again tries it anew.
        """
        with self._lock:
            run_id, worker.run_id, worker.process = worker.run_id, None, None
            if self._closed or run_id is None:
                return
            again = worker.died_on != run_id
            worker.died_on = run_id
            if again:
                self._waiting[worker is self._interactive].appendleft(run_id)
            self._dispatch()


class _Worker:
    """One subprocess: started on the first job, restarted after a death."""

    def __init__(self, pool: Workers, name: str) -> None:
        self.pool, self.name = pool, name
        self.process: subprocess.Popen[str] | None = None
        self.run_id: str | None = None
        self.died_on: str | None = None
        self._held = False

    def start(self) -> None:
        if self.process is not None:
            return
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        path = [str(PACKAGE_ROOT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dal_core.worker", str(self.pool.home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the server, which then ends us by our input
        )
        self._held = False
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def work(self, run_id: str) -> None:
        self.run_id = run_id
        self.start()
        self._send({"do": "work", "run": run_id})

    def hold(self, hold: bool) -> None:
        if self.process is None or hold == self._held:
            return
        self._held = hold
        self._send({"do": "hold" if hold else "go"})

    def stop(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def _send(self, message: dict[str, str]) -> None:
        assert self.process is not None and self.process.stdin is not None
        with contextlib.suppress(OSError):  # it died: its reader thread sees that and acts
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "done":
                self.died_on = None
            self.pool._on_event(self, event)
        process.wait()
        self.pool._on_death(self)
