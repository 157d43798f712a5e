"""Dropout masks and batch orders for blocks of epochs, drawn ahead on the CPU in threads.

The draws equal those of `training.loop`, in the same order: each run has one generator for its
masks and one for the order of its mini-batches (docs/method.md, section 13).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from dal_core.models.networks import BayesianCNN

DRAWS_BYTES = 256 * 2**20  # limit for one block


class Draws:
    """The current block of draws on the device, while the next one is drawn on the CPU.

    A CUDA graph needs fixed addresses, so the buffers on the device never move. The epoch's
    number, a tensor on the device, selects the entry. A mask is copied as one byte per unit. Runs
    with equal seeds (the acquisition functions of one experiment seed) share one stream of draws.

    Args:
        model: the model of any run, which gives the number of units and the dropout probabilities.
        n_images: training images of each run.
        mask_seeds: seeds of the dropout masks, by run.
        order_seeds: seeds of the order of mini-batches, by run; None in full-batch training.
        size: images in a mini-batch; None in full-batch training.
        ahead: epochs in a block, fewer where a block would exceed DRAWS_BYTES.
        device: where the draws are needed.

    Attributes:
        ahead: epochs in a block.
        sizes: images in each batch of an epoch.
    """

    def __init__(
        self,
        model: BayesianCNN,
        n_images: int,
        mask_seeds: Sequence[int],
        order_seeds: Sequence[int] | None,
        size: int | None,
        ahead: int,
        device: torch.device,
    ) -> None:
        self.model, self.size = model, size
        whole, rest = divmod(n_images, size or n_images)
        self.sizes = [size or n_images] * whole + [rest] * (rest > 0)
        seeds = list(zip(mask_seeds, order_seeds or [0] * len(mask_seeds), strict=True))
        streams = list(dict.fromkeys(seeds))
        self.stream = torch.tensor([streams.index(pair) for pair in seeds], device=device)  # [R]
        self.generators = [[torch.Generator().manual_seed(s) for s in pair] for pair in streams]
        units = model.feature_size, model.hidden_size
        bytes_an_epoch = len(streams) * n_images * (sum(units) + 8 * (size is not None))
        self.ahead = max(1, min(ahead, DRAWS_BYTES // bytes_an_epoch))
        shape = (self.ahead, len(streams), n_images)
        on_gpu = device.type == "cuda"
        # Two blocks on the host: one is being drawn while the other is copied.
        self.hosts = [_Block(shape, units, size is not None, on_gpu) for _ in range(2)]
        self.block = _Block(shape, units, size is not None, False, device)
        self.pool = ThreadPoolExecutor(max_workers=len(streams) if on_gpu else 1)
        self.drawing = self._draw(self.hosts[0])

    def __enter__(self) -> Draws:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def next_block(self, is_last: bool) -> None:
        """Copy the next block to the device and start drawing the one after it, unless `is_last`.

        Waits until the next block is drawn. The caller must have waited for the device since the
        previous block.
        """
        for future in self.drawing:
            future.result()
        drawn, free = self.hosts
        self.block.copy_from(drawn)
        self.hosts.reverse()
        self.drawing = [] if is_last else self._draw(free)

    def of_epoch(self, epoch: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """The draws for an epoch in the current block.

        Args:
            epoch: scalar int64 on the device, counted from 0.

        Returns:
            Masks [R, n, units] of 0 or 1/(1-p) for each dropped-out layer, as `models` draws
            them, and the order of the images, [R, n] int64, or None in full-batch training.
            Batches are concatenated along axis n.
        """
        slot = (epoch % self.ahead).view(1)
        masks = [
            kept.index_select(0, slot)[0].index_select(0, self.stream).float() * (1 / (1 - p))
            for kept, p in zip(self.block.kept, self.model.dropout, strict=True)
        ]
        if self.block.order is None:
            return masks, None
        return masks, self.block.order.index_select(0, slot)[0].index_select(0, self.stream)

    def _draw(self, block: _Block) -> list[Future[None]]:
        return [self.pool.submit(self._draw_stream, block, s) for s in range(len(self.generators))]

    def _draw_stream(self, block: _Block, stream: int) -> None:
        masks, order = self.generators[stream]
        for epoch in range(self.ahead):
            if block.order is not None:
                n_images = block.order.shape[-1]
                block.order[epoch, stream] = torch.randperm(n_images, generator=order)
            start = 0
            for n in self.sizes:
                for kept, mask in zip(block.kept, self.model.draw_masks(n, masks), strict=True):
                    torch.ne(mask, 0, out=kept[epoch, stream, start : start + n])
                start += n


class _Block:
    """Buffers for the draws of several epochs: [epochs, streams, n(, units)]."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        units: Sequence[int],
        is_ordered: bool,
        pinned: bool,
        device: torch.device | str = "cpu",
    ) -> None:
        def buffer(*shape: int, dtype: torch.dtype) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=device, pin_memory=pinned)

        self.kept = [buffer(*shape, n, dtype=torch.bool) for n in units]
        self.order = buffer(*shape, dtype=torch.int64) if is_ordered else None

    def copy_from(self, other: _Block) -> None:
        for mine, theirs in zip(self.kept, other.kept, strict=True):
            mine.copy_(theirs, non_blocking=True)
        if self.order is not None and other.order is not None:
            self.order.copy_(other.order, non_blocking=True)
