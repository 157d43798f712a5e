"""When a run is over. The store uses it too, so that it opens no query after the end."""

from __future__ import annotations

from dal_core.protocol.run_spec import FULL_DATA
from dal_core.run.state import RunState
from dal_core.run.summary import RunSummary


def finished(log: RunState | RunSummary) -> str | None:
    """Why the run asks for no more labels; None while it continues (docs/method.md, section 5)."""
    run, n = log.run, log.n_labelled
    protocol = run.spec.protocol
    batch = protocol.n_samples_to_acquire
    if run.spec.acquisition == FULL_DATA:
        return f"the bound is trained on all {n:,} images"
    # A correction can remove a label, but that does not allow another step.
    if n >= run.max_labels or log.n_submissions >= protocol.n_acquisition_steps:
        return f"all {protocol.n_acquisition_steps} acquisition steps are done"
    if run.until_labels is not None and n + batch > run.until_labels:
        return f"the label budget of {run.until_labels} is used"
    measured = [step.accuracy for step in log.steps if step.after == log.after]
    accuracy = measured[-1] if measured else None
    if run.until_accuracy is not None and accuracy is not None and accuracy >= run.until_accuracy:
        return f"the target accuracy of {run.until_accuracy:.1%} is reached"
    if run.split_sizes["pool"] <= n - run.n_initial + log.n_skipped:
        return "every image of the pool was asked for"
    return None
