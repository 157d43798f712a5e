"""A second device for tests: numbers as on the CPU, rules as on a GPU.

Its tensors say that they are on `meta` (the only device besides the CPU whose gradients PyTorch's
CPU builds compute) and keep their numbers in a CPU tensor inside. Within `PretendDevice` every
operation that mixes them with tensors of the CPU is refused, as by CUDA, and what goes back to the
host is counted. It does not pretend speed, streams, graphs or memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("meta")

# Those whose work is to bring tensors from device to device, or whose indices may come from the
# host: CUDA copies these over, and waits.
MIXING = ("aten::_to_copy", "aten::copy_", "aten::index.Tensor")


class There(torch.Tensor):
    """A tensor on the device; its numbers are in `held`."""

    held: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> There:
        with torch.inference_mode(False):  # its tensors may not become views of others
            made: There = torch.Tensor._make_wrapper_subclass(
                cls,
                inner.size(),
                strides=inner.stride(),
                storage_offset=inner.storage_offset(),
                dtype=inner.dtype,
                device=DEVICE,
            )
        made.held = inner
        return made

    def tolist(self) -> Any:
        """As of any tensor; PyTorch does not offer it for kinds of its own."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, operation: Any, *_: Any, **__: Any) -> Any:  # type: ignore[override]
        raise AssertionError(f"{operation.name()} on the pretended device, outside of it")


class _FromLists(TorchFunctionMode):
    """`torch.tensor` with a device, which PyTorch does not show to a dispatch mode."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function is torch.tensor and torch.device(kwargs.get("device") or "cpu") == DEVICE:
            return function(*args, **{**kwargs, "device": "cpu"}).to(DEVICE)
        return function(*args, **kwargs)


class PretendDevice(TorchDispatchMode):
    """Within it the device exists; `read_back` names the operations that brought numbers home.

    While `is_sealed`, nothing may come from the host or go to it, as while a graph is captured.
    """

    def __init__(self) -> None:
        super().__init__()
        self.read_back, self.is_sealed = list[str](), False
        self._from_lists = _FromLists()

    def __enter__(self) -> PretendDevice:
        self._from_lists.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._from_lists.__exit__(*error)

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = operation.name()
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = {id(tensor.held): tensor for tensor in given if isinstance(tensor, There)}
        here = [tensor for tensor in given if not isinstance(tensor, There)]
        if there and not name.startswith(MIXING):
            # A number of the CPU may be combined with any device's tensors.
            mixed = [tuple(tensor.shape) for tensor in here if tensor.dim() > 0]
            assert not mixed, f"{name} mixes devices: {mixed} of the CPU"
        asked = kwargs.get("device")
        to_there = bool(there) if asked is None else torch.device(asked) == DEVICE
        if name == "aten::copy_":
            to_there = isinstance(args[0], There)
        if self.is_sealed and not name.startswith("profiler::"):
            stays = to_there and not here and name != "aten::_local_scalar_dense"
            assert stays, f"{name} on the host, or with it"
        if asked is not None and to_there:
            kwargs["device"] = "cpu"
        if there and (name == "aten::_local_scalar_dense" or not to_there):
            self.read_back.append(name)
        args, kwargs = tree_map_only(There, lambda tensor: tensor.held, (args, kwargs))
        result = operation(*args, **kwargs)
        if not to_there:
            return result
        return tree_map_only(
            Tensor, lambda made: there[id(made)] if id(made) in there else There(made), result
        )
