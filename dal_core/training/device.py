"""Where tensors are computed: one choice, made at the door, for training and for scoring.

Random numbers are always drawn on the CPU and moved, so that the dropout masks of a run are the
same on every device; results differ between devices in rounding only.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is the first there is of cuda, mps and cpu.

    Where that is cuda, this process calculates exactly from then on (see `disable_tf32`).

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
    if name == "cuda":
        disable_tf32()
    return torch.device(name)


def free_memory(device: torch.device) -> int:
    """Bytes that tensors on it can still take; on the CPU half of what is free.

    On the CPU nothing but the kernel's killer tells that there was too little.
    """
    if device.type != "cuda":
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + kept


def disable_tf32() -> None:
    """Have this process calculate on NVIDIA's GPUs as on the CPU, but for rounding.

    By default convolutions round float32 to TF32 there, and some of them add in no fixed order.
    """
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
