"""Where tensors are computed: one choice, made at the door, for training and for scoring.

Random numbers are always drawn on the CPU and moved, so that the dropout masks of a run are the
same on every device; results differ between devices in rounding only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is the first there is of cuda, mps and cpu.

    Raises:
        ValueError: an unknown name, or a device this machine or this PyTorch does not have.
    """
    import torch  # here, so that the names can be had without it

    if name not in DEVICES:
        raise ValueError(f"device is {name!r}; allowed: {', '.join(DEVICES)}")
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((device for device, is_there in present.items() if is_there), "cpu")
    if not present.get(name, True):
        raise ValueError(f"device is {name!r}, which this machine or its PyTorch does not have")
    return torch.device(name)
