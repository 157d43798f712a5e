"""Checks and notes that `dal run` and `dal reproduce` share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dal_core.cli.errors import WrongUse
from dal_core.data import catalogue
from dal_core.protocol.parameters import Protocol
from dal_core.protocol.presets import PRESETS
from dal_core.run.rows import RunRow
from dal_core.store.versions import current_versions


def refuse_changes(given: Mapping[str, Any], what: str, allowed: str) -> None:
    """Raise WrongUse if an option was given that a resumed run or experiment cannot change."""
    for name, value in given.items():
        shown = value[0] if isinstance(value, tuple) else value
        option = name.replace("_", "-")
        raise WrongUse(
            f"--{option} is {shown!r} but a resumed {what} keeps its own; "
            f"allowed with --resume: {allowed}"
        )


def check_same_data(text: str, what: str, row: RunRow) -> None:
    """Check that the data on this machine are those of the run. Raises WrongUse, DataError."""
    name = row.spec.protocol.dataset
    if catalogue.load(name).fingerprint != row.spec.fingerprint:
        raise WrongUse(
            f"--resume is {text!r}, {what} on another {name} than the one found here; "
            f"allowed: {what} on the same data"
        )


def other_dataset(preset: str, protocol: Protocol) -> str:
    """A note if the data set differs from that of the preset; else empty."""
    name, own = protocol.dataset, PRESETS[preset].dataset
    return "" if name == own else f"{preset} on {name} instead of {own}: not the report's procedure"


def other_versions(row: RunRow, device: str) -> str:
    """A note if the run was created with other versions; else empty.

    Results are equal to the bit only on the same machine and versions (docs/method.md, section 13).
    """
    current = current_versions(device)
    other = [
        f"{name} {then} then, {current.get(name)} now"
        for name, then in row.versions.items()
        if current.get(name) != then
    ]
    return f"started with other versions, so bits may differ: {'; '.join(other)}" if other else ""
