"""Let the C allocator keep what is freed, instead of faulting the same pages in at every step.

By default glibc returns large blocks to the system, and each training step then takes tens of
thousands of page faults. Kept, a step and a validation pass need about two thirds of the time
(`python -m benchmarks` states the figure for the machine at hand). The setting is the process's
own: for worker processes, which do nothing else; not for one that serves pages.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # names and values of glibc's malloc.h


def keep_freed_memory() -> None:
    """Raise glibc's thresholds; where the C library is another one, do nothing."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
