"""Child processes that measure, one per side, since allocator settings apply to a process.

The parent alternates between them, so that a slower machine affects both alike. A child runs as
`python -m benchmarks.children SIDE`. It reads lines `[method, argument]` and answers each with a
line: the method's result and the peak memory of the process.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class Child:
    """A process that measures one side; `close` ends it."""

    def __init__(self, side: str) -> None:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.children", side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        )
        self.peak_megabytes = 0.0

    def measure(self, method: str, argument: int = 0) -> Any:
        """Call a method of the side and return its result. Raises RuntimeError if it ended."""
        self.ask(method, argument)
        return self.answer()

    def ask(self, method: str, argument: int = 0) -> None:
        """Start a measurement without waiting for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([method, argument]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the measurement that `ask` started and return its result."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a measuring process ended; its error is printed above")
        result, self.peak_megabytes = json.loads(line)
        return result

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main(side_name: str) -> None:
    """Do the measurements that standard input asks for until it closes."""
    import torch

    from benchmarks.sides import SIDES

    torch.set_num_threads(1)
    side = SIDES[side_name]()
    for line in sys.stdin:
        method, argument = json.loads(line)
        result = getattr(side, method)(argument)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux: in kilobytes
        print(json.dumps([result, peak]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
