"""Warm-up and capture of an epoch as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch

WARM_UP = 3  # epochs before the capture, in which libraries initialise themselves


class GraphFailed(RuntimeError):
    """An epoch could not be captured as a CUDA graph; it can still run without one."""


@cache
def side_stream() -> torch.cuda.Stream:
    """The stream for the warm-up and the capture.

    There is only one, because libraries initialise themselves for each new stream and keep a
    workspace for it (32 MB on Hopper). This must not happen during a capture.
    """
    return torch.cuda.Stream()


def run_on_side_stream(work: Callable[[], None]) -> None:
    """Run `work` the way PyTorch requires of a warm-up before a capture."""
    stream, current = side_stream(), torch.cuda.current_stream()
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        work()
    current.wait_stream(stream)


def capture(work: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """Capture `work` as a graph without running it.

    Raises:
        GraphFailed: `work` cannot be captured.
        torch.cuda.OutOfMemoryError: memory ran short during the capture.
    """
    graph = torch.cuda.CUDAGraph()
    # A capture that fails to end would leave its stream behind as the current one.
    with torch.cuda.stream(torch.cuda.current_stream()):
        try:
            # "thread_local", because threads that draw the next block may use CUDA meanwhile.
            with torch.cuda.graph(graph, stream=side_stream(), capture_error_mode="thread_local"):
                work()
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            cause = (
                error.__context__
            )  # set if the work failed and then ending the capture failed too
            if isinstance(cause, torch.cuda.OutOfMemoryError):
                raise cause from None
            raise GraphFailed(f"an epoch could not be captured: {cause or error}") from error
    return graph
