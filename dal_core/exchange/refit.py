"""Labels fitted again, step by step, to the curve they give (`dal replay`).

A replay is a run of its own that has all its answers from the start; what is left to do is to fit
and measure every step. A fit depends only on protocol, seed and the ordered labels, so a person's
labels give the person's accuracies again, bit for bit on the same machine and versions, and
corrected labels give the curve they would have given had they been right at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from dal_core.data.base import ImageDataset
from dal_core.execution.job import GivenUp, Job, Wait, Workbench, settle
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import Batch, StepResult
from dal_core.run.next_task import Task
from dal_core.run.rows import RunRow
from dal_core.run.splits import split_of
from dal_core.run.state import RunState
from dal_core.store.run_lock import run_lock
from dal_core.store.store import Store


def begin(
    store: Store,
    dataset: ImageDataset,
    spec: RunSpec,
    batches: Sequence[Batch],
    *,
    title: str = "",
    device: str = "cpu",
) -> RunRow:
    """The run that replays these labels: the one begun before with the same, or a new one.

    One whose labels were taken back, corrected or added to since is left to whoever did that.

    Args:
        batches: as `labelfile.to_batches` checked them for this spec.

    Raises:
        ProtocolError: the data set is too small for the protocol.
    """
    nonce = _nonce(spec, batches, title)
    earlier = store.find_submitted(nonce)
    if earlier is not None and _is_untouched(store.log(earlier.run_id), len(batches)):
        return earlier
    split = split_of(spec, dataset)
    return store.create_run(
        spec,
        title=title,
        kind="person",
        n_initial=len(split.initial),
        split_sizes=split.sizes(),
        device=device,
        answered=batches,
        nonce=nonce,
    )


def states(log: RunState) -> list[int]:
    """The states to measure, by their last submission: those that added labels, and the first."""
    found = {log.n_labelled_at(after): after for after in _all_states(log)}
    return list(found.values())


def unmeasured(log: RunState) -> list[int]:
    """Those of `states` that have no result yet."""
    measured = {step.after for step in log.steps}
    return [after for after in states(log) if after not in measured]


def measure(bench: Workbench, run_id: str, wait: Wait = lambda: None) -> Iterator[StepResult]:
    """Fit and measure every state that is not measured yet; yields each step.

    Ends early where the run was paused or its labels were taken back meanwhile.

    Raises:
        RunBusy: another process works on the run.
        RunNotFound: there is no such run, or it was deleted meanwhile.
    """
    store = bench.store
    with run_lock(store.home, run_id):
        try:
            log = store.log(run_id)
            for after in unmeasured(log):
                yield from Job(bench, log.until(after), wait).do(Task.EVALUATE)
        except GivenUp:
            return
        finally:
            settle(store, run_id)
            bench.records.write_all()


def _all_states(log: RunState) -> list[int]:
    return [0, *(one.submission_id for one in log.submissions)]


def _is_untouched(log: RunState, n_batches: int) -> bool:
    return not log.revision and log.n_submissions == n_batches


def _nonce(spec: RunSpec, batches: Sequence[Batch], title: str) -> str:
    parts = repr((spec.key, title, [(one.annotator, one.source, one.answers) for one in batches]))
    return "replay-" + hashlib.sha256(parts.encode()).hexdigest()
