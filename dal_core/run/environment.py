"""Where a step was computed: versions, device, processor and data. Equal environments, equal bits.

Results are equal to the bit only on the same machine and versions (docs/method.md, section 13), so
every step names its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Environment:
    """Where a step was computed. A field is None if it is not known.

    Attributes:
        dal, python, torch, torchvision, numpy: versions.
        commit: commit of dal, followed by `-dirty` if files were changed since.
        platform: operating system and machine.
        threads: threads inside one operation of PyTorch.
        device: "cpu", "cuda" or "mps"; `device_name` is the model of a GPU.
        cpu_capability: instructions that PyTorch uses on the processor, such as "AVX2".
        data: fingerprint of the data set that was read.
    """

    dal: str | None = None
    commit: str | None = None
    python: str | None = None
    torch: str | None = None
    torchvision: str | None = None
    numpy: str | None = None
    platform: str | None = None
    threads: int | None = None
    device: str | None = None
    device_name: str | None = None
    cpu_capability: str | None = None
    data: str | None = None

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Environment:
        """The environment of a mapping; keys that are not fields are left out."""
        return cls(**{one.name: facts.get(one.name) for one in fields(cls)})

    def facts(self) -> dict[str, Any]:
        """The fields that are known, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def differences(one: Environment, other: Environment) -> list[str]:
    """What differs, such as "torch 2.12.0 then, 2.13.0 now"; facts that one lacks do not count."""
    then, now = one.facts(), other.facts()
    return [
        f"{name} {_short(name, value)} then, {_short(name, now[name])} now"
        for name, value in then.items()
        if name in now and now[name] != value
    ]


def changes(environments: Iterable[Environment | None]) -> list[tuple[int, list[str]]]:
    """(position, differences) wherever an environment differs from the one known before it."""
    found = []
    before: Environment | None = None
    for position, one in enumerate(environments):
        if one is None:
            continue
        if before is not None and (differing := differences(before, one)):
            found.append((position, differing))
        before = one
    return found


def _short(name: str, value: Any) -> str:
    return str(value)[:12] if name in ("commit", "data") else str(value)
