"""The worker process: `python -m dal_core.execution.worker_process HOME DEVICE [THREADS [PIPE]]`.

It reads one JSON line per job from standard input and writes one JSON line per event to standard
output. Everything else it prints goes to standard error. Results go to the store; an event only
announces them. The process ends when its input ends, so no worker outlives its server. With
THREADS 2 a second thread uses the second core; results are the same to the last bit. Signs of life
go to the file descriptor PIPE (`signs`).

Lines in:  {"do": "work", "run": ID, "steps": N | null}   advance the run by N steps; without N,
               as far as its directives go and while a person waits for it
           {"do": "weights", "run": ID, "after": SUBMISSION}   compute a step's weights again
           {"do": "hold"} / {"do": "go"}   pause between two epochs while a person waits; continue
Lines out: {"event": "ready" | "done" | "busy" | "failed", "run": ID, "message": TEXT,
            "more": whether the run has work left, "n_labelled": labels it has now,
            "waits": whether a person waits for that work,
            "recorded": whether the failure is stored}
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
from dal_core.execution.signs import WAIT_SECONDS, Signs
from dal_core.learner import bayesian_cnn  # noqa: F401  imported early, since it takes long
from dal_core.run.next_task import next_task, person_waits
from dal_core.run.rows import RunNotFound
from dal_core.store.base import Store
from dal_core.store.opening import open_store
from dal_core.store.run_lock import RunBusy
from dal_core.training.device import choose_device
from dal_core.training.memory import bound_memory


class _Inbox(threading.Thread):
    """Reads standard input in a thread, to react to `hold` and the end of input at once."""

    def __init__(self, alive: Signs) -> None:
        super().__init__(daemon=True)
        self.alive = alive
        self.jobs: queue.Queue[dict[str, Any]] = queue.Queue()
        self.may_continue = threading.Event()
        self.may_continue.set()

    def run(self) -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if message["do"] == "hold":
                self.may_continue.clear()
            elif message["do"] == "go":
                self.may_continue.set()
            else:
                self.jobs.put(message)
        os._exit(0)  # the server is gone; exiting releases the run's lock

    def wait(self) -> None:
        self.alive()
        while not self.may_continue.wait(WAIT_SECONDS):
            self.alive()


def main(home: str, device: str = "cpu", threads: str = "1", pipe: str = "") -> None:
    """Serve jobs until the input ends."""
    global _events
    _events = _take_stdout()
    os.environ["DAL_HOME"] = home  # where a person's own data sets are found
    bound_memory()
    torch.set_num_threads(1)
    where = choose_device(device)
    helper = helping_thread() if threads == "2" and where.type == "cpu" else None
    alive = Signs(int(pipe) if pipe else None)
    bench = Workbench(open_store(Path(home)), where, helper, alive)
    inbox = _Inbox(alive)
    inbox.start()
    warm_up()
    _send("ready")
    is_quiet = True
    while True:
        alive()
        due = bench.records.wait()
        try:
            job = inbox.jobs.get(timeout=WAIT_SECONDS if due is None else min(due, WAIT_SECONDS))
        except queue.Empty:
            bench.records.write_due()  # idle: write the records that the last steps made outdated
            if due is None and not is_quiet:  # nothing was done for a while
                bench.store.checkpoint()
                is_quiet = True
        else:
            do(bench, job, inbox.wait)
            is_quiet = False


def do(bench: Workbench, job: dict[str, Any], wait: Wait) -> None:
    """Do one job and send an event on how it ended."""
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
    except Exception as error:  # the worker continues: the next job may succeed
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        # If weights cannot be recomputed, the run itself has not failed.
        recorded = _settle_if_possible(
            bench.store, run_id, "" if job["do"] == "weights" else message
        )
        _send("failed", run_id, message, recorded=recorded)


def _settle_if_possible(store: Store, run_id: str, message: str) -> bool:
    try:
        settle(store, run_id, message)
    except Exception:  # a full disk, most likely; the pool records it when it can
        traceback.print_exc()
        return False
    return True


_events: TextIO | None = None  # None: standard output, when a test calls `do`


def _take_stdout() -> TextIO:
    """Reserve standard output for events; prints of libraries and C code go to standard error."""
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return events


def _send(event: str, run_id: str = "", message: str = "", **more: Any) -> None:
    line = json.dumps({"event": event, "run": run_id, "message": message, **more})
    print(line, file=_events or sys.stdout, flush=True)


def warm_up() -> None:
    """Make torch import the 800 modules of its optimisers before a person waits for them."""
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])


def helping_thread() -> Executor:
    """An executor with one thread for a second core; its tensor operations use one thread."""
    return ThreadPoolExecutor(1, "helper", torch.set_num_threads, (1,))


if __name__ == "__main__":
    main(*sys.argv[1:])
