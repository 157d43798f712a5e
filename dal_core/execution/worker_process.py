"""The worker process: `python -m dal_core.execution.worker_process HOME DEVICE [THREADS]`.

It reads one JSON line per job from standard input and writes one JSON line per event to standard
output; what else is printed goes to standard error. It ends when its input ends, so no worker
outlives its server. Results go to the store;
the lines only say that there is something to read. With THREADS 2 a second thread uses the
second core; results are the same to the last bit.

Lines in:  {"do": "work", "run": ID, "steps": N | null}   advance the run by N steps; without N
               as far as its directives ask, while a person waits for it
           {"do": "weights", "run": ID, "after": SUBMISSION}   compute a step's weights again
           {"do": "hold"} / {"do": "go"}   pause between two epochs while a person waits; go on
Lines out: {"event": "ready" | "done" | "busy" | "failed", "run": ID, "message": TEXT,
            "more": whether the run has work left, "n_labelled": labels it has now,
            "waits": whether a person waits for that work}
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

import torch

from dal_core.execution.job import Wait, Workbench, advance, recompute_weights, settle
from dal_core.execution.recompute import NoSuchStep
from dal_core.learner import bayesian_cnn  # noqa: F401  imported before anyone waits for it
from dal_core.run.next_task import next_task, person_waits
from dal_core.run.rows import RunNotFound
from dal_core.store.opening import open_store
from dal_core.store.run_lock import RunBusy
from dal_core.training.device import choose_device
from dal_core.training.malloc import keep_freed_memory


class _Inbox(threading.Thread):
    """Reads standard input beside the work, to notice `hold` and the end of input at once."""

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
        os._exit(0)  # the server is gone; this releases the run's lock, the log has the rest

    def wait(self) -> None:
        self.may_go.wait()


def main(home: str, device: str = "cpu", threads: str = "1") -> None:
    """Serve jobs until the input ends."""
    global _events
    _events = _take_stdout()
    keep_freed_memory()
    torch.set_num_threads(1)
    where = choose_device(device)
    helper = helping_thread() if threads == "2" and where.type == "cpu" else None
    bench = Workbench(open_store(Path(home)), where, helper)
    inbox = _Inbox()
    inbox.start()
    warm_up()
    _send("ready")
    while True:
        try:
            job = inbox.jobs.get(timeout=bench.records.wait())
        except queue.Empty:
            bench.records.write_due()  # idle: what the last steps left behind
        else:
            do(bench, job, inbox.wait)


def do(bench: Workbench, job: dict[str, Any], wait: Wait) -> None:
    """Do one job and report how it ended."""
    run_id = job["run"]
    try:
        if job["do"] == "weights":
            recompute_weights(bench, run_id, job["after"], wait)
            _send("done", run_id)
            return
        with closing(advance(bench, run_id, wait, job["steps"])) as steps:
            for _ in steps:
                if job["steps"] is None and not person_waits(bench.store.log(run_id)):
                    break
        state = bench.store.log(run_id)
        more, waits = next_task(state).has_work, person_waits(state)
        _send("done", run_id, more=more, n_labelled=state.n_labelled, waits=waits)
    except RunBusy as error:
        _send("busy", run_id, str(error))
    except (RunNotFound, NoSuchStep) as error:  # deleted or undone: no longer wanted
        _send("done", run_id, str(error))
    except Exception as error:  # the worker stays: the next job may succeed
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        # A step's weights that cannot be computed again are no failure of the run.
        settle(bench.store, run_id, "" if job["do"] == "weights" else message)
        _send("failed", run_id, message)


_events: TextIO | None = None  # None: standard output, as where a test calls `do`


def _take_stdout() -> TextIO:
    """Standard output for events alone: prints of libraries and of C code go to standard error."""
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return events


def _send(event: str, run_id: str = "", message: str = "", **more: Any) -> None:
    line = json.dumps({"event": event, "run": run_id, "message": message, **more})
    print(line, file=_events or sys.stdout, flush=True)


def warm_up() -> None:
    """Make torch import its 800 modules for optimisers before anyone waits for them."""
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])


def helping_thread() -> Executor:
    """A thread for a second core; its tensor operations use one thread, as everywhere."""
    return ThreadPoolExecutor(1, "helper", torch.set_num_threads, (1,))


if __name__ == "__main__":
    main(*sys.argv[1:])
