"""The environment of this process, which every step that it measures carries."""

from __future__ import annotations

import torch

from dal_core.run.environment import Environment
from dal_core.store.versions import current_versions


def environment_of(device: torch.device | None, data: str) -> Environment:
    """Where this process computes.

    Args:
        device: None for the CPU.
        data: fingerprint of the data set that it has read.
    """
    kind = "cpu" if device is None else device.type
    name = torch.cuda.get_device_name(device) if kind == "cuda" else None
    return Environment(
        **current_versions(kind),
        device_name=name,
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        data=data,
    )
