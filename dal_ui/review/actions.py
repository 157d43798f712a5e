"""What the review does, without drawing: read what was typed into its table, correct a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dal_core.run.rules import AnswerError
from dal_core.run.state import RunState
from dal_core.store.base import Store

LABEL = "your label"  # the column that can be changed
SKIPPED = "can't tell"


def new_edits(
    edited: Mapping[int, Mapping[str, Any]],
    seen: Mapping[int, str | None],
    ids: Sequence[int],
) -> dict[int, str | None]:
    """What was changed in the table since it was last read: image id -> what was typed.

    Args:
        edited: the table's changes by row since it was first drawn, the newest of each row.
        seen: the changes handled already, by image id.
        ids: the image of each row.
    """
    typed = {ids[int(row)]: change[LABEL] for row, change in edited.items() if LABEL in change}
    return {i: text for i, text in typed.items() if i not in seen or seen[i] != text}


def correct(
    store: Store,
    log: RunState,
    image_id: int,
    typed: str | None,
    class_names: Sequence[str],
    annotator: str,
) -> str:
    """Correct one label; returns a notice for the person. A refused correction changes nothing.

    Args:
        typed: the name of a class; nothing means "can't tell".
    """
    label = None
    if typed is not None and typed.strip() not in ("", SKIPPED):
        label = class_index(typed, class_names)
        if label is None:
            allowed = ", ".join(class_names)
            return f"Nothing was changed: {typed!r} is not a class; allowed: {allowed}."
    try:
        made = store.correct(log.run.run_id, image_id, label, annotator=annotator)
    except AnswerError as error:
        return f"Nothing was changed: {error}."
    before, now = name_of(made.before, class_names), name_of(made.label, class_names)
    return f"Image {image_id}: {before} is now {now}. The next model will use the new label."


def class_index(typed: str, class_names: Sequence[str]) -> int | None:
    """The class that was typed, upper or lower case; None where there is none of that name."""
    wanted = typed.strip().lower()
    return next((i for i, name in enumerate(class_names) if name.lower() == wanted), None)


def name_of(label: int | None, class_names: Sequence[str]) -> str:
    """The name of a label; None, as of a skipped image, is "can't tell"."""
    return SKIPPED if label is None else class_names[label]
