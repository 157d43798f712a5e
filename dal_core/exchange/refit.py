"""Refit labels step by step to a learning curve (`dal replay`).

A refit is a run that has all its answers from the start, so that only fitting and measuring are
left. A fit depends only on the protocol, the seed and the ordered labels. A person's labels
therefore reproduce the person's accuracies, bit for bit on the same machine and versions. Corrected
labels give the curve as if they had been right from the start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from dal_core.data.base import ImageDataset
from dal_core.execution.job import GivenUp, Job, Wait, Workbench, settle
from dal_core.protocol.run_spec import RunSpec
from dal_core.run.events import AnsweredBatch, StepResult
from dal_core.run.next_task import Task
from dal_core.run.ownership import RunReadOnly
from dal_core.run.rows import RunRow
from dal_core.run.splits import split_of
from dal_core.run.state import RunState
from dal_core.store.base import Store
from dal_core.store.run_lock import run_lock


def begin(
    store: Store,
    dataset: ImageDataset,
    spec: RunSpec,
    batches: Sequence[AnsweredBatch],
    *,
    title: str = "",
    device: str = "cpu",
) -> RunRow:
    """The run that refits these labels: a new one, or an earlier refit of the same labels.

    An earlier refit is not used if its labels have changed since.

    Args:
        batches: as `labels_in.to_batches` returns them for this spec.

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
    """The states to measure, by last submission (0: none); one for each number of labels."""
    found = {log.n_labelled_at(after): after for after in _all_states(log)}
    return list(found.values())


def unmeasured(log: RunState) -> list[int]:
    """The `states` that have no result yet."""
    measured = {step.after for step in log.steps}
    return [after for after in states(log) if after not in measured]


def measure(bench: Workbench, run_id: str, wait: Wait = lambda: None) -> Iterator[StepResult]:
    """Fit and measure every state that is not measured yet; yields each step.

    Ends early if the run is paused or its labels change meanwhile.

    Args:
        wait: called between epochs and chunks of images.

    Raises:
        RunBusy: another process is working on the run.
        RunNotFound: the run does not exist, or is deleted meanwhile.
        RunReadOnly: the run is not a refit but one that others count on.
    """
    store = bench.store
    if reason := store.why_read_only(run_id):
        raise RunReadOnly(reason)
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


def _nonce(spec: RunSpec, batches: Sequence[AnsweredBatch], title: str) -> str:
    parts = repr((spec.key, title, [(one.annotator, one.source, one.answers) for one in batches]))
    return "replay-" + hashlib.sha256(parts.encode()).hexdigest()
