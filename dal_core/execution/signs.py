"""Signs of life of a worker: bytes on a pipe of their own, which the pool looks at.

The training loop, long passes and waiting give them. Nothing that a worker prints gets in between.
A worker without a sign for HANG_SECONDS hangs, whatever it was doing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HANG_SECONDS = 300.0  # without a sign of life; the slowest batch or chunk takes a few seconds
SIGN_SECONDS = 1.0  # shortest time between two signs
WAIT_SECONDS = 20.0  # longest time between two signs of a worker that waits


class Signs:
    """The worker's end of the pipe; call it to give a sign. Without a pipe it does nothing."""

    def __init__(self, pipe: int | None = None) -> None:
        self._pipe = pipe
        self._last = float("-inf")
        if pipe is not None:
            os.set_blocking(pipe, False)  # a pool that does not look must not stop the work

    def __call__(self) -> None:
        if self._pipe is None or time.monotonic() - self._last < SIGN_SECONDS:
            return
        self._last = time.monotonic()
        with suppress(OSError):  # the pipe is full, or the pool is gone
            os.write(self._pipe, b".")


class Watch:
    """The pool's end of the pipe: how long the worker has been silent.

    Time is counted in looks. While the pool itself does not run, no worker grows silent.
    """

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        os.set_blocking(reading, False)
        self._file = os.fdopen(reading, "rb", buffering=0)
        self.silent = 0.0

    @contextmanager
    def handing_over(self) -> Iterator[None]:
        """Close the other end here once the worker was started with it."""
        try:
            yield
        except BaseException:
            self.close()
            raise
        finally:
            os.close(self.writing)

    def look(self, seconds: float) -> float:
        """Seconds without a sign; `seconds` is the time since the last look."""
        with suppress(ValueError):  # the worker ended and the pipe is closed
            self.silent = 0.0 if self._file.read(65536) else self.silent + seconds
        return self.silent

    def close(self) -> None:
        """Close the pipe."""
        self._file.close()
