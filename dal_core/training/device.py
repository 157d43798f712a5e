"""The device that trains and scores, chosen by name.

Random numbers are always drawn on the CPU and then copied to the device. So a run has the same
dropout masks on every device, and results differ between devices only by rounding.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is the first available of cuda, mps and cpu.

    Choosing cuda turns TF32 off for this process (see `disable_tf32`).

    Raises:
        ValueError: the name is unknown, or this machine or its PyTorch does not have the device.
    """
    import torch  # not at the top, so that importing DEVICES does not import torch

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
    """Bytes that are free for new tensors on the device; on the CPU, half of the free memory.

    It is only half, because a process that takes too much memory is killed without an error.
    """
    if device.type != "cuda":
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + kept


def disable_tf32() -> None:
    """Make this process compute in full float32 and in a fixed order on NVIDIA GPUs.

    By default, convolutions on these GPUs round float32 to TF32, and some add in no fixed order.
    """
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
