"""Imports torchvision, even if its compiled operators cannot be loaded.

With a CPU build of torch, the torchvision wheel from PyPI cannot load its compiled library, and
`import torchvision` fails with "operator torchvision::nms does not exist", because it registers
fake implementations of two operators. It is enough to define their schemas first, since we call
neither operator.
"""

from __future__ import annotations

from types import ModuleType

SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def import_torchvision() -> ModuleType:
    """Import torchvision; if its compiled operators are missing, define their schemas first."""
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        define_missing_operators()
        import torchvision
    return torchvision


def define_missing_operators() -> list[str]:
    """Define the schemas that no library has registered; returns their names."""
    import torch

    missing = [name for name in SCHEMAS if not hasattr(torch.ops.torchvision, name)]
    for name in missing:
        torch.library.define(f"torchvision::{name}", SCHEMAS[name].removeprefix(name))
    return missing
