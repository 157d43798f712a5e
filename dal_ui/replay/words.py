"""The replay's texts: pure functions of what `run_history` reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from dal_core.data.base import UNKNOWN, ImageDataset
from dal_core.protocol.presets import describe_protocol
from dal_core.results.run_history import AskedImage, Moment, class_accuracy, worst_confusions
from dal_core.results.titles import display_name, noise_name
from dal_core.run.events import Confusion, Submission
from dal_core.run.rows import RunRow
from dal_ui.shared.markdown import plain

NEXT_IMAGES = "Asked for next, best first"


def run_title(run: RunRow) -> str:
    """A run as an option in a list; plain text."""
    spec = run.spec
    parts = [display_name(spec.acquisition), f"seed {spec.seed}", describe_protocol(spec.protocol)]
    if spec.protocol.dataset not in describe_protocol(spec.protocol):
        parts.append(spec.protocol.dataset)
    parts += [part for part in (noise_name(spec.noise), run.title) if part]
    if run.forked_from is not None:
        parts.append(f"fork at {run.forked_labels} labels")
    return f"{' · '.join(parts)} ({run.run_id})"


def curve_name(run: RunRow, other: RunRow | None = None) -> str:
    """The run's name in a chart: as short as possible, but different from the other's."""
    name = display_name(run.spec.acquisition)
    if run.spec.noise:
        name += f", {noise_name(run.spec.noise)}"
    if run.forked_from is not None:
        name += f", forked at {run.forked_labels}"
    is_alike = other is not None and other.run_id != run.run_id
    if is_alike and other is not None and name == curve_name(other):
        name += f" ({run.run_id[-6:]})"
    return name


def headline(moment: Moment, before: Moment | None) -> str:
    """Labels and accuracy of the step, and how the accuracy moved."""
    line = f"**{moment.n_labelled} labels**"
    if moment.step is None:
        return f"{line} · not measured"
    accuracy = moment.step.accuracy
    if accuracy is None:
        return line
    line += f" · **{accuracy:.1%}** of the test images right"
    if before is not None and before.step is not None and before.step.accuracy is not None:
        line += f" ({points(accuracy - before.step.accuracy)})"
    return line


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return f"{100 * difference:+.1f} points"


def caption(image: AskedImage, dataset: ImageDataset) -> str:
    """Under an image: the label it was given, and the true one where they differ."""
    truth = "?" if image.truth is None else dataset.class_name(image.truth)
    if image.answered and image.given is not None:
        given = dataset.class_name(image.given)
        return f"{given} ✗ {truth}" if image.is_wrong else given
    mark = "–" if image.answered else "?"
    return mark if image.truth == UNKNOWN else f"{mark} ({truth})"


def legend(images: Sequence[AskedImage]) -> str:
    """What the captions under these images mean."""
    if not images:
        return "Nothing was asked after this step."
    parts = ["the label it was given"]
    if any(image.is_wrong for image in images):
        parts.append("✗ and the true one where they differ")
    if any(image.answered and image.given is None for image in images):
        parts.append("– skipped")
    if any(not image.answered for image in images):
        parts.append("? not answered yet (the true label)")
    return f"{NEXT_IMAGES}. Below each: {'; '.join(parts)}."


def changes(
    moment: Moment,
    before: Moment | None,
    confusion: Confusion | None,
    confusion_before: Confusion | None,
    class_names: Sequence[str],
) -> list[str]:
    """What has changed since the step before, a line each; Markdown."""
    if before is None:
        return ["The first step: the initial labels, the same for every function."]
    names = [plain(name) for name in class_names]
    lines = [_new_labels(before.submission, names)] if before.submission is not None else []
    if confusion is not None and confusion_before is not None:
        difference = class_accuracy(confusion) - class_accuracy(confusion_before)
        lines += _class_changes(difference, names)
    if confusion is not None and (mistakes := worst_confusions(confusion)):
        listed = ", ".join(
            f"{names[label]} taken for {names[said]} ({n})" for label, said, n in mistakes
        )
        lines.append(f"Most frequent mistakes now: {listed}.")
    return lines


def _new_labels(submission: Submission, names: Sequence[str]) -> str:
    counts = Counter(submission.labels.values())
    listed = ", ".join(f"{n} × **{names[label]}**" for label, n in sorted(counts.items()))
    skipped = len(submission.skipped)
    more = f"; {skipped} skipped" if skipped else ""
    who = plain(submission.annotator)
    return f"{sum(counts.values())} new labels by {who}: {listed or 'none'}{more}."


def _class_changes(difference: np.ndarray, names: Sequence[str]) -> list[str]:
    """The class whose accuracy rose most and the one whose accuracy fell most, if any did."""
    known = np.nan_to_num(difference)
    best, worst = int(known.argmax()), int(known.argmin())
    parts = []
    if known[best] > 0:
        parts.append(f"largest gain **{names[best]}** ({points(known[best])})")
    if known[worst] < 0:
        parts.append(f"largest loss **{names[worst]}** ({points(known[worst])})")
    return [f"By class: {', '.join(parts)}."] if parts else []
