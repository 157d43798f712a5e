"""What the replay says of a step, as text: pure functions of what `run_history` reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from dal_core.protocol.presets import describe_protocol
from dal_core.results.run_history import AskedImage, Moment, class_accuracy, worst_confusions
from dal_core.results.titles import display_name, noise_name
from dal_core.run.events import Confusion
from dal_core.run.rows import RunRow
from dal_ui.label.words import plain

NEXT_IMAGES = "Asked for next, most wanted first"


def run_title(run: RunRow) -> str:
    """A run where one is chosen among several; plain text."""
    spec = run.spec
    parts = [display_name(spec.acquisition), f"seed {spec.seed}", describe_protocol(spec.protocol)]
    if spec.protocol.dataset not in describe_protocol(spec.protocol):
        parts.append(spec.protocol.dataset)
    parts += [part for part in (noise_name(spec.noise), run.title) if part]
    if run.forked_from is not None:
        parts.append(f"fork at {run.forked_labels} labels")
    return f"{' · '.join(parts)} ({run.run_id})"


def curve_name(run: RunRow, other: RunRow | None = None) -> str:
    """What a chart calls the run: as short as tells it from the other."""
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
    line += f" · **{moment.step.accuracy:.1%}** of the test images right"
    if before is not None and before.step is not None:
        line += f" ({points(moment.step.accuracy - before.step.accuracy)})"
    return line


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return f"{100 * difference:+.1f} points"


def caption(image: AskedImage) -> str:
    """Under an image: what was said, and what is true where that is something else."""
    if not image.answered:
        return f"? ({image.truth})"
    if image.given is None:
        return f"– ({image.truth})"
    return f"{image.given} ✗ {image.truth}" if image.is_wrong else f"{image.given}"


def legend(images: Sequence[AskedImage]) -> str:
    """What the captions under the images mean, as far as they occur."""
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
) -> list[str]:
    """What is different from the step before, a line each; Markdown."""
    if before is None:
        return ["The first step: the labels it starts with, the same for every function."]
    lines = [_new_labels(before)] if before.submission is not None else []
    if confusion is not None and confusion_before is not None:
        lines += _class_changes(class_accuracy(confusion) - class_accuracy(confusion_before))
    if confusion is not None and (mistakes := worst_confusions(confusion)):
        listed = ", ".join(f"{label} taken for {said} ({n})" for label, said, n in mistakes)
        lines.append(f"Most frequent mistakes now: {listed}.")
    return lines


def _new_labels(before: Moment) -> str:
    assert before.submission is not None
    counts = Counter(before.submission.labels.values())
    listed = ", ".join(f"{n} × **{label}**" for label, n in sorted(counts.items()))
    skipped = len(before.submission.skipped)
    more = f"; {skipped} skipped" if skipped else ""
    who = plain(before.submission.annotator)
    return f"{sum(counts.values())} new labels by {who}: {listed or 'none'}{more}."


def _class_changes(difference: np.ndarray) -> list[str]:
    """The class that gained most and the one that lost most, where any did."""
    known = np.nan_to_num(difference)
    best, worst = int(known.argmax()), int(known.argmin())
    parts = []
    if known[best] > 0:
        parts.append(f"most gained by **{best}** ({points(known[best])})")
    if known[worst] < 0:
        parts.append(f"most lost by **{worst}** ({points(known[worst])})")
    return [f"By class: {', '.join(parts)}."] if parts else []
