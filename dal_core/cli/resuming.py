"""What `dal run` and `dal reproduce` share: taking up again, and what to say about it."""

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
    """A run or experiment that is taken up keeps its parameters. Raises WrongUse for the first."""
    for name, value in given.items():
        shown = value[0] if isinstance(value, tuple) else value
        option = name.replace("_", "-")
        raise WrongUse(
            f"--{option} is {shown!r} but a resumed {what} keeps its own; "
            f"allowed with --resume: {allowed}"
        )


def check_same_data(text: str, what: str, row: RunRow) -> None:
    """The data found here are those the run was made on. Raises WrongUse, DataError."""
    name = row.spec.protocol.dataset
    if catalogue.load(name).fingerprint != row.spec.fingerprint:
        raise WrongUse(
            f"--resume is {text!r}, {what} on another {name} than the one found here; "
            f"allowed: {what} on the same data"
        )


def other_dataset(preset: str, protocol: Protocol) -> str:
    """What to say where a protocol was moved to other data than its own; else empty."""
    name, own = protocol.dataset, PRESETS[preset].dataset
    return "" if name == own else f"{preset} on {name} instead of {own}: not the report's procedure"


def other_versions(row: RunRow, device: str) -> str:
    """Equal bits are only promised on the same machine and versions (DESIGN section 3)."""
    current = current_versions(device)
    other = [
        f"{name} {then} then, {current.get(name)} now"
        for name, then in row.versions.items()
        if current.get(name) != then
    ]
    return (
        f"begun under other versions, so not equal to the bit: {'; '.join(other)}" if other else ""
    )
